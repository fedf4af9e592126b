//! `larder get`: a document as it is stored, or from the source that its key is configured to have.

use std::sync::Arc;
use std::time::Duration;

use larder::counters::{Counter, Fold};
use larder_config::Source;
use larder_lock::Bound;
use larder_staleness::{Action, Life, Wish};
use larder_storage::{Entry, Key, Standing, Tag};
use larder_upstream::{About, Flights};
use larder_watch::fingerprint::Paths;

use crate::args::{Get, Global};
use crate::ask::bounds::Bounds;
use crate::ask::{Call, Look, uncached};
use crate::config::Loaded;
use crate::exit::{Exit, Failed};
use crate::job::{Environment, Job, Remembers};
use crate::output::Output;
use crate::{ask, environment, root, status, text};

/// There is no copy that may be given.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
enum Absent {
    #[error("nothing is stored under {key:?}")]
    Nothing { key: Key },
    #[error("the copy of {key:?} was invalidated, and no source is configured for it: --offline gives it all the same")]
    Invalidated { key: Key },
    #[error(
        "the copy of {key:?} is out of date: {changed}; no source is configured for it: --offline gives it all the same"
    )]
    Outdated { key: Key, changed: String },
    #[error(
        "the copy of {key:?} is not fresh any more, and no source is configured for it: --offline gives it all the same"
    )]
    Stale { key: Key },
    #[error("the copy of {key:?} is {age} old, and --max-age takes none over {bound}")]
    Old { key: Key, age: String, bound: String },
    #[error(
        "no source is configured for {key:?}: leave out --refresh for the stored copy, name a source in larder.yaml, or \
         use `larder run --refresh`"
    )]
    NoSource { key: Key },
}

/// What a source's configuration says cannot be done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
enum Unfit {
    #[error(transparent)]
    Command(#[from] larder_config::CommandError),
    #[error("the tags that {place} gives to {key:?} cannot be used")]
    Tag {
        place: String,
        key: Key,
        #[source]
        source: larder_storage::MetadataError,
    },
}

pub(crate) fn run(global: &Global, terms: &Get, output: Output) -> Result<Exit, Failed> {
    let loaded = Loaded::find(global)?;
    let source = loaded.source_of(&terms.key);
    let wish = wish(terms, &loaded, source.is_some());
    // whoever only looks needs no leave to run anything
    let source = if wish.offline { None } else { source };
    let (switches, is_offline) = (loaded.config.switches(), wish.offline);
    let Some(source) = source else {
        return stored(global, terms, &loaded, &wish, output);
    };
    loaded.check_trusted(source)?;
    let timeout = source.timeout.unwrap_or(loaded.config.limits().timeout);
    let bounds = Bounds::new(global, &loaded, Some(terms.timeout.unwrap_or(Bound::UpTo(timeout))))?;
    let job = job(terms, &loaded, source, wish)?;
    let call = Call { global, output, bounds, job: &job, loaded: &loaded };
    if !switches.disk && !is_offline {
        return uncached::quietly(&call, Some(&terms.key));
    }
    let store = Arc::new(loaded.options().open(root::path(global)?)?);
    match call.ask(&store, &terms.key) {
        Ok(exit) => exit,
        Err(unusable) if global.behind => Err(unusable.into()),
        Err(unusable) => uncached::warned(&call, unusable),
    }
}

fn wish(terms: &Get, loaded: &Loaded, has_source: bool) -> Wish {
    let mut wish = Wish::default();
    wish.offline = terms.offline || !loaded.config.switches().network;
    wish.refresh = terms.refresh;
    wish.max_age = terms.max_age.map(|span| span.0);
    wish.early = loaded.config.classes().of_key(terms.key.as_str()).policy.early;
    wish.may_refresh = has_source && loaded.may_refresh();
    wish
}

fn job(terms: &Get, loaded: &Loaded, source: &Source, wish: Wish) -> Result<Job, Failed> {
    let usage = |error: Unfit| Failed::new(Exit::USAGE, error);
    let command = source.command(terms.key.as_str()).map_err(|error| usage(error.into()))?;
    let tag = |text: &String| {
        let unfit = |error| Unfit::Tag { place: source.place().to_string(), key: terms.key.clone(), source: error };
        Tag::new(text.as_str()).map_err(|error| usage(unfit(error)))
    };
    let (config, policy) = (&loaded.config, loaded.policy(None, Some(&terms.key))?);
    Ok(Job {
        command: command.into_iter().map(Into::into).collect(),
        environment: Environment::Only(environment::clean(&source.env)),
        credentials: loaded.credentials_of(source),
        policy,
        class: None,
        tags: source.tags.iter().map(tag).collect::<Result<_, _>>()?,
        depends: Paths::default(),
        durability: larder_storage::Durability::Full,
        wish,
        soft_timeout: terms.soft_timeout.map_or(config.limits().soft_timeout, |span| span.0),
        remembers: Remembers::BackOff,
        backoff: config.limits().backoff,
        is_shared: config.switches().locking,
        fails_on_stale: terms.fail_on_stale,
    })
}

/// What is stored, where nothing can fetch it.
fn stored(global: &Global, terms: &Get, loaded: &Loaded, wish: &Wish, output: Output) -> Result<Exit, Failed> {
    let store = Arc::new(loaded.options().open(root::path(global)?)?);
    let flights = Flights::new(Arc::clone(&store));
    let depends = Paths::default();
    let look = Look::new((&store, &flights), &terms.key, &[], &depends);
    status::be_of_class(loaded.config.classes().of_key(terms.key.as_str()).name);
    let (found, decided) = look.again(wish)?;
    let now = store.clock().wall();
    if let (Some(entry), Action::Give { .. }) = (&found, decided.decision.action) {
        let given = ask::hit(&look, entry, decided.decision);
        let exit = if given.stale && terms.fail_on_stale { Exit::STALE } else { Exit::OK };
        let given = ask::give_hit(output, &look, entry, &given, exit);
        crate::room::used(&store, &terms.key);
        return given;
    }
    status::count(&store, Fold::WhenPressing, &[(Counter::Misses, 1)]);
    let changed = look.changed();
    Err(Failed::new(Exit::ABSENT, absent(terms, found.as_ref(), now, changed)))
}

fn absent(terms: &Get, found: Option<&Entry>, now: std::time::SystemTime, changed: Option<String>) -> Absent {
    let key = terms.key.clone();
    if terms.refresh {
        return Absent::NoSource { key };
    }
    let Some(entry) = found else { return Absent::Nothing { key } };
    let life = About::of_or_default(entry).life;
    if entry.standing() != Standing::Current {
        return Absent::Invalidated { key };
    }
    if let Some(changed) = changed {
        return Absent::Outdated { key, changed };
    }
    match terms.max_age {
        Some(bound) if life.is_fresh(now) => {
            let age = text::span(Duration::from_millis(age_ms(&life, now)));
            Absent::Old { key, age, bound: text::span(bound.0) }
        }
        _ => Absent::Stale { key },
    }
}

fn age_ms(life: &Life, now: std::time::SystemTime) -> u64 {
    text::unix_ms(now).saturating_sub(life.fetched_ms)
}
