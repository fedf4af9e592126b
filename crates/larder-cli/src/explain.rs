//! `larder explain`: what is stored under a key, what is done for whoever asks, and why.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use larder_queue::View;
use larder_staleness::{Action, Chosen, Decision, Recommendation, Why, Wish, format_date, ms_of};
use larder_storage::{Entry, Key};
use larder_upstream::{About, Flights, UnderWay};
use larder_watch::fingerprint::{Change, Paths};
use serde::Serialize;

use crate::args::{Explain, Global};
use crate::ask::{Look, copy_of};
use crate::config::Loaded;
use crate::exit::{Exit, Failed};
use crate::flights::{self, FlightObject};
use crate::output::Output;
use crate::text::{distance, plain, span, unix_ms};
use crate::{depends, json, queue, root};

/// What `explain --json` prints.
#[derive(Serialize)]
struct Answer<'a> {
    key: &'a Key,
    verdict: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    stored: Option<Stored<'a>>,
    at_ms: u64,
    decision: Decision,
    because: &'static str,
    recommendation: Recommendation,
    class: ClassObject<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<SourceObject<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    depends: Vec<depends::Object>,
    #[serde(skip_serializing_if = "Option::is_none")]
    changed: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    flight: Option<FlightObject<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    queue: Option<queue::Object<'a>>,
}

#[derive(Serialize)]
struct ClassObject<'a> {
    name: &'a str,
    from: String,
    fresh_s: u64,
    stale_while_revalidate_s: u64,
    stale_if_error_s: u64,
}

#[derive(Serialize)]
struct SourceObject<'a> {
    pattern: &'a str,
    place: String,
    trusted: bool,
}

#[derive(Serialize)]
#[expect(clippy::struct_field_names, reason = "the names are those of the JSON")]
struct Stored<'a> {
    bytes: usize,
    stored_ms: u64,
    fetched_ms: u64,
    fresh_until_ms: u64,
    swr_until_ms: u64,
    sie_until_ms: u64,
    keep_until_ms: u64,
    fetch_ms: u64,
    age_s: i64,
    ttl_s: i64,
    unchanged_checks: u32,
    durability: larder_storage::Durability,
    standing: &'static str,
    generation: String,
    tags: Vec<&'a str>,
}

/// All that an explanation is made of.
struct Explanation<'a> {
    key: &'a Key,
    at: SystemTime,
    loaded: &'a Loaded,
    found: Option<Entry>,
    decision: Decision,
    under_way: Option<UnderWay>,
    class: Chosen<'a>,
    /// What has changed of that which the copy depends on.
    change: Option<Change>,
    /// The task of the queue that is to refresh it.
    task: Option<View>,
}

pub(crate) fn run(global: &Global, terms: &Explain, output: Output) -> Result<Exit, Failed> {
    let loaded = Loaded::find(global)?;
    // for writing, because only then can it be told whether the leader of a flight lives; nothing is made
    let store = Arc::new(loaded.options().open(root::path(global)?)?);
    let flights = Flights::new(Arc::clone(&store));
    let now = store.clock().wall();
    let at = terms.at.map_or(now, |moment| moment.seen_from(now));
    let depends = Paths::default();
    let look = Look::new((&store, &flights), &terms.key, &[], &depends);
    let wish = wish(terms, &loaded);
    let (found, decided) = look.at(&wish, at)?;
    let under_way = match decided.under_way {
        Some(under_way) => Some(under_way),
        None => flights.at(&terms.key, &[]).map_err(|error| Failed::new(Exit::INPUT_OUTPUT, error))?,
    };
    let named = found.as_ref().and_then(|entry| About::of(entry)?.class);
    let classes = loaded.config.classes();
    // a class that is gone from the configuration says nothing any more
    let class = classes.choose(named.as_deref(), terms.key.as_str());
    let class = class.unwrap_or_else(|_| classes.of_key(terms.key.as_str()));
    let decision = decided.decision;
    // as it is now, whatever moment was asked about: nobody knows what files will be
    let change = found.as_ref().and_then(|entry| look.change_of(entry));
    let task = queue::find(&store)?.map(|queue| queue.find(terms.key.as_str())).transpose()?.flatten();
    let key = &terms.key;
    let explanation = Explanation { key, at, loaded: &loaded, found, decision, under_way, class, change, task };
    if output.json {
        output.object(&explanation.object())?;
    } else {
        output.data(explanation.words().as_bytes())?;
    }
    Ok(if explanation.found.is_some() { Exit::OK } else { Exit::ABSENT })
}

