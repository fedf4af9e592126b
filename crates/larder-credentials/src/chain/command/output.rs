//! What a command has printed so far: on standard output the secret, on standard error perhaps a reason.

use zeroize::Zeroizing;

use super::OUTPUT_BYTES_MAX;

/// How much of the end of standard error is kept.
const SAID_BYTES_MAX: usize = 4 * 1024;
/// How much of its last line is shown.
const SHOWN_CHARS_MAX: usize = 200;
/// A text as short as this is no secret, and may stand in a message by chance.
const TELLING_BYTES_MIN: usize = 4;

const WITHHELD: &str = "(withheld, because it repeats what it printed)";

/// Both are wiped, and their buffers never grow.
pub(super) struct Output {
    printed: Zeroizing<Vec<u8>>,
    said: Zeroizing<Vec<u8>>,
}

impl Output {
    pub(super) fn new() -> Self {
        Self {
            printed: Zeroizing::new(Vec::with_capacity(OUTPUT_BYTES_MAX)),
            said: Zeroizing::new(Vec::with_capacity(SAID_BYTES_MAX)),
        }
    }

    /// Adds to standard output; false when that is too much.
    pub(super) fn print(&mut self, bytes: &[u8]) -> bool {
        if bytes.len() > OUTPUT_BYTES_MAX - self.printed.len() {
            return false;
        }
        self.printed.extend_from_slice(bytes);
        true
    }

    /// Adds to standard error, of which the end is kept.
    pub(super) fn say(&mut self, bytes: &[u8]) {
        let bytes = bytes.get(bytes.len().saturating_sub(SAID_BYTES_MAX)..).unwrap_or_default();
        let excess = (self.said.len() + bytes.len()).saturating_sub(SAID_BYTES_MAX);
        self.said.drain(..excess);
        self.said.extend_from_slice(bytes);
    }

    pub(super) fn take_printed(&mut self) -> Vec<u8> {
        std::mem::take(&mut *self.printed)
    }
}

/// The last line of standard error, in a form that can be shown.
pub(super) fn end_of(output: &Output) -> Option<String> {
    let said = Zeroizing::new(String::from_utf8_lossy(&output.said).into_owned());
    let line = said.lines().map(str::trim).rfind(|line| !line.is_empty())?;
    let printed = Zeroizing::new(String::from_utf8_lossy(&output.printed).into_owned());
    let repeats = printed.split_whitespace().any(|word| word.len() >= TELLING_BYTES_MIN && line.contains(word));
    if repeats {
        return Some(WITHHELD.to_owned());
    }
    let shown = line.chars().take(SHOWN_CHARS_MAX);
    Some(shown.map(|c| if c.is_control() { ' ' } else { c }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(printed: &str, said: &str) -> Option<String> {
        let mut output = Output::new();
        assert!(output.print(printed.as_bytes()));
        output.say(said.as_bytes());
        end_of(&output)
    }

    #[test]
    fn the_last_line_is_shown_without_control_characters_and_not_at_any_length() {
        assert_eq!(shown("", "one\n two \x1b[0m \n\n"), Some("two  [0m".to_owned()));
        assert_eq!(shown("", "\n"), None);
        assert_eq!(shown("", &"x".repeat(9_000)).unwrap().len(), SHOWN_CHARS_MAX);
    }

    #[test]
    fn a_line_that_repeats_what_was_printed_is_withheld() {
        assert_eq!(shown("sk-CANARY\n", "bad key sk-CANARY."), Some(WITHHELD.to_owned()));
        assert_eq!(shown("a", "a bad day"), Some("a bad day".to_owned()));
    }

    #[test]
    fn of_standard_error_the_end_is_kept_and_no_buffer_grows() {
        let mut output = Output::new();
        let (said, printed) = (output.said.capacity(), output.printed.capacity());
        for _ in 0..10 {
            output.say(&[b'x'; 1_000]);
        }
        output.say(b"\nlast");
        assert_eq!((output.said.len(), output.said.capacity()), (SAID_BYTES_MAX, said));
        assert_eq!(end_of(&output), Some("last".to_owned()));
        assert!(output.print(&vec![b'x'; OUTPUT_BYTES_MAX]) && !output.print(b"x"));
        assert_eq!(output.printed.capacity(), printed);
    }
}
