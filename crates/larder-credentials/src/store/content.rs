//! What is in the file: JSON, of which all that is not known is kept as it was.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::file::Bytes;
use crate::{Name, Secret, secret};

/// The version that this program writes, and the latest that it reads.
pub(super) const VERSION: u64 = 1;

const VERSION_FIELD: &str = "version";
const CREDENTIALS: &str = "credentials";
const VALUE: &str = "value";
const STORED: &str = "stored_ms";
/// The fields of a credential that this version knows, in their order.
const OWN: [&str; 2] = [VALUE, STORED];

/// The longest that the name of a field and what stands around it can become, over what it was.
const FRAME_BYTES_MAX: usize = 32;

type Fields<'a> = BTreeMap<String, &'a RawValue>;

/// The parts of the file, in the file's own bytes: nothing is copied that would have to be wiped.
#[derive(Default)]
pub(super) struct Content<'a> {
    /// Besides the version and the credentials.
    others: Fields<'a>,
    credentials: BTreeMap<Name, Fields<'a>>,
    length: usize,
}

/// Why the bytes are no content.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    Newer(u64),
    /// What, and where. The texts of the JSON reader are not passed on: they show what was read.
    Malformed(&'static str, usize, usize),
}

/// Why what is stored under a name cannot be had.
#[derive(Debug)]
pub(super) enum Bad {
    Malformed(&'static str),
    Value(secret::Error),
}

fn malformed(what: &'static str) -> impl Fn(serde_json::Error) -> Unfit {
    move |error| Unfit::Malformed(what, error.line(), error.column())
}

impl<'a> Content<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, Unfit> {
        let mut others: Fields<'a> =
            serde_json::from_slice(bytes).map_err(malformed("because it is no JSON object"))?;
        let whole = |what| Unfit::Malformed(what, 0, 0);
        let version = others.remove(VERSION_FIELD).ok_or_else(|| whole("because it has no `version`"))?;
        // a number beyond any of ours is a later version's, too
        let version: u64 =
            serde_json::from_str(version.get()).map_err(|_| whole("because its `version` is no number"))?;
        match version {
            VERSION => {}
            0 => return Err(whole("because its `version` is 0")),
            version => return Err(Unfit::Newer(version)),
        }
        let raw = others.remove(CREDENTIALS).ok_or_else(|| whole("because it has no `credentials`"))?;
        let named: Fields<'a> =
            serde_json::from_str(raw.get()).map_err(|_| whole("because its `credentials` are no object"))?;
        let mut credentials = BTreeMap::new();
        for (name, raw) in named {
            let name: Name = name.parse().map_err(|_| whole("because a name in its `credentials` is none"))?;
            let fields = serde_json::from_str(raw.get())
                .map_err(|_| whole("because something in its `credentials` is no object"))?;
            credentials.insert(name, fields);
        }
        Ok(Self { others, credentials, length: bytes.len() })
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &Name> {
        self.credentials.keys()
    }

    pub(super) fn has(&self, name: &Name) -> bool {
        self.credentials.contains_key(name)
    }

    /// The secret of this name, and when it was stored.
    pub(super) fn get(&self, name: &Name) -> Option<Result<(Secret, SystemTime), Bad>> {
        self.credentials.get(name).map(read)
    }

    pub(super) fn remove(&mut self, name: &Name) {
        self.credentials.remove(name);
    }

