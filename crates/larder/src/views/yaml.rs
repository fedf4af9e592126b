//! Texts as YAML has them.

use std::fmt::Write as _;

/// A text as a double-quoted scalar of YAML 1.2: what is not printable there, or is a line break in older versions, is
/// escaped (YAML 1.2.2, sections 5.1 and 7.3.1).
pub(super) fn text(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for letter in text.chars() {
        match letter {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..
                if !matches!(letter, '\u{2028}' | '\u{2029}' | '\u{feff}') =>
            {
                quoted.push(letter);
            }
            _ => _ = write!(quoted, "\\u{:04X}", u32::from(letter)),
        }
    }
    quoted.push('"');
    quoted
}

/// The longest key that stands without a mark before it, in characters, less some for its quotes: YAML 1.2.2, section 7.4.2.
const IMPLICIT_MAX: usize = 1_000;

/// A text as the key of a mapping, its colon included; a long one with the mark that it needs, and the colon on a line of its
/// own after `indent`.
pub(super) fn key(name: impl AsRef<str>, indent: &str) -> String {
    let quoted = text(name.as_ref());
    if quoted.chars().count() <= IMPLICIT_MAX { format!("{quoted}:") } else { format!("? {quoted}\n{indent}:") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_quoted_reads_as_the_same(key in any::<String>(), value in any::<String>()) {
            let yaml = format!("{}: {}\n", super::text(&key), super::text(&value));
            let read: std::collections::BTreeMap<String, String> = serde_yaml::from_str(&yaml).unwrap();
            prop_assert_eq!(read, std::collections::BTreeMap::from([(key, value)]));
        }
    }

    #[test]
    fn a_long_key_reads_as_the_same() {
        type Topics = std::collections::BTreeMap<String, std::collections::BTreeMap<String, u32>>;
        for name in ["k".repeat(1_024), "\u{1}".repeat(512), "k".repeat(998)] {
            let yaml =
                format!("  {}\n    topics:\n      {} {{a: 1}}\n", super::key(&name, "  "), super::key(&name, "      "));
            let read: std::collections::BTreeMap<String, std::collections::BTreeMap<String, Topics>> =
                serde_yaml::from_str(&yaml).unwrap();
            assert_eq!(read[&name]["topics"][&name]["a"], 1);
        }
    }

    #[test]
    fn odd_letters_read_as_the_same() {
        for letter in ['\0', '\u{7f}', '\u{85}', '\u{9f}', '\u{2028}', '\u{feff}', '\u{fffe}', '\u{10ffff}', '%', ':'] {
            let all = format!("a{letter}b {letter}");
            let read: Vec<String> = serde_yaml::from_str(&format!("- {}\n", super::text(&all))).unwrap();
            assert_eq!(read, [all]);
        }
    }
}
