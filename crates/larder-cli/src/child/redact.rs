//! Secrets taken out of what a command says: it was given them, and may repeat them in its errors.

use larder_credentials::Secret;

use crate::credentials::Given;

/// What stands in the place of one.
const REDACTED: &[u8] = b"***";
/// A text as short as this is no secret worth the name, and stands in messages by chance.
const BYTES_MIN: usize = 4;

/// Takes secrets out of a stream, also where they come in pieces.
#[derive(Debug, Default)]
pub(super) struct Redactor {
    secrets: Vec<Secret>,
    /// What may be the beginning of one.
    held: Vec<u8>,
}

impl Redactor {
    pub(super) fn of(given: &[Given]) -> Self {
        let telling =
            given.iter().map(|given| given.secret.clone()).filter(|secret| secret.expose().len() >= BYTES_MIN);
        let mut secrets: Vec<_> = telling.collect();
        // of two that begin alike the longer one goes whole
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.expose().len()));
        Self { secrets, held: Vec::new() }
    }

    /// What may be passed on now, of all that has come so far.
    pub(super) fn pass(&mut self, piece: &[u8]) -> Vec<u8> {
        if self.secrets.is_empty() {
            return piece.to_vec();
        }
        self.held.extend_from_slice(piece);
        let mut passed = Vec::with_capacity(self.held.len());
        let mut at = 0;
        while let Some(rest) = self.held.get(at..).filter(|rest| !rest.is_empty()) {
            let secrets = || self.secrets.iter().map(|secret| secret.expose().as_bytes());
            if secrets().any(|secret| secret.len() > rest.len() && secret.starts_with(rest)) {
                break;
            }
            if let Some(secret) = secrets().find(|secret| rest.starts_with(secret)) {
                passed.extend_from_slice(REDACTED);
                at += secret.len();
            } else {
                passed.extend(rest.first());
                at += 1;
            }
        }
        self.held.drain(..at);
        passed
    }

    /// The rest, when no more comes: the beginning of a secret that is none.
    pub(super) fn finish(&mut self) -> Vec<u8> {
        let mut passed = Vec::new();
        // the longest that it might have been is not coming; a shorter one may be in it
        while !self.held.is_empty() {
            let secrets = || self.secrets.iter().map(|secret| secret.expose().as_bytes());
            match secrets().find(|secret| self.held.starts_with(secret)).map(<[u8]>::len) {
                Some(length) => {
                    passed.extend_from_slice(REDACTED);
                    self.held.drain(..length);
                }
                None => passed.push(self.held.remove(0)),
            }
        }
        passed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redactor(secrets: &[&str]) -> Redactor {
        let given = secrets.iter().map(|text| Given { variable: "X".to_owned(), secret: Secret::new(*text).unwrap() });
        Redactor::of(&given.collect::<Vec<_>>())
    }

    fn passed(secrets: &[&str], text: &str, piece: usize) -> String {
        let mut redactor = redactor(secrets);
        let mut all = Vec::new();
        for piece in text.as_bytes().chunks(piece) {
            all.extend(redactor.pass(piece));
        }
        all.extend(redactor.finish());
        String::from_utf8(all).unwrap()
    }

    #[test]
    fn secrets_are_taken_out_however_they_come_and_all_else_stays() {
        for piece in 1..30 {
            for (secrets, text, expected) in [
                (&["canary-1"][..], "Bearer canary-1\ncanary-2 canary-", "Bearer ***\ncanary-2 canary-"),
                (&["canary"], "canarycanarycanar", "******canar"),
                (&["aaab"], "aaaaaab aaab", "aaa*** ***"),
                (&["long-and-longer", "long-and"], "long-and-longer long-and-long", "*** ***-long"),
                (&["abc"], "abc", "abc"),
                (&[], "nothing to hide", "nothing to hide"),
            ] {
                assert_eq!(passed(secrets, text, piece), expected, "{piece}");
            }
        }
    }

    #[test]
    fn what_cannot_be_a_secret_is_not_held_back() {
        let mut redactor = redactor(&["canary"]);
        assert_eq!(redactor.pass(b"Password: "), b"Password: ");
        assert_eq!(redactor.pass(b"can"), b"");
        assert_eq!(redactor.pass(b"not"), b"cannot");
    }
}
