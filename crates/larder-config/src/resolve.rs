//! From what a file says to what is in force.

mod credentials;

use std::collections::BTreeMap;
use std::time::Duration;

use camino::Utf8Path;
use larder_staleness::{Backoff, Classes, Pattern, Policy};

use crate::advice::{Advice, LONG_WAIT, of_order};
use crate::config::{Config, Limits, Refresh, Switches, Views};
use crate::credential::Credential;
use crate::error::{Error, nearest};
use crate::file;
use crate::place::Place;
use crate::policy::{Scope, Sourced};
use crate::setting::{Origin, Setting};
use crate::source::Source;
use crate::template::{Template, TemplateError};
use crate::value::{self, ValueError};
use crate::yaml::At;

/// How many rules, and how many sources, are looked through for a key.
const RULES_MAX: usize = 1_000;
/// How many words a command may have.
const WORDS_MAX: usize = 1_000;
/// What the name of the class of a rule begins with.
const RULE: &str = "match:";
/// The longest tag, in bytes.
const TAG_BYTES_MAX: usize = 256;

const MIB: u64 = 1024 * 1024;

pub(crate) fn built_in() -> Config {
    let built = Resolver::new(Utf8Path::new("")).run(&file::File::default());
    // a file that says nothing contradicts nothing
    built.unwrap_or_else(|_| Config {
        limits: Resolver::limits_built_in(),
        switches: Switches { locking: true, refresh: true, disk: true, network: true },
        refresh: Refresh { enabled: true, check_on_access: true, auto_queue: true, auto_process_on_startup: false },
        views: Views { auto: false },
        classes: Classes::default(),
        credentials: Vec::new(),
        sources: Vec::new(),
        settings: Vec::new(),
        advice: Vec::new(),
    })
}

pub(crate) fn resolve(given: &file::File, file: &Utf8Path) -> Result<Config, Error> {
    Resolver::new(file).run(given)
}

struct Resolver<'a> {
    file: &'a Utf8Path,
    settings: Vec<Setting>,
    advice: Vec<Advice>,
}

impl<'a> Resolver<'a> {
    const fn new(file: &'a Utf8Path) -> Self {
        Self { file, settings: Vec::new(), advice: Vec::new() }
    }

    fn run(mut self, given: &file::File) -> Result<Config, Error> {
        let version = given.version.as_ref();
        let origin = version.map_or(Origin::BuiltIn, |at| self.scope("").origin(at));
        self.settings.push(Setting { name: "version".to_owned(), value: file::VERSION.to_owned(), origin });
        let limits = self.limits(given.limits.as_ref().unwrap_or(&file::Limits::default()))?;
        let switches = self.switches(given.switches.as_ref().unwrap_or(&file::Switches::default()));
        let nothing = file::Refresh::default();
        let about_refresh = given.refresh.as_ref().unwrap_or(&nothing);
        let refresh = self.refresh(about_refresh);
        let auto = given.views.as_ref().and_then(|views| views.auto.as_ref());
        let views = Views { auto: self.switch(("views", "auto"), auto, false) };
        let classes = self.classes(given, about_refresh)?;
        let credentials = self.credentials(given.credentials.as_ref())?;
        let sources = self.sources(given.sources.as_deref().unwrap_or_default(), &credentials)?;
        let Self { settings, advice, .. } = self;
        Ok(Config { limits, switches, refresh, views, classes, credentials, sources, settings, advice })
    }

