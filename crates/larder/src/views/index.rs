//! The views of what is stored, `index.yaml` and `meta.yaml`.

use std::fmt::Write as _;

use larder_lock::Wait;
use larder_staleness::{format_date, ms_of};
use larder_storage::{Prefix, Standing, Store, Summary, View, Views};
use larder_upstream::About;

use super::Error;
use super::yaml::{key, text};

/// The form of the files.
const VERSION: u32 = 1;

/// What was indexed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Indexed {
    /// Documents.
    pub entries: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Libraries: what keys have before their first slash.
    pub libraries: u64,
    /// Views that were written: the index, and one for each library that has a folder.
    pub written: u64,
    /// Whether another process was at it, so that nothing was done.
    pub elsewhere: bool,
}

/// A document, as far as views tell of it.
struct Item {
    key: String,
    bytes: u64,
    fetched_ms: u64,
    fresh_until_ms: u64,
    standing: Standing,
    class: Option<String>,
    tags: Vec<String>,
}

impl Item {
    fn of(summary: &Summary) -> Self {
        let about = About::in_metadata_or_default(&summary.metadata, summary.stored_at);
        Self {
            key: summary.key.as_str().to_owned(),
            bytes: summary.length,
            fetched_ms: about.life.fetched_ms,
            fresh_until_ms: about.life.fresh_until_ms,
            standing: summary.standing,
            class: about.class,
            tags: summary.metadata.tags().iter().map(|tag| tag.as_str().to_owned()).collect(),
        }
    }

    fn library(&self) -> &str {
        self.key.split('/').next().unwrap_or_default()
    }

    /// What follows the library; a key of one segment is a topic of its own name.
    fn topic(&self) -> &str {
        self.key.split_once('/').map_or(self.key.as_str(), |(_, topic)| topic)
    }

    /// What tells it from the others of its library: the topic; for a key of one segment, where there is a topic of that name
    /// (`react` beside `react/react`), that after a slash, with which no topic begins.
    fn name(&self, library: &[Self]) -> String {
        let topic = self.topic();
        let is_taken = |other: &Self| other.topic() == topic && other.key != self.key;
        if !self.key.contains('/') && library.iter().any(is_taken) { format!("/{topic}") } else { topic.to_owned() }
    }

    fn write(&self, name: &str, to: &mut String, indent: &str, now_ms: u64) {
        let is_stale = self.standing != Standing::Current || self.fresh_until_ms <= now_ms;
        let _ = writeln!(to, "{indent}{}", key(name, indent));
        let _ = writeln!(to, "{indent}  cached_at: {}", text(&format_date(self.fetched_ms)));
        let _ = writeln!(to, "{indent}  fresh_until: {}", text(&format_date(self.fresh_until_ms)));
        let _ = writeln!(to, "{indent}  stale: {is_stale}");
        let _ = writeln!(to, "{indent}  bytes: {}", self.bytes);
        if let Some(class) = &self.class {
            let _ = writeln!(to, "{indent}  class: {}", text(class));
        }
        if !self.tags.is_empty() {
            let tags: Vec<_> = self.tags.iter().map(|tag| text(tag)).collect();
            let _ = writeln!(to, "{indent}  tags: [{}]", tags.join(", "));
        }
    }
}

pub(super) fn write(store: &Store, wait: &Wait) -> Result<Indexed, Error> {
    let mut indexed = Indexed::default();
    if !store.is_present().map_err(larder_storage::GetError::from)? {
        return Ok(indexed);
    }
    let Some(views) = store.views(wait)? else {
        indexed.elsewhere = true;
        return Ok(indexed);
    };
    let now_ms = ms_of(store.clock().wall());
    let all = "".parse::<Prefix>().map_err(|_| larder_storage::root::Error::Replaced { path: store.path().to_owned() });
    let mut items = Vec::new();
    for summary in store.list(&all.map_err(larder_storage::GetError::from)?)? {
        items.push(Item::of(&summary?));
    }
    items.sort_unstable_by(|one, other| (one.library(), one.topic()).cmp(&(other.library(), other.topic())));
    let mut index = String::new();
    for library in items.chunk_by(|one, other| one.library() == other.library()) {
        let name = library.first().map_or("", |item| item.library());
        let bytes: u64 = library.iter().map(|item| item.bytes).sum();
        indexed.entries += library.len() as u64;
        indexed.bytes += bytes;
        indexed.libraries += 1;
        let _ = writeln!(index, "  {}\n    topics:", key(name, "  "));
        for item in library {
            item.write(&item.name(library), &mut index, "      ", now_ms);
        }
        indexed.written += u64::from(write_library(&views, name, library, now_ms));
    }
    let head = format!(
        "# what is stored, made by larder from its entries; never read back: `larder index` makes it anew\n\
         version: {VERSION}\nlast_updated: {}\ntotal_entries: {}\ntotal_bytes: {}\nlibraries:{}\n",
        text(&format_date(now_ms)),
        indexed.entries,
        indexed.bytes,
        if items.is_empty() { " {}" } else { "" },
    );
    indexed.written += u64::from(views.publish(&View::Index, (head + &index).as_bytes())?);
    Ok(indexed)
}

fn write_library(views: &Views, name: &str, items: &[Item], now_ms: u64) -> bool {
    // a key of one segment has no folder of its own
    let Ok(prefix) = format!("{name}/").parse::<Prefix>() else { return false };
    let below: Vec<&Item> = items.iter().filter(|item| item.key.contains('/')).collect();
    if below.is_empty() {
        return false;
    }
    let bytes: u64 = below.iter().map(|item| item.bytes).sum();
    let last = below.iter().map(|item| item.fetched_ms).max().unwrap_or_default();
    let mut content = format!(
        "# what is stored of this library, made by larder; never read back: `larder index` makes it anew\n\
         version: {VERSION}\nlibrary: {}\ntotal_docs: {}\ntotal_size_bytes: {bytes}\nlast_updated: {}\ntopics:\n",
        text(name),
        below.len(),
        text(&format_date(last)),
    );
    for item in below {
        item.write(item.topic(), &mut content, "  ", now_ms);
    }
    match views.publish(&View::Library(&prefix), content.as_bytes()) {
        Ok(written) => written,
        Err(error) => {
            // a key may have made a folder of that name: it comes first
            tracing::warn!(library = name, %error, "its view is not written");
            false
        }
    }
}
