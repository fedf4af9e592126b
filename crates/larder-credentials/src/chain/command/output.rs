//! What a command has printed so far: on standard output the secret, on standard error perhaps a reason, perhaps the secret too.

use zeroize::Zeroizing;

use super::OUTPUT_BYTES_MAX;

/// What it prints is wiped, and its buffer never grows. Of what it says on standard error nothing is kept.
pub(super) struct Output {
    printed: Zeroizing<Vec<u8>>,
    said: bool,
}

impl Output {
    pub(super) fn new() -> Self {
        Self { printed: Zeroizing::new(Vec::with_capacity(OUTPUT_BYTES_MAX)), said: false }
    }

    /// Adds to standard output; false when that is too much.
    pub(super) fn print(&mut self, bytes: &[u8]) -> bool {
        if bytes.len() > OUTPUT_BYTES_MAX - self.printed.len() {
            return false;
        }
        self.printed.extend_from_slice(bytes);
        true
    }

    /// Passes over what is on standard error.
    pub(super) fn say(&mut self, bytes: &[u8]) {
        self.said |= !bytes.is_empty();
    }

    /// Whether there was anything.
    pub(super) const fn has_said(&self) -> bool {
        self.said
    }

    pub(super) fn take_printed(&mut self) -> Vec<u8> {
        std::mem::take(&mut *self.printed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_kept_within_a_buffer_that_never_grows() {
        let mut output = Output::new();
        let capacity = output.printed.capacity();
        assert!(output.print(&vec![b'x'; OUTPUT_BYTES_MAX]) && !output.print(b"x"));
        assert_eq!((output.printed.len(), output.printed.capacity()), (OUTPUT_BYTES_MAX, capacity));
    }
}
