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
    fn odd_letters_read_as_the_same() {
        for letter in ['\0', '\u{7f}', '\u{85}', '\u{9f}', '\u{2028}', '\u{feff}', '\u{fffe}', '\u{10ffff}', '%', ':'] {
            let all = format!("a{letter}b {letter}");
            let read: Vec<String> = serde_yaml::from_str(&format!("- {}\n", super::text(&all))).unwrap();
            assert_eq!(read, [all]);
        }
    }
}