    /// All of it as the file's bytes, with `set` in place of what has its name now.
    pub(super) fn compose(&self, set: Option<(&Name, &Secret, u64)>) -> Result<Bytes, serde_json::Error> {
        let count: usize = self.others.len() + self.credentials.values().map(|fields| fields.len() + 1).sum::<usize>();
        // a quotation mark takes two bytes
        let added = set.map_or(0, |(name, secret, _)| name.as_str().len() + 2 * secret.expose().len());
        let room = self.length + (count + 8) * FRAME_BYTES_MAX + added;
        let mut out = Composer { bytes: Zeroizing::new(Vec::with_capacity(room)) };
        out.text(&format!("{{\n  \"{VERSION_FIELD}\": {VERSION},\n  \"{CREDENTIALS}\": {{"));
        let empty = Fields::new();
        let mut names: Vec<&Name> = self.credentials.keys().collect();
        if let Some((name, ..)) = set
            && let Err(place) = names.binary_search(&name)
        {
            names.insert(place, name);
        }
        for (index, name) in names.into_iter().enumerate() {
            out.text(if index == 0 { "\n    " } else { ",\n    " });
            out.quoted(name.as_str())?;
            out.text(": {");
            let fields = self.credentials.get(name).unwrap_or(&empty);
            let mut others = fields.iter().filter(|(field, _)| !OWN.contains(&field.as_str()));
            if let Some((_, secret, stored_ms)) = set.filter(|(set, ..)| *set == name) {
                out.text(&format!("\"{VALUE}\": "));
                out.quoted(secret.expose())?;
                out.text(&format!(", \"{STORED}\": {stored_ms}"));
            } else {
                let own = OWN.iter().filter_map(|field| fields.get_key_value(*field));
                for (index, (field, raw)) in own.chain(others.by_ref()).enumerate() {
                    out.text(if index == 0 { "" } else { ", " });
                    out.field(field, raw)?;
                }
            }
            for (field, raw) in others {
                out.text(", ");
                out.field(field, raw)?;
            }
            out.text("}");
        }
        out.text("\n  }");
        for (field, raw) in &self.others {
            out.text(",\n  ");
            out.field(field, raw)?;
        }
        out.text("\n}\n");
        Ok(out.bytes)
    }
}

impl fmt::Debug for Content<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Content").field("credentials", &self.credentials.keys()).finish_non_exhaustive()
    }
}

fn read(fields: &Fields<'_>) -> Result<(Secret, SystemTime), Bad> {
    let value = fields.get(VALUE).ok_or(Bad::Malformed("because a credential has no `value`"))?;
    let value: String =
        serde_json::from_str(value.get()).map_err(|_| Bad::Malformed("because a `value` is no text"))?;
    let secret = Secret::new(value).map_err(Bad::Value)?;
    let stored = fields.get(STORED).ok_or(Bad::Malformed("because a credential has no `stored_ms`"))?;
    let stored_ms: u64 =
        serde_json::from_str(stored.get()).map_err(|_| Bad::Malformed("because a `stored_ms` is no number"))?;
    let stored = UNIX_EPOCH.checked_add(Duration::from_millis(stored_ms));
    Ok((secret, stored.ok_or(Bad::Malformed("because a `stored_ms` is too large"))?))
}

/// Writes into a buffer that has room for all of it: one that grows leaves copies behind.
struct Composer {
    bytes: Bytes,
}

impl Composer {
    fn text(&mut self, text: &str) {
        self.bytes.extend_from_slice(text.as_bytes());
    }

    fn quoted(&mut self, text: &str) -> Result<(), serde_json::Error> {
        serde_json::to_writer(&mut *self.bytes, text)
    }

