//! `larder run`: a command's output, from the cache if it is there, else from one run for all who ask.

use std::sync::Arc;

use larder_staleness::Wish;
use larder_storage::{Key, Metadata, Store};
use larder_watch::fingerprint::Paths;

use crate::args::{Global, Run};
use crate::ask::bounds::Bounds;
use crate::ask::{Call, Unusable, uncached};
use crate::config::Loaded;
use crate::exit::{Exit, Failed};
use crate::job::{Environment, Job, Remembers};
use crate::output::Output;
use crate::secret::{self, Secret};
use crate::terms::{Span, Variable};

pub(crate) fn run(global: &Global, terms: &Run, output: Output) -> Result<Exit, Failed> {
    let variables: Result<Vec<Variable>, _> = terms.env.iter().map(|name| Variable::new(name)).collect();
    let variables = variables.map_err(|error| Failed::new(Exit::USAGE, error))?;
    // said before the command runs, whose output could not be stored with them
    let tagged = terms.tag.iter().try_fold(Metadata::new(), |metadata, tag| metadata.with_tag(tag.as_str()));
    tagged.map_err(|error| Failed::new(Exit::USAGE, error))?;
    let loaded = Loaded::find(global)?;
    let bounds = Bounds::new(global, &loaded, terms.timeout)?;
    let depends = Paths::new(&terms.depends).map_err(|error| Failed::new(Exit::USAGE, error))?;
    let job = Job { depends, ..job(terms, &loaded)? };
    let call = Call { global, output, bounds, job: &job, loaded: &loaded };
    if !loaded.config.switches().disk {
        return if job.wish.offline { Err(call.absent(None)) } else { uncached::quietly(&call, None) };
    }
    match ask(&call, terms, &variables) {
        Ok(exit) => exit,
        Err(unusable) if job.wish.offline => Err(unusable.into()),
        Err(unusable) if global.behind => Err(unusable.into()),
        Err(unusable) => uncached::warned(&call, unusable),
    }
}

/// The terms of the command line, and of the class of its key where they say nothing.
fn job(terms: &Run, loaded: &Loaded) -> Result<Job, Failed> {
    let (config, span) = (&loaded.config, |span: Option<Span>| span.map(|span| span.0));
    let mut policy = loaded.policy(terms.class.as_deref(), terms.key.as_ref())?;
    if let Some(ttl) = span(terms.ttl) {
        (policy.fresh, policy.jitter, policy.adaptive) = (ttl, std::time::Duration::ZERO, false);
    }
    policy.stale_while_revalidate = span(terms.stale).unwrap_or(policy.stale_while_revalidate);
    policy.stale_if_error = span(terms.stale_if_error).unwrap_or(policy.stale_if_error);
    let mut wish = Wish::default();
    wish.offline = terms.offline || !config.switches().network;
    wish.refresh = terms.refresh;
    (wish.stale_while_revalidate, wish.stale_if_error) = (span(terms.stale), span(terms.stale_if_error));
    wish.early = policy.early;
    wish.may_refresh = loaded.may_refresh();
    Ok(Job {
        command: terms.command.clone(),
        environment: Environment::Inherited,
        credentials: Vec::new(),
        policy,
        class: terms.class.clone(),
        tags: terms.tag.clone(),
        depends: Paths::default(),
        durability: terms.durability.into(),
        wish,
        soft_timeout: span(terms.soft_timeout).unwrap_or(config.limits().soft_timeout),
        remembers: Remembers::For(span(terms.fail_ttl).filter(|length| !length.is_zero())),
        backoff: config.limits().backoff,
        is_shared: config.switches().locking,
        fails_on_stale: terms.fail_on_stale,
    })
}

/// Asks under the key that was given, or under the one that stands for the command.
fn ask(call: &Call<'_>, terms: &Run, variables: &[Variable]) -> Result<Result<Exit, Failed>, Unusable> {
    let store = Arc::new(call.loaded.options().open(crate::root::path(call.global)?)?);
    let named = |secret: &dyn Fn(&Store) -> Result<Option<Secret>, secret::Error>| match &terms.key {
        Some(key) => Ok(Some(key.clone())),
        None => secret::name(&store, &terms.command, variables, secret),
    };
    if let Some(key) = named(&Secret::find)? {
        return call.ask(&store, &key);
    }
    // nothing was ever stored under such a key, and nothing is made for those who only look
    if call.job.wish.offline {
        return Ok(Err(call.absent(Some(&store))));
    }
    let key: Option<Key> = named(&|store| Secret::make(store).map(Some))?;
    match key {
        Some(key) => call.ask(&store, &key),
        None => Ok(uncached::quietly(call, None)),
    }
}
