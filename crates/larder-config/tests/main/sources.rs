//! The words of a source's command for a key.

use larder_config::{CommandError, Config};
use proptest::prelude::*;

fn command(pattern: &str, words: &str, key: &str) -> Result<Vec<String>, CommandError> {
    let text = format!("version: 1\nsources: [{{ match: '{pattern}', command: {words} }}]\n");
    let config = Config::parse(&text, "c.yaml".into()).unwrap();
    config.sources()[0].command(key)
}

fn refused(pattern: &str, words: &str) -> String {
    let text = format!("version: 1\nsources: [{{ match: '{pattern}', command: {words} }}]\n");
    let error = Config::parse(&text, "c.yaml".into()).unwrap_err();
    format!("{error}: {}", std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default())
}

#[test]
fn each_variable_stands_for_its_part_of_the_key() {
    let words =
        command("docs/*/**", "[x, '{key}', '{path}', '{1}-{2}', '{{{3}}}', '--out={path}']", "docs/a/b/c").unwrap();
    assert_eq!(words, ["x", "docs/a/b/c", "a/b/c", "docs-a", "{b}", "--out=a/b/c"]);
    assert_eq!(command("docs/a", "[x]", "docs/a").unwrap(), ["x"]);
}

#[test]
fn a_variable_without_a_value_is_named_when_the_file_is_read_or_when_a_key_comes() {
    assert!(refused("a/b", "[x, '{3}']").contains("`{3}`"));
    assert!(refused("a/b", "[x, '{path}']").contains("`{path}`"));
    assert!(refused("a/**", "[x, '{0}']").contains("`{0}`"));
    assert!(refused("a/**", "[x, '{name}']").contains("`{name}`"));
    assert!(refused("a/**", "[x, '{key']").contains("brace"));
    assert!(refused("a/**", "[x, 'key}']").contains("brace"));
    let error = command("a/**", "[x, '{3}']", "a/b").unwrap_err();
    assert!(error.to_string().starts_with("c.yaml:2:20: {3} has no value for \"a/b\""), "{error}");
}

#[test]
fn a_word_stays_within_what_programs_take() {
    assert!(refused("**", &format!("[x, '{}']", "{key}".repeat(65))).contains("more than 64"));
    assert!(refused("**", "[x, \"a\\0b\"]").contains("NUL"));
    assert!(refused("**", "[\"a\\0b\"]").contains("NUL"));
}

#[test]
fn a_key_chooses_no_program() {
    for words in ["['{1}']", "['./{key}']"] {
        assert!(refused("**", words).contains("program"), "{}", refused("**", words));
    }
}

#[test]
fn a_part_that_begins_with_a_dash_is_no_flag() {
    let error = command("**", "[x, '{key}']", "-rf").unwrap_err();
    assert!(matches!(&error, CommandError::Flag { word, .. } if word == "-rf"), "{error}");
    assert_eq!(command("**", "[x, --, '{key}']", "-rf").unwrap(), ["x", "--", "-rf"]);
    assert_eq!(command("**", "[x, '-k{key}']", "-rf").unwrap(), ["x", "-k-rf"]);
    // the end of flags counts from where it stands
    assert!(command("**", "[x, '{key}', --]", "-rf").is_err());
}

proptest! {
    #[test]
    fn no_key_makes_a_flag_that_was_not_written(
        key in "[-a-z]{1,4}(/[-a-z]{1,4}){0,3}",
        words in proptest::collection::vec("(\\{key\\}|\\{path\\}|\\{1\\}|-|a){1,3}", 0..4),
    ) {
        let list: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
        let Ok(expanded) = command("**", &format!("[x, {}]", list.join(", ")), &key) else { return Ok(()) };
        let mut ended = false;
        for (word, written) in expanded.iter().skip(1).zip(&words) {
            prop_assert!(ended || !word.starts_with('-') || written.starts_with('-'), "{} from {}", word, written);
            ended |= written == "--";
        }
    }
}
