//! The configuration: whether it can be read, whether its commands may be run, and whether they are there.

use std::collections::BTreeSet;
use std::path::Path;

use super::finding::{Finding, Seen, Subject};
use super::scene::Scene;
use super::shell;
use crate::config::{Error, Loaded, NAME};
use crate::exit::chain;

pub(super) fn check(scene: &Scene, seen: &mut Seen) {
    match &scene.config {
        None => {
            let what = "the configuration was not read in time: its file system does not answer";
            seen.add(Finding::error(Subject::Config, what).command("see which disk that is", "df . \"$HOME\""));
        }
        Some(Err(error)) => seen.add(unusable(scene, error)),
        Some(Ok(loaded)) => {
            match loaded.file() {
                Some(file) => seen.fact(format!("the configuration is {file}, {}", loaded.origin())),
                None => seen.fact("there is no configuration: everything is as built in"),
            }
            usable(loaded, seen);
        }
    }
}

fn unusable(scene: &Scene, error: &Error) -> Finding {
    let finding = Finding::error(Subject::Config, chain(error));
    let finding = match error.file() {
        Some(file) => finding.at(file),
        None => finding,
    };
    finding.command("mend it, and check it", scene.larder(&["config", "check"]))
}

fn usable(loaded: &Loaded, seen: &mut Seen) {
    let sources = loaded.config.sources();
    for advice in loaded.config.advice() {
        let finding = Finding::warning(Subject::Config, format!("{}: {}", advice.place, advice.what));
        seen.add(finding.at(&advice.place.file).remedy(advice.remedy));
    }
    if !loaded.is_trusted() && loaded.config.defines_commands() {
        let what = format!(
            "./{NAME} was found in the working folder, and its {} commands are not run before it is trusted",
            sources.len()
        );
        let finding = Finding::warning(Subject::Config, what).at(NAME);
        let finding = finding.command("look at it", shell::command(["cat", NAME]));
        seen.add(finding.command("then trust it", "larder config trust"));
        // whether programs are there that nobody runs does not matter yet
        return;
    }
    let mut told = BTreeSet::new();
    for source in sources {
        let program = source.program();
        if !is_there(program) && told.insert(program) {
            let what = format!("{}: {program:?} cannot be run: there is no such program on this PATH", source.place());
            let finding = Finding::error(Subject::Config, what).at(&source.place().file);
            let finding =
                finding.command("install it, and see where it is", shell::command(["command", "-v", program]));
            seen.add(finding.remedy("or name another program there, by its whole path if it is nowhere on the PATH"));
        }
    }
}

/// Whether a program can be found, as the system looks for it.
fn is_there(program: &str) -> bool {
    if Path::new(program).components().count() > 1 {
        return is_program(Path::new(program));
    }
    let folders = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&folders).any(|folder| is_program(&folder.join(program)))
}

#[cfg(unix)]
fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

/// Here the name may lack its ending.
#[cfg(not(unix))]
fn is_program(path: &Path) -> bool {
    let endings = std::env::var("PATHEXT").unwrap_or_else(|_| ".COM;.EXE;.BAT;.CMD".to_owned());
    let named = |ending: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        std::fs::metadata(name).is_ok_and(|found| found.is_file())
    };
    std::iter::once("").chain(endings.split(';')).any(named)
}