/// What `larder get` would want.
fn wish(terms: &Explain, loaded: &Loaded) -> Wish {
    let mut wish = Wish::default();
    wish.offline = !loaded.config.switches().network;
    wish.max_age = terms.max_age.map(|span| span.0);
    wish.may_refresh = loaded.may_refresh();
    // what chance decides cannot be told beforehand
    wish.early = match loaded.config.classes().of_key(terms.key.as_str()).policy.early {
        larder_staleness::Early::XFetch(_) => larder_staleness::Early::Never,
        early => early,
    };
    wish
}

/// What is done, in words.
const fn action(action: Action) -> &'static str {
    match action {
        Action::Give { refresh: false } => "the copy is given",
        Action::Give { refresh: true } => "the copy is given, and refreshed meanwhile",
        Action::Ask { fallback: false } => "the upstream is asked and waited for",
        Action::Ask { fallback: true } => "the upstream is asked; the copy is given if it fails or takes too long",
        Action::Fail => "the failure that is remembered is told",
        Action::Absent => "there is nothing to give",
    }
}

impl Explanation<'_> {
    /// The verdict on the copy as one word.
    fn verdict(&self) -> &'static str {
        match (&self.found, self.decision.verdict) {
            (Some(entry), Some(_)) if copy_of(entry).is_invalidated => "invalidated",
            (Some(_), Some(_)) if self.change.is_some() => "outdated",
            (Some(_), Some(larder_staleness::Verdict::Fresh)) => "fresh",
            (Some(_), Some(_)) => "stale",
            _ => "absent",
        }
    }

    fn class_from(&self) -> String {
        match self.class.why {
            Why::Explicit => "named when it was stored".to_owned(),
            Why::Pattern(pattern) => format!("pattern {pattern}"),
            Why::Default => "no pattern matches".to_owned(),
        }
    }

    fn recommendation(&self) -> Recommendation {
        let life = self.found.as_ref().map(|entry| About::of_or_default(entry).life);
        Recommendation::at(life.as_ref(), ms_of(self.at))
    }

    fn object(&self) -> Answer<'_> {
        let policy = self.class.policy;
        let class = ClassObject {
            name: self.class.name,
            from: self.class_from(),
            fresh_s: policy.fresh.as_secs(),
            stale_while_revalidate_s: policy.stale_while_revalidate.as_secs(),
            stale_if_error_s: policy.stale_if_error.as_secs(),
        };
        let source = self.loaded.source_of(self.key).map(|source| SourceObject {
            pattern: source.pattern.as_str(),
            place: source.place().to_string(),
            trusted: self.loaded.check_trusted(source).is_ok(),
        });
        Answer {
            key: self.key,
            at_ms: ms_of(self.at),
            verdict: self.verdict(),
            decision: self.decision,
            because: self.decision.reason.words(),
            recommendation: self.recommendation(),
            class,
            source,
            stored: self.found.as_ref().map(|entry| stored(entry, self.at)),
            depends: self.found.as_ref().map_or_else(Vec::new, depends::objects),
            changed: self.change.as_ref().map(ToString::to_string),
            flight: self.under_way.as_ref().map(FlightObject::from),
            queue: self.task.as_ref().map(queue::Object::of),
        }
    }

    fn words(&self) -> String {
        let mut text = String::new();
        let mut line = |name: &str, value: &str| {
            let _ = writeln!(text, "{name:<11} {value}");
        };
        line("key", &plain(self.key.as_str()));
        line("verdict", &format!("{}: {}", self.verdict(), self.decision.reason.words()));
        line("so", action(self.decision.action));
        line("at", &format_date(ms_of(self.at)));
        let Recommendation { advice, days_left, .. } = self.recommendation();
        let advice = serde_json::to_string(&advice).unwrap_or_default();
        line("advice", &format!("{}, {days_left} days left", advice.trim_matches('"')));
        line(
            "class",
            &format!("{}, fresh for {} ({})", self.class.name, span(self.class.policy.fresh), self.class_from()),
        );
        if let Some(source) = self.loaded.source_of(self.key) {
            let trust = if self.loaded.check_trusted(source).is_ok() { "" } else { ", not trusted" };
            line(
                "source",
                &format!("{}, {}{trust}", plain(source.pattern.as_str()), plain(&source.place().to_string())),
            );
        }
        if let Some(entry) = &self.found {
            for (name, value) in copy_words(entry, self.at) {
                line(name, &value);
            }
        }
        for object in self.found.as_ref().map_or_else(Vec::new, depends::objects) {
            line("depends on", &plain(&object.words()));
        }
        if let Some(change) = &self.change {
            line("changed", &plain(&change.to_string()));
        }
        line("flight", &self.under_way.as_ref().map_or_else(|| "none".to_owned(), flights::words));
        if let Some(task) = &self.task {
            line("queue", &plain(&queue::words(task)));
        }
        text
    }
}

