//! Where a key's document lies: an injective map from keys to paths that every file system keeps apart.
//!
//! Only lower-case ASCII letters, digits and a few signs stand for themselves; every other byte becomes `%xx`. So no two
//! keys meet on a file system that folds case or normalises Unicode, and no key reads as `..`, a hidden file, a device
//! name of Windows, or a path outside the root. A name that would be too long keeps its beginning and ends in a digest
//! behind `%h`, which no escape spells; a path that would be too long or too deep is a digest altogether, below `%k`.
//! Digests are 128 bits of BLAKE3; the key in the entry's header decides, so a collision is a miss.
//!
//! File names end in `.entry`, folder names never do: a key may be a document and a folder of others at once.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::key::{Key, Prefix};

/// What every entry's file name ends in.
pub(crate) const SUFFIX: &str = ".entry";
/// The folder of keys that are hashed whole.
pub(crate) const HASHED: &str = "%k";
/// Longest encoded segment: leaves room for suffixes below the 255 bytes of every common file system.
const SEGMENT_BYTES_MAX: usize = 200;
/// How much of an over-long segment stays readable.
const READABLE_BYTES_MAX: usize = 64;
/// Deeper keys are hashed whole: each folder costs a sync when it is made.
const DEPTH_MAX: usize = 24;
/// Longer relative paths are hashed whole: the root's own path and the limits of `PATH_MAX` must fit as well.
const PATH_BYTES_MAX: usize = 900;

/// Where an entry lies, relative to the `entries` folder.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Location {
    path: String,
    file_at: usize,
}

impl Location {
    /// Of a key.
    pub(crate) fn of(key: &Key) -> Self {
        let mut path = String::with_capacity(key.as_str().len() + 16);
        let mut file_at = 0;
        let mut depth = 0;
        let mut segments = key.segments().peekable();
        while let Some(segment) = segments.next() {
            depth += 1;
            let start = path.len();
            encode(segment, &mut path);
            if segments.peek().is_some() {
                escape_suffix(&mut path, start);
                path.push('/');
                file_at = path.len();
            }
        }
        path.push_str(SUFFIX);
        if depth > DEPTH_MAX || path.len() > PATH_BYTES_MAX {
            return Self::hashed(key);
        }
        Self { path, file_at }
    }

    fn hashed(key: &Key) -> Self {
        let digest = digest(key.as_str());
        let fan = digest.get(..2).unwrap_or_default();
        let folder = format!("{HASHED}/{fan}/");
        Self { file_at: folder.len(), path: format!("{folder}{digest}{SUFFIX}") }
    }

    /// The whole relative path.
    pub(crate) fn path(&self) -> &Path {
        Path::new(&self.path)
    }

    /// The name of the lock that keeps other writers away: the path, because a damaged file tells no key.
    pub(crate) fn lock_name(&self) -> &str {
        &self.path
    }

    /// The path of the folder, empty for a key of one segment.
    pub(crate) fn folder(&self) -> &str {
        self.path.get(..self.file_at.saturating_sub(1)).unwrap_or_default()
    }

    /// The file's name in its folder.
    pub(crate) fn file(&self) -> &Path {
        Path::new(self.path.get(self.file_at..).unwrap_or_default())
    }
}

/// The folder below which the keys of `prefix` lie, if they are not all hashed whole; empty for everything.
pub(crate) fn folder_of(prefix: &Prefix) -> Option<PathBuf> {
    let mut path = String::new();
    let mut depth = 0;
    for segment in prefix.segments() {
        depth += 1;
        if !path.is_empty() {
            path.push('/');
        }
        let start = path.len();
        encode(segment, &mut path);
        escape_suffix(&mut path, start);
    }
    (depth < DEPTH_MAX && path.len() < PATH_BYTES_MAX).then(|| PathBuf::from(path))
}

/// Appends one segment, encoded.
fn encode(segment: &str, out: &mut String) {
    let start = out.len();
    let bytes = segment.as_bytes();
    let last = bytes.len().saturating_sub(1);
    // the common case: nothing to escape
    let edges = !matches!(bytes.first(), Some(b'-' | b'.')) && !bytes.ends_with(b".");
    if edges && bytes.iter().all(|&byte| is_plain(byte)) && !is_reserved(segment) {
        out.push_str(segment);
    } else {
        let reserved = is_reserved(segment);
        for (at, &byte) in bytes.iter().enumerate() {
            let literal = match byte {
                b'a'..=b'z' => !(at == 0 && reserved),
                b'-' => at != 0,
                b'.' => at != 0 && at != last,
                other => is_plain(other),
            };
            if literal { out.push(char::from(byte)) } else { escape(byte, out) }
        }
    }
    if out.len() - start > SEGMENT_BYTES_MAX {
        let mut keep = start + READABLE_BYTES_MAX;
        // an escape is three bytes: do not cut one in half
        if let Some(cut) = out.get(keep.saturating_sub(2)..keep).and_then(|tail| tail.find('%')) {
            keep = keep - 2 + cut;
        }
        out.truncate(keep);
        out.push_str("%h");
        out.push_str(&digest(segment));
    }
}

