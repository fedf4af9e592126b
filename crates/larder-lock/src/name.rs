//! From any name to one file name, and never out of the folder.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

/// The longest name of a lock, in bytes.
pub const NAME_BYTES_MAX: usize = 1_024;

const READABLE_CHARS_MAX: usize = 40;
const HEX_DIGITS: usize = 32;

/// A lock's name, and the 128 bits of BLAKE3 that stand for it on disk and in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    text: Arc<str>,
    hash: u128,
}

thread_local! {
    /// The name that this thread asked for last: whoever takes a lock again and again does not pay for its hash again.
    static LAST: RefCell<Option<Name>> = const { RefCell::new(None) };
}

impl Name {
    /// `None` when `text` is longer than [`NAME_BYTES_MAX`].
    pub(crate) fn new(text: &str) -> Option<Self> {
        if text.len() > NAME_BYTES_MAX {
            return None;
        }
        LAST.with_borrow_mut(|last| {
            if let Some(last) = last
                && *last.text == *text
            {
                return Some(last.clone());
            }
            let name = Self::hashed(text);
            *last = Some(name.clone());
            Some(name)
        })
    }

    fn hashed(text: &str) -> Self {
        let digest = blake3::hash(text.as_bytes());
        let mut half = [0_u8; 16];
        half.iter_mut().zip(digest.as_bytes()).for_each(|(to, from)| *to = *from);
        Self { text: Arc::from(text), hash: u128::from_be_bytes(half) }
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) const fn hash(&self) -> u128 {
        self.hash
    }

    /// The file of the advisory backend.
    pub(crate) fn lock_file(&self) -> PathBuf {
        self.with_extension("lock")
    }

    /// The folder of the lease backend. Another extension than the advisory file's, so that the two backends can never
    /// meet in one name.
    pub(crate) fn lease_folder(&self) -> PathBuf {
        self.with_extension("lease")
    }

    // Only the hash tells names apart, so the readable part may lose whatever a file system might trip over.
    fn with_extension(&self, extension: &str) -> PathBuf {
        let mut file = String::with_capacity(READABLE_CHARS_MAX + HEX_DIGITS + 8);
        for character in self.text.chars().take(READABLE_CHARS_MAX) {
            let lower = character.to_ascii_lowercase();
            let plain = lower.is_ascii_lowercase() || lower.is_ascii_digit() || lower == '-';
            // A leading dash would read as an option to every command line tool.
            file.push(if plain && !(file.is_empty() && lower == '-') { lower } else { '_' });
        }
        if file.is_empty() {
            file.push('_');
        }
        // Writing to a String cannot fail.
        let _ = write!(file, "-{:032x}.{extension}", self.hash);
        PathBuf::from(file)
    }
}

/// The file of the advisory lock `name`, or `None` when the name is too long: to find it in a list of
/// [`holders`](crate::Locks::holders).
pub fn file_name(name: &str) -> Option<String> {
    Name::new(name).map(|name| name.lock_file().display().to_string())
}

/// The hash in a file name that [`Name`] made with this extension.
pub(crate) fn hash_of(file: &str, extension: &str) -> Option<u128> {
    let stem = file.strip_suffix(extension)?.strip_suffix('.')?;
    let (_, digits) = stem.rsplit_once('-')?;
    if digits.len() != HEX_DIGITS || !digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    u128::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file(text: &str) -> String {
        Name::new(text).unwrap().lock_file().to_str().unwrap().to_owned()
    }

    #[test]
    fn hostile_names_stay_single_lower_case_components() {
        for text in ["", "..", "../../etc/passwd", "CON", "a\0b", "-rf", "ä/ö", "x:y", "A", "a"] {
            let name = file(text);
            assert!(name.starts_with(|c: char| c != '-' && c != '.'), "{name}");
            assert!(!name.contains(['/', '\\', '\0', ':']), "{name}");
        }
    }

    #[test]
    fn names_that_differ_only_in_case_have_files_that_differ_in_more() {
        assert_ne!(file("Aa").to_lowercase(), file("aA").to_lowercase());
    }

    #[test]
    fn a_name_of_1_024_bytes_is_taken_and_one_of_1_025_is_not() {
        assert!(Name::new(&"x".repeat(1_024)).is_some());
        assert!(Name::new(&"x".repeat(1_025)).is_none());
    }

    proptest! {
        #[test]
        fn every_name_maps_to_a_portable_file_that_gives_its_hash_back(text in "\\PC{0,200}") {
            let name = Name::new(&text).unwrap();
            let file = name.lock_file().to_str().unwrap().to_owned();
            prop_assert!(file.len() <= 40 + 1 + 32 + 5);
            prop_assert!(file.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'.')));
            prop_assert_eq!(hash_of(&file, "lock"), Some(name.hash()));
            prop_assert_eq!(hash_of(&file, "lease"), None);
        }

        #[test]
        fn two_names_share_a_file_only_when_they_are_equal(a in "\\PC{0,60}", b in "\\PC{0,60}") {
            prop_assert_eq!(a == b, file(&a) == file(&b));
        }

        #[test]
        fn any_file_name_is_read_without_panic(text in "\\PC{0,80}") {
            let _ = hash_of(&text, "lock");
        }
    }
}
