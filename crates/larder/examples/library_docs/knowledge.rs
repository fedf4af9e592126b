//! The knowledge base itself: how documents of libraries are named, how long they may be used, and who refreshes them.

use std::sync::Arc;
use std::time::Duration;

use larder::{Answer, Cache, Classes, Context, Key, Options, Policy, Prefix, Refresher, Terms};
use larder_staleness::{DAY, Recommendation, ms_of};
use larder_system::Clock;
use larder_upstream::About;

use crate::criteria::Outcome;
use crate::place::{Fetching, Place};

/// What is asked for when nobody says what.
pub(crate) const DEFAULT_TOPIC: &str = "overview";
/// How many days documents are fresh that are of no class, unless the configuration says otherwise.
pub(crate) const DEFAULT_MAX_AGE_DAYS: u32 = 30;
/// For how long after that a copy is given out at once, while it is refreshed behind the caller's back.
pub(crate) const REVALIDATE: Duration = Duration::from_secs(7 * 86_400);
/// For how long it is given out when the upstream fails.
pub(crate) const FALLBACK: Duration = Duration::from_secs(30 * 86_400);
/// The most topics of a library that one look goes through.
const TOPICS_MAX: usize = 10_000;

/// Which words in a library's name make it of which class. What bears on security comes first.
const WORDS: [(&str, &[&str]); 2] =
    [("critical", &["security", "auth", "jwt", "oauth", "encrypt"]), ("active", &["test", "spec", "mock", "stub"])];

/// Whatever the documents come from.
pub(crate) type Source = Arc<dyn Fn(Context) -> Fetching + Send + Sync>;

/// A knowledge base of documents of libraries, shared by all processes that open the same root.
pub(crate) struct Knowledge {
    pub(crate) cache: Cache,
    source: Source,
}

impl Knowledge {
    /// # Errors
    /// The root cannot be opened.
    pub(crate) fn open(place: &Place, clock: Arc<dyn Clock>, max_age_days: u32, source: Source) -> Outcome<Self> {
        let options = Options::new().clock(clock);
        let cache = place.builder().classes(classes(max_age_days)?).store_options(options).build()?;
        Ok(Self { cache, source })
    }

    fn fetch(&self) -> impl Fn(Context) -> Fetching + Clone + Send + Sync + use<> {
        let source = Arc::clone(&self.source);
        move |context| source(context)
    }

    /// The document on a topic of a library: from memory, the disk, or upstream; stale for as long as its class allows.
    pub(crate) async fn lookup(&self, library: &str, topic: Option<&str>) -> Outcome<Answer> {
        self.lookup_as(library, topic, Terms::new()).await
    }

    pub(crate) async fn lookup_as(&self, library: &str, topic: Option<&str>, terms: Terms) -> Outcome<Answer> {
        let key = key_of(library, topic)?;
        Ok(self.cache.get_or_fetch_with(&key, &terms, self.fetch()).await?)
    }

    /// Works through the queue of what is to be refreshed.
    pub(crate) fn refresher(&self) -> Refresher<impl Fn(Context) -> Fetching + Clone + Send + Sync + use<>> {
        self.cache.refresher(self.fetch())
    }

    /// What to do about each topic of a library, and how many days it stays fresh.
    pub(crate) async fn recommend(&self, library: &str) -> Outcome<Vec<(Key, Recommendation)>> {
        let below = Prefix::new(format!("{}/", segment(library)))?;
        let now_ms = ms_of(self.cache.store().clock().wall());
        let topics = self.cache.list(&below, TOPICS_MAX).await?.into_iter();
        let advise = |summary: larder::Summary| {
            let life = About::in_metadata(&summary.metadata).map(|about| about.life);
            (summary.key, Recommendation::at(life.as_ref(), now_ms))
        };
        Ok(topics.map(advise).collect())
    }
}

/// `stable` 30 days, `active` 14, `critical` 7; what has none of the words in its name is of the default.
fn classes(default_max_age_days: u32) -> Outcome<Classes> {
    let mut classes = Classes::default();
    for (name, days) in [("stable", 30), ("active", 14), ("critical", 7), (Classes::DEFAULT, default_max_age_days)] {
        let mut policy = Policy::fresh_for(DAY * days);
        (policy.stale_while_revalidate, policy.stale_if_error) = (REVALIDATE, FALLBACK);
        classes.define(name, policy);
    }
    for (class, words) in WORDS {
        for word in words {
            let (first, rest) = word.split_at(1);
            // patterns tell case apart: `auth`, `Auth0` and `AUTH` are all meant
            for spelling in [word.to_string(), format!("{}{rest}", first.to_uppercase()), word.to_uppercase()] {
                classes.add_rule(format!("*{spelling}*/**").parse()?, class)?;
            }
        }
    }
    Ok(classes)
}

/// `library/topic`, each one segment whatever it spells, so that two names never share a document.
pub(crate) fn key_of(library: &str, topic: Option<&str>) -> Outcome<Key> {
    Ok(Key::new(format!("{}/{}", segment(library), segment(topic.unwrap_or(DEFAULT_TOPIC))))?)
}

/// One segment of a key: `@types/node` is a name, and no folder. What a key takes as it is stays readable.
fn segment(name: &str) -> String {
    let escaped = name.replace('%', "%25").replace('/', "%2F").replace('\0', "%00");
    if matches!(escaped.as_str(), "." | "..") { escaped.replace('.', "%2E") } else { escaped }
}

/// The line that goes before a stale document, for whoever reads it; `None` when it is fresh.
pub(crate) fn notice(answer: &Answer) -> Option<String> {
    let days = answer.outcome.age.filter(|_| answer.outcome.stale)? / 86_400;
    Some(format!("cached {days} days ago; consider refreshing"))
}
