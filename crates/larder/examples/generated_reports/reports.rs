//! The reports: how they are named, how long they are good, and that they are made from files.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use larder::{Answer, Builder, Cache, Classes, Context, Fetched, Key, Paths, Policy, Terms, fetch};
use larder_testkit::Upstream;

use crate::criteria::Outcome;
use crate::place::{Fetching, fetch_from};

/// How long reports of each kind are good, unless their files change: an hour, half an hour, a day.
pub(crate) const KINDS: [(&str, u64); 3] = [("analysis", 3_600), ("discovery", 1_800), ("documentation", 86_400)];
/// For how long after that a report is better than none.
pub(crate) const FALLBACK: Duration = Duration::from_secs(86_400);
/// How many reports there may be, and their bytes.
const REPORTS_MAX: u64 = 1_000;
const BYTES_MAX: u64 = 100 * 1_024 * 1_024;

/// A cache as every program opens it that makes reports.
pub(crate) fn configured(builder: Builder) -> Outcome<Builder> {
    let mut classes = Classes::default();
    for (kind, seconds) in KINDS {
        let mut policy = Policy::fresh_for(Duration::from_secs(seconds));
        policy.stale_if_error = FALLBACK;
        classes.define(kind, policy);
        classes.add_rule(format!("{kind}/**").parse()?, kind)?;
    }
    Ok(builder.classes(classes).bounds(larder::Bounds { bytes: BYTES_MAX, entries: REPORTS_MAX }))
}

/// The key of the report that answers this very question. Words in another order are another question.
pub(crate) fn key_of(kind: &str, question: &str) -> Outcome<Key> {
    let words: Vec<_> = question.split_whitespace().collect();
    let question = words.join(" ").replace('%', "%25").replace('/', "%2F");
    Ok(Key::new(format!("{kind}/{question}"))?)
}

/// The report on the files in a folder: from the cache while they are what they were, else generated, once for all who want it.
pub(crate) async fn report(
    cache: &Cache,
    key: &Key,
    inputs: &Path,
    generator: &Arc<Upstream>,
) -> Result<Answer, fetch::Error> {
    report_with(cache, key, &terms(inputs), generating(inputs, generator)).await
}

pub(crate) async fn report_with(
    cache: &Cache,
    key: &Key,
    terms: &Terms,
    generate: impl FnOnce(Context) -> Fetching + Send + 'static,
) -> Result<Answer, fetch::Error> {
    cache.get_or_fetch_with(key, terms, generate).await
}

/// A report is made from all that is in the folder.
pub(crate) fn terms(inputs: &Path) -> Terms {
    // a folder of no name is refused by the first who asks
    Paths::new([inputs]).map_or_else(|_| Terms::new(), |paths| Terms::new().depends(&paths))
}

/// Generates a report, which is expensive: it says which generation it was, and all that it has read.
pub(crate) fn generating(
    inputs: &Path,
    generator: &Arc<Upstream>,
) -> impl Fn(Context) -> Fetching + Clone + Send + Sync + use<> {
    let (inputs, generator) = (inputs.to_owned(), fetch_from(generator));
    move |context| {
        let (inputs, generator) = (inputs.clone(), generator.clone());
        Box::pin(async move {
            let read = tokio::task::spawn_blocking(move || read(&inputs)).await??;
            let generated = generator(context).await?.body.unwrap_or_default();
            Ok(Fetched::new(format!("{} from {read}", String::from_utf8_lossy(&generated))))
        })
    }
}

/// All that is in the files of a folder, in the order of their names.
pub(crate) fn read(inputs: &Path) -> std::io::Result<String> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(inputs)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    files.sort();
    let contents: Vec<_> = files.iter().map(std::fs::read_to_string).collect::<Result<_, _>>()?;
    Ok(contents.join(" "))
}
