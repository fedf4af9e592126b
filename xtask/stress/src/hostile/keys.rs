//! Keys that file systems, shells and caches have stumbled over, beside some that nobody stumbles over.

use larder_storage::Key;

use crate::failure::{Doing as _, Failure};

/// How many keys are plain: their entries are where a broken part would look for them.
const PLAIN: u32 = 8;
/// Keys from hell.
const HELL: [&str; 28] = [
    "CON",
    "aux.md/nul",
    "com1.entry/x",
    "a:b*c?",
    "index.yaml",
    "format.yaml",
    "tmp/1.2",
    "entries/entries.entry",
    "queue/queue.journal",
    "locks/..x",
    "Case/Key",
    "case/key",
    "caf\u{e9}",
    "cafe\u{301}",
    "x%2fy",
    "x/y",
    "%h0",
    "%k/00/0.entry",
    "-rf",
    " leading and trailing ",
    "trailing.",
    "...",
    "line\nbreak\r",
    "\u{1b}[2J\u{202e}txt",
    "$(reboot)`id`",
    "~/.profile",
    "\u{1f980}/\u{1f9c0}",
    "\\\\server\\share",
];
/// How many keys there are: those above, and two that are too long for a name.
pub(crate) const KEYS: u32 = 38;
const _: () = assert!(KEYS as usize == PLAIN as usize + HELL.len() + 2, "each key has its number");

/// The key of a number below [`KEYS`].
pub(crate) fn key(number: u32) -> Result<Key, Failure> {
    let text = match number.checked_sub(PLAIN) {
        None => format!("shelf-{}/document-{number}", number / 4),
        Some(at) => match HELL.get(usize::try_from(at).unwrap_or(usize::MAX)) {
            Some(text) => (*text).to_owned(),
            None => format!("{}{number}", "long ".repeat(100 + usize::try_from(number % 2).unwrap_or(0) * 90)),
        },
    };
    Key::new(text).doing("name a document")
}

/// What its documents call it: of letters and digits, whatever the key is.
pub(crate) fn label(number: u32) -> String {
    format!("hostile-{number}")
}