/// What there is to say of the copy.
fn copy_words(entry: &Entry, at: SystemTime) -> Vec<(&'static str, String)> {
    let about = About::of_or_default(entry);
    let (life, now_ms) = (about.life, ms_of(at));
    let until = |ms: u64| {
        let seconds = (i128::from(ms) - i128::from(now_ms)).div_euclid(1_000);
        format!("{}, {}", format_date(ms), distance(seconds))
    };
    let took = span(Duration::from_millis(life.fetch_ms));
    let mut lines = vec![
        ("size", format!("{} bytes", entry.body().len())),
        ("fetched", format!("{}; it took {took}", until(life.fetched_ms))),
        ("fresh until", until(life.fresh_until_ms)),
    ];
    // windows of no length are off
    if life.swr_until_ms > life.fresh_until_ms {
        lines.push(("swr until", until(life.swr_until_ms)));
    }
    if life.sie_until_ms > life.fresh_until_ms {
        lines.push(("sie until", until(life.sie_until_ms)));
    }
    lines.push(("kept until", until(life.keep_until_ms)));
    let is_full = entry.durability() == larder_storage::Durability::Full;
    lines.push(("durability", if is_full { "full" } else { "relaxed" }.to_owned()));
    lines.push(("generation", entry.token().to_string()));
    let tags: Vec<&str> = entry.metadata().tags().iter().map(larder_storage::Tag::as_str).collect();
    if !tags.is_empty() {
        lines.push(("tags", plain(&tags.join(", ")).into_owned()));
    }
    if About::of(entry).is_none() {
        let note = "stored without times, so that the default of 30d counts from when it was stored";
        lines.push(("note", note.to_owned()));
    }
    lines
}

fn stored(entry: &Entry, at: SystemTime) -> Stored<'_> {
    let about = About::of_or_default(entry);
    let life = about.life;
    Stored {
        bytes: entry.body().len(),
        stored_ms: unix_ms(entry.stored_at()),
        fetched_ms: life.fetched_ms,
        fresh_until_ms: life.fresh_until_ms,
        swr_until_ms: life.swr_until_ms,
        sie_until_ms: life.sie_until_ms,
        keep_until_ms: life.keep_until_ms,
        fetch_ms: life.fetch_ms,
        age_s: life.age(at),
        ttl_s: life.ttl_left(at),
        unchanged_checks: about.history.unchanged,
        durability: entry.durability(),
        standing: json::standing(entry.standing()),
        generation: entry.token().to_string(),
        tags: entry.metadata().tags().iter().map(larder_storage::Tag::as_str).collect(),
    }
}