    fn field(&mut self, name: &str, raw: &RawValue) -> Result<(), serde_json::Error> {
        self.quoted(name)?;
        self.text(": ");
        self.text(raw.get());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    fn secret(text: &str) -> Secret {
        Secret::new(text).unwrap()
    }

    fn value(bytes: &[u8], at: &str) -> Option<String> {
        let content = Content::parse(bytes).unwrap();
        content.get(&name(at)).map(|found| found.unwrap().0.expose().to_owned())
    }

    #[test]
    fn what_is_not_known_is_kept_as_it_was() {
        let old = br#"{"version": 1, "note": {"a": [1.50, "\u00e9"]}, "credentials": {
            "docs": {"value": "old", "stored_ms": 5, "expires": 1e3}, "other": {"stored_ms": 6, "x": null, "value": "o"}}}"#;
        let new = Content::parse(old).unwrap().compose(Some((&name("docs"), &secret("new"), 7))).unwrap();
        let text = std::str::from_utf8(&new).unwrap();
        assert_eq!(
            text,
            "{\n  \"version\": 1,\n  \"credentials\": {\n    \
             \"docs\": {\"value\": \"new\", \"stored_ms\": 7, \"expires\": 1e3},\n    \
             \"other\": {\"value\": \"o\", \"stored_ms\": 6, \"x\": null}\n  },\n  \
             \"note\": {\"a\": [1.50, \"\\u00e9\"]}\n}\n"
        );
    }

    #[test]
    fn a_later_version_is_told_from_damage() {
        let error = |text: &str| Content::parse(text.as_bytes()).unwrap_err();
        assert_eq!(error(r#"{"version": 2, "credentials": 5}"#), Unfit::Newer(2));
        for text in [
            "",
            "[]",
            "{",
            "{}",
            r#"{"version": 1}"#,
            r#"{"version": "1", "credentials": {}}"#,
            r#"{"version": 0, "credentials": {}}"#,
            r#"{"version": 1, "credentials": []}"#,
            r#"{"version": 1, "credentials": {"A": {}}}"#,
            r#"{"version": 1, "credentials": {"a": "x"}}"#,
            r#"{"version": 1, "credentials": {}} x"#,
        ] {
            assert!(matches!(error(text), Unfit::Malformed(..)), "{text}");
        }
    }

    #[test]
    fn no_fault_shows_what_was_read() {
        for text in [
            r#"{"version": 1, "credentials": "CANARY"}"#,
            r#"{"version": "CANARY", "credentials": {}}"#,
            r#"{"version": 1, "credentials": {"a": "CANARY"}}"#,
            r#"{"version": 1, "credentials": {"a": {"value": "CANARY}}}"#,
            r#""CANARY""#,
        ] {
            let error = Content::parse(text.as_bytes()).unwrap_err();
            assert!(!format!("{error:?}").contains("CANARY"), "{error:?}");
        }
        let content = Content::parse(br#"{"version": 1, "credentials": {"a": {"value": ["CANARY"], "stored_ms": 1}}}"#);
        let error = content.unwrap().get(&name("a")).unwrap().unwrap_err();
        assert!(!format!("{error:?}").contains("CANARY"), "{error:?}");
    }

    proptest! {
        #[test]
        fn every_secret_comes_back_and_others_stay(
            first in "[!-~]([ -~]{0,40}[!-~])?",
            second in "\\PC{1,40}",
            at in "[a-z0-9][a-z0-9._-]{0,20}",
        ) {
            let Ok(second) = Secret::new(second) else { return Ok(()) };
            let one = Content::default().compose(Some((&name(&at), &secret(&first), 1))).unwrap();
            let content = Content::parse(&one).unwrap();
            let two = content.compose(Some((&name("zz-other"), &second, 2))).unwrap();
            prop_assert_eq!(value(&two, &at), Some(first.clone()));
            prop_assert_eq!(value(&two, "zz-other"), Some(second.expose().to_owned()));
            let mut content = Content::parse(&two).unwrap();
            content.remove(&name("zz-other"));
            prop_assert_eq!(content.compose(None).unwrap(), one);
        }

        #[test]
        fn the_buffer_never_grows(
            fields in prop::collection::btree_map("\\PC{0,9}", 0..9_u8, 0..9),
            text in "[\"\\\\]{1,300}",
        ) {
            let own: Vec<String> = fields.iter()
                .filter(|(field, _)| !OWN.contains(&field.as_str()))
                .map(|(field, number)| format!("{}:{number}", serde_json::to_string(field).unwrap())).collect();
            let old = format!(r#"{{"version":1,"credentials":{{"a":{{{}}}}}}}"#, own.join(","));
            let content = Content::parse(old.as_bytes()).unwrap();
            let new = content.compose(Some((&name("b"), &secret(&text), 1))).unwrap();
            let added = 1 + 2 * text.len();
            let count = content.credentials[&name("a")].len() + 1;
            prop_assert!(new.len() <= old.len() + (count + 8) * FRAME_BYTES_MAX + added);
        }

        #[test]
        fn any_bytes_are_read_or_refused_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = Content::parse(&bytes);
        }
    }
}
