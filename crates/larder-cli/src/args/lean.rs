//! The plain forms of `get` and `run`, read without building the whole command line: that alone would cost a hit a
//! tenth of its time. Whatever is not plain here (a mistake above all) is left to clap, which knows everything.

use std::ffi::{OsStr, OsString};
use std::str::FromStr;

use super::{Arguments, Get, Global, Run, Survives, Verb, tag};

/// The command line, if it is a plain `get` or `run`. It means what clap would say it means.
pub(crate) fn read(arguments: impl Iterator<Item = OsString>) -> Option<Arguments> {
    let mut line = Line { arguments };
    let mut global = Global::default();
    loop {
        let word = line.word()?;
        match word.to_str()? {
            "get" => return get(&mut line, global),
            "run" => return run(&mut line, global),
            flag => global.take(flag, &mut line)?,
        }
    }
}

struct Line<I> {
    arguments: I,
}

impl<I: Iterator<Item = OsString>> Line<I> {
    fn word(&mut self) -> Option<OsString> {
        self.arguments.next()
    }

    /// The value of a flag, in a word of its own that could not be another flag.
    fn value(&mut self) -> Option<OsString> {
        self.word().filter(|value| !value.as_encoded_bytes().starts_with(b"-"))
    }

    /// The same, read; once, because clap refuses a flag that comes twice.
    fn once<T: FromStr>(&mut self, slot: &mut Option<T>) -> Option<()> {
        let value = self.value()?.to_str()?.parse().ok()?;
        slot.replace(value).is_none().then_some(())
    }
}

/// Sets a switch; once, likewise.
fn on(switch: &mut bool) -> Option<()> {
    (!std::mem::replace(switch, true)).then_some(())
}

impl Global {
    fn take(&mut self, flag: &str, line: &mut Line<impl Iterator<Item = OsString>>) -> Option<()> {
        match flag {
            "--config" => self.config.replace(line.value()?.into()).is_none().then_some(()),
            "--behind" => on(&mut self.behind),
            "--root" => self.root.replace(line.value()?.into()).is_none().then_some(()),
            "--lock-timeout" => line.once(&mut self.lock_timeout),
            "--status" => on(&mut self.status),
            "--json" => on(&mut self.json),
            "-q" | "--quiet" => on(&mut self.quiet),
            _ => None,
        }
    }
}

fn get(line: &mut Line<impl Iterator<Item = OsString>>, mut global: Global) -> Option<Arguments> {
    let (mut key, mut offline, mut max_age) = (None, false, None);
    let (mut soft_timeout, mut fail_on_stale) = (None, false);
    while let Some(word) = line.word() {
        match word.to_str()? {
            "--offline" => on(&mut offline)?,
            "--max-age" => line.once(&mut max_age)?,
            "--soft-timeout" => line.once(&mut soft_timeout)?,
            "--fail-on-stale" => on(&mut fail_on_stale)?,
            flag if flag.starts_with('-') => global.take(flag, line)?,
            text if key.is_none() => key = Some(text.parse().ok()?),
            _ => return None,
        }
    }
    if offline && max_age.is_some() {
        return None;
    }
    Some(Arguments {
        global,
        verb: Verb::Get(Get {
            key: key?,
            offline,
            refresh: false,
            max_age,
            timeout: None,
            soft_timeout,
            fail_on_stale,
        }),
    })
}