/// Whether a byte may stand for itself, somewhere in a name.
fn is_plain(byte: u8) -> bool {
    const PLAIN: [bool; 256] = {
        let mut plain = [false; 256];
        let mut at = 0;
        let signs = b"abcdefghijklmnopqrstuvwxyz0123456789_@+=,-.";
        while at < signs.len() {
            plain[signs[at] as usize] = true;
            at += 1;
        }
        plain
    };
    PLAIN.get(usize::from(byte)).copied().unwrap_or(false)
}

/// A folder whose name would end like a file's has its last dot escaped.
fn escape_suffix(path: &mut String, start: usize) {
    if path.get(start..).is_some_and(|name| name.ends_with(SUFFIX)) {
        path.truncate(path.len() - SUFFIX.len());
        escape(b'.', path);
        path.push_str(SUFFIX.trim_start_matches('.'));
    }
}

fn escape(byte: u8, out: &mut String) {
    // writing to a String cannot fail
    let _ = write!(out, "%{byte:02x}");
}

/// Device names of Windows, which it honours in any folder and with any extension. Upper-case letters and everything
/// beyond ASCII are escaped anyway.
fn is_reserved(segment: &str) -> bool {
    // the common case: no such name begins with this letter
    if !matches!(segment.as_bytes().first(), Some(b'a' | b'c' | b'l' | b'n' | b'p')) {
        return false;
    }
    let stem = segment.split('.').next().unwrap_or_default();
    match stem {
        "con" | "prn" | "aux" | "nul" => true,
        _ => {
            let numbered = stem.strip_prefix("com").or_else(|| stem.strip_prefix("lpt"));
            numbered.is_some_and(|number| number.len() == 1 && number.bytes().all(|digit| digit.is_ascii_digit()))
        }
    }
}

/// 128 bits of BLAKE3, in hexadecimal.
fn digest(text: &str) -> String {
    let hash = blake3::hash(text.as_bytes());
    hash.to_hex().get(..32).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn path(key: &str) -> String {
        Location::of(&Key::new(key).unwrap()).path
    }

    #[test]
    fn ordinary_names_stay_readable() {
        assert_eq!(path("context7/react/hooks"), "context7/react/hooks.entry");
        assert_eq!(path("@types/node@20.1"), "@types/node@20.1.entry");
        assert_eq!(path("Next.js"), "%4eext.js.entry");
    }

    #[test]
    fn hostile_names_become_harmless() {
        assert_eq!(path("con"), "%63on.entry");
        assert_eq!(path("com1.txt/x"), "%63om1.txt/x.entry");
        assert_eq!(path("-rf"), "%2drf.entry");
        assert_eq!(path(".hidden/a."), "%2ehidden/a%2e.entry");
        assert_eq!(path("a\\b:c*"), "a%5cb%3ac%2a.entry");
        assert_eq!(path("..."), "%2e.%2e.entry");
        assert_eq!(path("a\nb"), "a%0ab.entry");
    }

    #[test]
    fn a_folder_never_looks_like_a_file() {
        assert_eq!(path("a.entry/b"), "a%2eentry/b.entry");
        assert_eq!(path("a.entry"), "a.entry.entry");
        assert_eq!(Location::of(&Key::new("a/b").unwrap()).folder(), "a");
        assert_eq!(Location::of(&Key::new("b").unwrap()).folder(), "");
    }

    #[test]
    fn long_segments_and_deep_keys_are_hashed() {
        let long = path(&"É".repeat(200));
        assert!(long.len() < 255, "{long}");
        assert_ne!(long, path(&"É".repeat(201)));
        let deep = path(&vec!["a"; 500].join("/"));
        assert!(deep.starts_with("%k/"), "{deep}");
        assert!(path(&vec!["ab"; 300].join("/")).len() < 60);
    }

    proptest! {
        #[test]
        fn different_keys_never_share_a_path_even_where_case_folds(keys in prop::collection::hash_set("[a-cA-C./%é ]{1,6}|(con|aux|a\\.entry|%41|a)(/[ab])?", 2..40)) {
            let mut paths = HashSet::new();
            let mut folders = HashSet::new();
            for key in keys.iter().filter_map(|key| Key::new(key.as_str()).ok()) {
                let at = Location::of(&key);
                prop_assert!(paths.insert(at.path.to_lowercase()), "{} collides", key);
                let mut folder = String::new();
                for part in at.folder().split('/').filter(|part| !part.is_empty()) {
                    folder.push_str(part);
                    folders.insert(folder.to_lowercase());
                    folder.push('/');
                }
            }
            prop_assert!(paths.is_disjoint(&folders));
        }

        #[test]
        fn no_key_leaves_the_root(text in "\\PC{1,80}") {
            if let Ok(key) = Key::new(text) {
                let at = Location::of(&key);
                for part in at.path.split('/') {
                    prop_assert!(!part.is_empty() && part != "." && part != ".." && part.len() <= 255);
                    prop_assert!(part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_@+=,-.%".contains(&byte)));
                    prop_assert!(!part.starts_with(['.', '-']) && !part.ends_with('.'));
                }
            }
        }
    }
}
