//! The metadata cache itself: a program without an async runtime, which stands in line for one download with all others.

use std::borrow::Cow;
use std::time::Duration;

use larder::{Cache, Class, Failure, Key, Policy};
use larder_lock::{Bound, Event, Observer, Origin, Wait, wait};
use larder_staleness::Life;
use larder_storage::{Entry, Put};
use larder_upstream::{About, Terms, Turn};

use crate::criteria::Outcome;

/// How long a caller waits for the download of another one, when nobody says how long: ten minutes.
const LOCK_TIMEOUT: Duration = Duration::from_secs(600);
/// How old metadata may be: 720 hours.
pub(crate) const MAX_AGE: Duration = Duration::from_secs(720 * 3_600);
/// For how long after that they are better than nothing.
const FALLBACK: Duration = Duration::from_secs(90 * 86_400);
/// For how long all processes remember that a download has failed.
const BACKOFF: Duration = Duration::from_secs(30);

/// Where a waiting time may be said: the first of these that is there counts.
#[derive(Clone, Copy, Default)]
pub(crate) struct Said<'a> {
    pub(crate) flag: Option<&'a str>,
    pub(crate) environment: Option<&'a str>,
    pub(crate) config: Option<&'a str>,
}

/// What a caller gets.
#[derive(Debug)]
pub(crate) struct Metadata {
    pub(crate) body: Vec<u8>,
    /// What there is to warn of: an old copy, because the download failed.
    pub(crate) warning: Option<String>,
}

impl Said<'_> {
    /// The waiting time, which keeps in mind where it was said, so that every message can tell where to change it.
    ///
    /// # Errors
    /// It is no waiting time: what would be one.
    pub(crate) fn wait(&self) -> Result<Wait, wait::Error> {
        let flag = self.flag.map(|text| (text, Origin::Flag("--lock-timeout".to_owned())));
        let environment =
            || self.environment.map(|text| (text, Origin::Environment("RELEASES_LOCK_TIMEOUT".to_owned())));
        let config = || self.config.map(|text| (text, Origin::Config("locking.timeout in config.toml".to_owned())));
        match flag.or_else(environment).or_else(config) {
            Some((text, origin)) => Wait::parse(text, origin),
            None => Ok(Wait::up_to(LOCK_TIMEOUT).from(Origin::Default)),
        }
    }
}

/// Tells a person how the wait goes. Nothing is told where nobody has to wait.
pub(crate) struct Feedback {
    pub(crate) bound: Bound,
    pub(crate) origin: Origin,
    pub(crate) say: fn(&str),
}

impl Observer for Feedback {
    fn observe(&self, name: &str, event: &Event<'_>) {
        let Self { bound, origin, say } = self;
        match event {
            Event::Started { holder } => say(&format!(
                "waiting for `{name}`, which is being downloaded by {holder}; at most {bound}, as set by {origin}: \
                 end the wait with ^C, or set another one with --lock-timeout"
            )),
            Event::StillWaiting { holder, waited } => say(&format!("still waiting for {holder}, {waited:.0?} so far")),
            Event::Acquired { waited } => say(&format!("done waiting after {waited:.1?}")),
            // these two are errors, which say it themselves
            _ => {}
        }
    }
}

/// The index of a distribution's releases: from the cache while it is fresh, else downloaded, once for all who want it. When
/// that fails, what there was is given with a warning.
///
/// # Errors
/// The wait is over, by its bound or because it was cancelled; or the download has failed, and there is nothing old.
pub(crate) fn index(
    cache: &Cache,
    distribution: &str,
    wait: Wait,
    download: impl FnOnce(&Key) -> Result<String, Failure>,
) -> Outcome<Metadata> {
    let (key, store) = (Key::new(format!("releases/{distribution}"))?, cache.store());
    let is_fresh = |entry: &Entry| About::of_or_default(entry).life.is_fresh(store.clock().wall());
    let look = || Ok(store.get(&key)?.filter(is_fresh).map(Entry::into_body));
    let good = |body| Ok(Metadata { body, warning: None });
    // no lock, and no waiting: readers see what is whole, or nothing
    if let Some(body) = look()? {
        return good(body);
    }
    match cache.flights().begin(&key, &Terms::new().wait(wait), look)? {
        Turn::Found { found, .. } => good(found),
        Turn::Carried { document, .. } => good(document.body),
        Turn::Failed { failure, .. } => old_copy(cache, &key, failure),
        Turn::Alone { .. } => good(download(&key).map_err(|failure| failure.message)?.into_bytes()),
        Turn::Lead(flight) => match download(&key) {
            Ok(body) => {
                let mut policy = Policy::fresh_for(MAX_AGE);
                policy.stale_if_error = FALLBACK;
                let about = About::new(Life::new(store.clock().wall(), &policy, Duration::ZERO)).metadata(&[])?;
                let put = Put::new().fetched_in(flight.token()).metadata(about.clone());
                match store.put(&key, body.as_bytes(), &put) {
                    Ok(_) => flight.land(),
                    // a full disk: those who waited get it all the same
                    Err(_) => flight.carry(body.as_bytes(), &about),
                }
                good(body.into_bytes())
            }
            Err(failure) => {
                flight.fail(&failure, Some(BACKOFF));
                old_copy(cache, &key, failure)
            }
        },
    }
}

fn old_copy(cache: &Cache, key: &Key, failure: Failure) -> Outcome<Metadata> {
    let now = cache.store().clock().wall();
    let kept = cache.store().get_with_invalidated(key)?.filter(|_| failure.class != Class::Denied);
    let kept = kept.map(|entry| (About::of_or_default(&entry).life, entry));
    match kept.filter(|(life, _)| life.verdict(now) <= larder_staleness::Verdict::StaleIfError) {
        Some((life, entry)) => {
            let hours = life.age(now) / 3_600;
            let warning = Some(format!("{failure}; using metadata that are {hours} hours old"));
            Ok(Metadata { body: entry.into_body(), warning })
        }
        None => Err(Cow::from(failure.message).into()),
    }
}