fn run(line: &mut Line<impl Iterator<Item = OsString>>, mut global: Global) -> Option<Arguments> {
    let mut terms = Run {
        key: None,
        ttl: None,
        stale: None,
        stale_if_error: None,
        soft_timeout: None,
        class: None,
        fail_on_stale: false,
        timeout: None,
        fail_ttl: None,
        refresh: false,
        offline: false,
        env: Vec::new(),
        depends: Vec::new(),
        tag: Vec::new(),
        durability: Survives::Full,
        command: Vec::new(),
    };
    let mut durability = None;
    loop {
        let word = line.word()?;
        match word.to_str()? {
            "--" => break,
            "--key" => line.once(&mut terms.key)?,
            "--ttl" => line.once(&mut terms.ttl)?,
            "--stale" => line.once(&mut terms.stale)?,
            "--stale-if-error" => line.once(&mut terms.stale_if_error)?,
            "--soft-timeout" => line.once(&mut terms.soft_timeout)?,
            "--class" => line.once(&mut terms.class)?,
            "--fail-on-stale" => on(&mut terms.fail_on_stale)?,
            "--timeout" => line.once(&mut terms.timeout)?,
            "--fail-ttl" => line.once(&mut terms.fail_ttl)?,
            "--refresh" => on(&mut terms.refresh)?,
            "--offline" => on(&mut terms.offline)?,
            "--depends" => terms.depends.push(line.value()?.into()),
            "--env" => terms.env.push(line.value()?),
            "--tag" => terms.tag.push(tag(line.value()?.to_str()?).ok()?),
            "--durability" => {
                let named = survives(&line.value()?)?;
                durability.replace(named).is_none().then_some(())?;
            }
            flag => global.take(flag, line)?,
        }
    }
    terms.durability = durability.unwrap_or(Survives::Full);
    terms.command.extend(line.arguments.by_ref());
    let is_plain = !(terms.command.is_empty() || terms.refresh && terms.offline);
    is_plain.then_some(Arguments { global, verb: Verb::Run(terms) })
}

fn survives(name: &OsStr) -> Option<Survives> {
    match name.to_str()? {
        "full" => Some(Survives::Full),
        "relaxed" => Some(Survives::Relaxed),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    /// What this says and what clap says.
    fn both(line: &str) -> (Option<Arguments>, Option<Arguments>) {
        let clap = Arguments::try_parse_from(std::iter::once("larder".into()).chain(words(line))).ok();
        (read(words(line).into_iter()), clap)
    }

    #[test]
    fn plain_command_lines_mean_here_what_they_mean_to_clap() {
        for line in [
            "get docs/a",
            "--root /x get docs/a --status",
            "get --json docs/a --max-age 5m -q",
            "get docs/a --offline --lock-timeout infinite --config /c.yaml",
            "get docs/a --soft-timeout 1s --fail-on-stale",
            "--behind run --stale 5s --stale-if-error 1d --soft-timeout 0 --class active --fail-on-stale -- x",
            "run -- echo hi",
            "run --key k --ttl 5s --timeout 1m --fail-ttl 2s --refresh -- echo -- --key x",
            "--status run --offline --env A --env B --depends a --depends /b --tag t --tag u --durability relaxed --root /x --json -- cat",
            "run --timeout infinite --lock-timeout 0 --quiet --durability full -- -x",
        ] {
            let (lean, clap) = both(line);
            assert!(lean.is_some(), "{line} is not read here");
            assert_eq!(lean, clap, "{line}");
        }
    }

    #[test]
    fn what_is_not_plain_is_left_to_clap() {
        for line in [
            "",
            "get",
            "get a b",
            "get a//b",
            "get --refresh a",
            "get --offline --max-age 5s a",
            "get -- -a",
            "get a --json --json",
            "get a -qq",
            "get --root=/x a",
            "run --",
            "run echo",
            "run --ttl infinite -- x",
            "run --ttl 1s --ttl 2s -- x",
            "run --refresh --offline -- x",
            "run --durability some -- x",
            "run --key -- x",
            "run -v -- x",
            "put a",
            "--help",
        ] {
            assert_eq!(both(line).0, None, "{line}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn arguments_that_are_no_text_are_the_commands_own() {
        use std::os::unix::ffi::OsStringExt as _;
        let odd = OsString::from_vec(vec![0xff]);
        let line = |words: &[&str]| words.iter().map(OsString::from).chain([odd.clone()]).collect::<Vec<_>>();
        let Some(Arguments { verb: Verb::Run(terms), .. }) = read(line(&["run", "--", "echo"]).into_iter()) else {
            panic!("a plain run");
        };
        assert_eq!(terms.command, line(&["echo"]));
        assert_eq!(read(line(&["get"]).into_iter()), None);
    }
}