    fn scope<'b>(&self, name: &'b str) -> Scope<'b>
    where
        'a: 'b,
    {
        Scope { file: self.file, name }
    }

    /// One value, and its line among the settings.
    fn take<T: Copy>(
        &mut self,
        (scope, key): (&str, &str),
        given: Option<&At<String>>,
        otherwise: T,
        read: impl FnOnce(&str) -> Result<T, ValueError>,
        show: impl FnOnce(T) -> String,
    ) -> Result<T, Error> {
        let scope = self.scope(scope);
        let (value, origin) = match given {
            Some(at) => (scope.value(key, at, read)?, scope.origin(at)),
            None => (otherwise, Origin::BuiltIn),
        };
        self.settings.push(Setting { name: scope.name_of(key), value: show(value), origin });
        Ok(value)
    }

    fn switch(&mut self, (scope, key): (&str, &str), given: Option<&At<bool>>, otherwise: bool) -> bool {
        let scope = self.scope(scope);
        let value = given.map_or(otherwise, |at| at.value);
        let origin = given.map_or(Origin::BuiltIn, |at| scope.origin(at));
        self.settings.push(Setting { name: scope.name_of(key), value: value.to_string(), origin });
        value
    }

    fn limits_built_in() -> Limits {
        Limits {
            body_bytes_max: 64 * MIB,
            bytes_max: 100 * MIB,
            entries_max: 10_000,
            memory_bytes_max: 64 * MIB,
            lock_timeout: Some(Duration::from_secs(600)),
            timeout: Duration::from_secs(900),
            soft_timeout: Duration::from_secs(2),
            backoff: Backoff::default(),
        }
    }

    fn limits(&mut self, given: &file::Limits) -> Result<Limits, Error> {
        let (name, mut limits) = (|key| ("limits", key), Self::limits_built_in());
        let (time, show_time) = (value::duration, value::show_duration);
        let not_zero =
            |text: &str| value::size(text).and_then(|size| if size == 0 { Err(ValueError::Zero) } else { Ok(size) });
        let some_time =
            |text: &str| time(text).and_then(|time| if time.is_zero() { Err(ValueError::Zero) } else { Ok(time) });
        limits.body_bytes_max = self.take(
            name("body_bytes_max"),
            given.body_bytes_max.as_ref(),
            limits.body_bytes_max,
            not_zero,
            value::show_size,
        )?;
        limits.bytes_max = self.take(
            name("bytes_max"),
            given.bytes_max.as_ref(),
            limits.bytes_max,
            value::bound_on_bytes,
            value::show_bound_on_bytes,
        )?;
        limits.entries_max = self.take(
            name("entries_max"),
            given.entries_max.as_ref(),
            limits.entries_max,
            value::bound_on_count,
            value::show_bound_on_count,
        )?;
        limits.memory_bytes_max = self.take(
            name("memory_bytes_max"),
            given.memory_bytes_max.as_ref(),
            limits.memory_bytes_max,
            value::size,
            value::show_size,
        )?;
        limits.lock_timeout = self.take(
            name("lock_timeout"),
            given.lock_timeout.as_ref(),
            limits.lock_timeout,
            value::wait,
            value::show_wait,
        )?;
        limits.timeout = self.take(name("timeout"), given.timeout.as_ref(), limits.timeout, some_time, show_time)?;
        limits.soft_timeout =
            self.take(name("soft_timeout"), given.soft_timeout.as_ref(), limits.soft_timeout, time, show_time)?;
        let backoff = &mut limits.backoff;
        backoff.first =
            self.take(name("backoff_first"), given.backoff_first.as_ref(), backoff.first, time, show_time)?;
        backoff.cap = self.take(name("backoff_cap"), given.backoff_cap.as_ref(), backoff.cap, time, show_time)?;
        backoff.retry_after_max = self.take(
            name("retry_after_max"),
            given.retry_after_max.as_ref(),
            backoff.retry_after_max,
            time,
            show_time,
        )?;
        self.judge_limits(given, &limits)?;
        Ok(limits)
    }

    fn judge_limits(&mut self, given: &file::Limits, limits: &Limits) -> Result<(), Error> {
        let odd =
            |at: &At<String>, what: &str, remedy| Advice { place: at.place(self.file), what: what.to_owned(), remedy };
        if let Some(at) = &given.lock_timeout
            && limits.lock_timeout.is_none_or(|timeout| timeout > LONG_WAIT)
        {
            let what = "waits for others of more than an hour look like programs that hang";
            self.advice.push(odd(at, what, "use a shorter lock_timeout"));
        }
        if let Some(at) = given.body_bytes_max.as_ref().or(given.bytes_max.as_ref())
            && limits.body_bytes_max > limits.bytes_max
        {
            let what = "the largest document is larger than all together may be, so that it would not stay";
            self.advice.push(odd(at, what, "use a smaller body_bytes_max, or a larger bytes_max"));
        }
        if let Some(at) = given.soft_timeout.as_ref().filter(|_| limits.soft_timeout >= limits.timeout) {
            let what = "the soft timeout is not shorter than the timeout, so that it changes nothing";
            self.advice.push(odd(at, what, "use a shorter soft_timeout"));
        }
        if let Some(at) = given.backoff_cap.as_ref().or(given.backoff_first.as_ref())
            && limits.backoff.first > limits.backoff.cap
        {
            let (name, other) = ("limits.backoff_cap".to_owned(), "limits.backoff_first".to_owned());
            let origin = given.backoff_first.as_ref().map_or(Origin::BuiltIn, |at| self.scope("limits").origin(at));
            let origin = Box::new(origin);
            let remedy = "let the cap be the longer one";
            return Err(Error::Contradiction { place: at.place(self.file), name, other, origin, remedy });
        }
        Ok(())
    }

    fn switches(&mut self, given: &file::Switches) -> Switches {
        let name = |key| ("switches", key);
        Switches {
            locking: self.switch(name("locking"), given.locking.as_ref(), true),
            refresh: self.switch(name("refresh"), given.refresh.as_ref(), true),
            disk: self.switch(name("disk"), given.disk.as_ref(), true),
            network: self.switch(name("network"), given.network.as_ref(), true),
        }
    }

    fn refresh(&mut self, given: &file::Refresh) -> Refresh {
        let name = |key| ("refresh", key);
        let enabled = self.switch(name("enabled"), given.enabled.as_ref(), true);
        let check_on_access = self.switch(name("check_on_access"), given.check_on_access.as_ref(), true);
        let auto_queue = self.switch(name("auto_queue"), given.auto_queue.as_ref(), true);
        let startup = given.auto_process_on_startup.as_ref();
        let auto_process_on_startup = self.switch(name("auto_process_on_startup"), startup, false);
        Refresh { enabled, check_on_access, auto_queue, auto_process_on_startup }
    }

    fn classes(&mut self, given: &file::File, refresh: &file::Refresh) -> Result<Classes, Error> {
        let mut classes = Classes::default();
        let defaults = self.defaults(given, refresh)?;
        self.settings.extend(defaults.settings("defaults"));
        classes.define(Classes::DEFAULT, defaults.policy);
        let mut named: BTreeMap<String, Sourced> = BTreeMap::new();
        for name in ["stable", "active", "critical"] {
            // but for their fresh time, they are as the defaults are
            let fresh = classes.get(name).map_or(defaults.policy.fresh, |policy| policy.fresh);
            named.insert(name.to_owned(), defaults.clone().with_fresh(fresh, Origin::BuiltIn));
        }
        for (name, policy) in given.types.iter().flatten() {
            let base = match named.get(&name.value) {
                Some(base) => base.clone(),
                None => self.new_class(name, &defaults)?,
            };
            let scope = format!("types.{}", name.value);
            named.insert(name.value.clone(), base.overlaid(policy, self.scope(&scope))?);
        }
        for (name, sourced) in &named {
            self.settings.extend(sourced.settings(&format!("types.{name}")));
            classes.define(name, sourced.policy);
        }
        self.rules(given.classes.as_deref().unwrap_or_default(), &mut classes, &named, &defaults)?;
        Ok(classes)
    }

    fn defaults(&self, given: &file::File, refresh: &file::Refresh) -> Result<Sourced, Error> {
        let mut defaults = Sourced::built_in(Policy::default());
        if let Some(days) = &refresh.default_max_age_days {
            let scope = self.scope("refresh");
            let fresh = scope.value("default_max_age_days", days, value::days)?;
            if let Some(at) = given.defaults.as_ref().and_then(|defaults| defaults.fresh.as_ref()) {
                let (first, last) = if at.line < days.line { (at, days) } else { (days, at) };
                let is_days_last = last.line == days.line;
                let names = ["refresh.default_max_age_days".to_owned(), "defaults.fresh".to_owned()];
                let [days_name, fresh_name] = names;
                let (name, other) = if is_days_last { (days_name, fresh_name) } else { (fresh_name, days_name) };
                let (place, origin) = (last.place(self.file), Box::new(scope.origin(first)));
                let remedy = "keep one of the two";
                return Err(Error::Contradiction { place, name, other, origin, remedy });
            }
            defaults = defaults.with_fresh(fresh, scope.origin(days));
        }
        match &given.defaults {
            Some(policy) => defaults.overlaid(policy, self.scope("defaults")),
            None => Ok(defaults),
        }
    }

    /// What a class starts from that the file makes.
    fn new_class(&self, name: &At<String>, defaults: &Sourced) -> Result<Sourced, Error> {
        let remedy = match name.value.as_str() {
            "" => "give it a name",
            Classes::DEFAULT => "what has no class is described under `defaults`",
            other if other.starts_with(RULE) => "names that begin with `match:` are those of rules",
            other if other.contains(char::is_control) => "leave control characters out",
            _ => return Ok(defaults.clone()),
        };
        Err(Error::ClassName { place: name.place(self.file), name: name.value.clone(), remedy })
    }

    fn rules(
        &mut self,
        rules: &[file::Rule],
        classes: &mut Classes,
        named: &BTreeMap<String, Sourced>,
        defaults: &Sourced,
    ) -> Result<(), Error> {
        let mut patterns = Vec::new();
        for (at, rule) in rules.iter().enumerate() {
            let (pattern, place) = self.pattern(&rule.pattern, at, "rules under `classes`")?;
            let base = match &rule.class {
                None => defaults,
                Some(class) => named.get(&class.value).ok_or_else(|| self.unknown_class(class, named))?,
            };
            let scope = format!("classes.{pattern}");
            let sourced = base.overlaid(&rule.policy(), self.scope(&scope))?;
            let name = match &rule.class {
                Some(class) if sourced.policy == base.policy => class.value.clone(),
                _ => format!("{RULE}{pattern}"),
            };
            self.settings.extend(sourced.settings(&scope));
            if patterns.iter().all(|(known, _)| *known != pattern) {
                if name.starts_with(RULE) {
                    classes.define(&name, sourced.policy);
                }
                // it was defined the moment before
                let _ = classes.add_rule(pattern.clone(), &name);
            }
            patterns.push((pattern, place));
        }
        self.advice.extend(of_order("rule", &patterns));
        Ok(())
    }

    fn unknown_class(&self, class: &At<String>, named: &BTreeMap<String, Sourced>) -> Error {
        Error::UnknownClass {
            place: class.place(self.file),
            class: class.value.clone(),
            known: named.keys().cloned().collect(),
            nearest: nearest(&class.value, named.keys().map(String::as_str)),
        }
    }

    fn pattern(&self, at: &At<String>, number: usize, what: &'static str) -> Result<(Pattern, Place), Error> {
        let place = at.place(self.file);
        if number >= RULES_MAX {
            return Err(Error::TooMany { place, what, max: RULES_MAX });
        }
        let unusable = at.value.split('/').find_map(|segment| match segment {
            "." => Some("a segment `.`"),
            ".." => Some("a segment `..`"),
            other if other.contains('\0') => Some("a NUL character"),
            _ => None,
        });
        if let Some(segment) = unusable {
            return Err(Error::Unmatchable { place, pattern: at.value.clone(), segment });
        }
        match at.value.parse() {
            Ok(pattern) => Ok((pattern, place)),
            Err(source) => Err(Error::Pattern { place, pattern: at.value.clone(), source }),
        }
    }

    fn sources(&mut self, given: &[file::Source], known: &[Credential]) -> Result<Vec<Source>, Error> {
        let mut sources = Vec::new();
        for (at, source) in given.iter().enumerate() {
            let source = self.source(source, at, known)?;
            let origin = Origin::File { file: self.file.to_owned(), line: source.place.line };
            // the words are shown as they were written, and hold no value of any variable
            let words: Vec<String> = given
                .get(at)
                .map_or_else(Vec::new, |source| source.command.value.iter().map(|word| word.value.clone()).collect());
            let value = serde_json::to_string(&words).unwrap_or_default();
            self.settings.push(Setting { name: format!("sources.{}", source.pattern), value, origin });
            sources.push(source);
        }
        let patterns: Vec<(Pattern, Place)> =
            sources.iter().map(|source: &Source| (source.pattern.clone(), source.place.clone())).collect();
        self.advice.extend(of_order("source", &patterns));
        Ok(sources)
    }

    fn source(&self, given: &file::Source, number: usize, known: &[Credential]) -> Result<Source, Error> {
        let (pattern, place) = self.pattern(&given.pattern, number, "sources")?;
        let mut words = Vec::new();
        for word in &given.command.value {
            let fail = |source| Error::Template { place: word.place(self.file), word: word.value.clone(), source };
            let template = Template::parse(&word.value, &pattern).map_err(fail)?;
            if words.len() >= WORDS_MAX {
                return Err(Error::TooMany {
                    place: word.place(self.file),
                    what: "words in a command",
                    max: WORDS_MAX,
                });
            }
            match (words.is_empty(), template.literal()) {
                (true, None) => return Err(fail(TemplateError::Program)),
                (true, Some("")) => return Err(Error::EmptyCommand { place: word.place(self.file) }),
                _ => words.push(template),
            }
        }
        if words.is_empty() {
            return Err(Error::EmptyCommand { place: given.command.place(self.file) });
        }
        let mut env = Vec::new();
        for name in given.env.iter().flatten() {
            if name.value.is_empty() || name.value.contains(['=', '\0']) {
                // what stands behind it may be a secret
                let before = name.value.split(['=', '\0']).next().unwrap_or_default().to_owned();
                return Err(Error::EnvironmentName { place: name.place(self.file), name: before });
            }
            env.push(name.value.clone());
        }
        let credentials = self.asked_for(given.credentials.as_deref(), known)?;
        let mut tags = Vec::new();
        for tag in given.tags.iter().flatten() {
            if tag.value.is_empty() || tag.value.len() > TAG_BYTES_MAX || tag.value.contains('\0') {
                return Err(Error::Tag { place: tag.place(self.file), tag: tag.value.clone() });
            }
            tags.push(tag.value.clone());
        }
        let scope = format!("sources.{pattern}");
        let some_time = |text: &str| {
            value::duration(text).and_then(|time| if time.is_zero() { Err(ValueError::Zero) } else { Ok(time) })
        };
        let read = |at: &At<String>| self.scope(&scope).value("timeout", at, some_time);
        let timeout = given.timeout.as_ref().map(read).transpose()?;
        Ok(Source { pattern, env, credentials, timeout, tags, words, place })
    }
}
