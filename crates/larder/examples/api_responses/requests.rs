//! How requests become keys, which class and tags their answers have, and what an event invalidates.

use std::fmt::Write as _;
use std::time::Duration;

use larder::{Classes, Invalidation, Key, Policy, Prefix, Scope, Tag};

use crate::criteria::Outcome;

/// How long answers are fresh, by what they are about: one book, a list of books, a publisher, and a signed link, which is as
/// short-lived as its signature.
pub(crate) const FRESH_SECONDS: [(&str, u64, &[&str]); 4] = [
    ("book", 300, &["books/*/GET*"]),
    ("list", 600, &["books/GET*", "publishers/*/books/GET*"]),
    ("publisher", 600, &["publishers/GET*", "publishers/*/GET*"]),
    ("link", 3_600, &["links/**"]),
];
/// For how long after that an answer is better than nothing.
const FALLBACK: Duration = Duration::from_secs(86_400);
/// For how long it is known that there is no such thing.
pub(crate) const NEGATIVE: Duration = Duration::from_secs(60);
/// The tag of every list of books.
const LISTS: &str = "lists";

/// A request to the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    method: String,
    path: Vec<String>,
    parameters: Vec<(String, String)>,
}

/// What the API says has happened.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event<'a> {
    BookCreated,
    BookUpdated { book: &'a str },
    BookDeleted { book: &'a str },
    PublisherCreated,
    PublisherUpdated { publisher: &'a str },
    PublisherDeleted { publisher: &'a str },
}

impl Request {
    /// Reads the resource at this path, each part of which may be any text.
    pub(crate) fn get(path: &[&str]) -> Self {
        Self::new("GET", path)
    }

    pub(crate) fn new(method: &str, path: &[&str]) -> Self {
        let path = path.iter().map(|part| (*part).to_owned()).collect();
        Self { method: method.to_owned(), path, parameters: Vec::new() }
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.parameters.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The key of its answer: a segment for each part of the path, and the method with the parameters as the last. `None` for
    /// what changes something, which is never answered from a cache.
    ///
    /// The order of parameters of different names means nothing, that of one name does. Whatever separates parts is escaped
    /// in them, so that two different requests never have the same key.
    pub(crate) fn key(&self) -> Outcome<Option<Key>> {
        if self.method != "GET" {
            return Ok(None);
        }
        let mut parameters: Vec<_> = self.parameters.iter().collect();
        parameters.sort_by(|one, other| one.0.cmp(&other.0));
        let parameters: Vec<_> =
            parameters.into_iter().map(|(name, value)| format!("{}={}", escaped(name), escaped(value))).collect();
        let mut segments: Vec<_> = self.path.iter().map(|part| escaped(part)).collect();
        segments.push(format!("{}?{}", self.method, parameters.join("&")));
        Ok(Some(Key::new(segments.join("/"))?))
    }
}

/// A part of a key that ends where it ends: without `/`, `?`, `&`, `=`, and never empty or a relative name.
fn escaped(part: &str) -> String {
    if part.is_empty() {
        return "%".to_owned();
    }
    let mut text = String::with_capacity(part.len());
    for character in part.chars() {
        match character {
            '%' | '/' | '?' | '&' | '=' | '\0' => {
                let _ = write!(text, "%{:02X}", u32::from(character));
            }
            other => text.push(other),
        }
    }
    if matches!(text.as_str(), "." | "..") { text.replace('.', "%2E") } else { text }
}

/// The classes of answers, by the patterns of their keys.
pub(crate) fn classes() -> Outcome<Classes> {
    let mut classes = Classes::default();
    for (name, seconds, patterns) in FRESH_SECONDS {
        let mut policy = Policy::fresh_for(Duration::from_secs(seconds));
        (policy.stale_if_error, policy.negative) = (FALLBACK, NEGATIVE);
        classes.define(name, policy);
        for pattern in patterns {
            classes.add_rule(pattern.parse()?, name)?;
        }
    }
    Ok(classes)
}

/// The tag of all answers that a book is part of, wherever they stand.
pub(crate) fn book_tag(book: &str) -> Outcome<Tag> {
    Ok(Tag::new(format!("book:{book}"))?)
}

/// The tags of an answer, known from its request alone: that of the book, and that of all lists.
pub(crate) fn tags(request: &Request) -> Outcome<Vec<Tag>> {
    let path: Vec<_> = request.path.iter().map(String::as_str).collect();
    Ok(match path.as_slice() {
        ["books"] | ["publishers", _, "books"] => vec![Tag::new(LISTS)?],
        ["books", book] => vec![book_tag(book)?],
        _ => Vec::new(),
    })
}

impl Event<'_> {
    /// What it makes invalid. What was changed is a fallback while the upstream fails; what was deleted is not.
    pub(crate) fn invalidations(&self) -> Outcome<Vec<Invalidation>> {
        let lists = || Ok::<_, larder::MetadataError>(Scope::Tag(Tag::new(LISTS)?));
        let below = |name: &str, id: &str| Prefix::new(format!("{name}/{}/", escaped(id))).map(Scope::Prefix);
        let publishers = || Key::new("publishers/GET?").map(Scope::Key);
        Ok(match self {
            Self::BookCreated => vec![lists()?.soft()],
            // also the lists that have it: their fetches tag them with their books
            Self::BookUpdated { book } => vec![Scope::Tag(book_tag(book)?).soft(), below("books", book)?.soft()],
            Self::BookDeleted { book } => vec![Scope::Tag(book_tag(book)?).hard(), below("books", book)?.hard()],
            Self::PublisherCreated => vec![publishers()?.soft()],
            Self::PublisherUpdated { publisher } => vec![publishers()?.soft(), below("publishers", publisher)?.soft()],
            Self::PublisherDeleted { publisher } => {
                vec![publishers()?.hard(), below("publishers", publisher)?.hard(), lists()?.soft()]
            }
        })
    }
}
