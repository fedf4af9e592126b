//! Credentials: where they are found, and mistakes that never repeat what may be a credential itself.

use std::time::Duration;

use larder_config::{Config, Error};
use larder_credentials::Secret;
use larder_credentials::form::Length;

const ALL: &str = "version: 1
credentials:
  docs: {env: DOCS_TOKEN}
  context7:
    env: CONTEXT7_API_KEY
    command: [pass, show, context7]
    command_env: [GPG_TTY]
    command_timeout: 3s
    keyring: true
    prefix: ctx7sk
    length: 20-80
    characters: base64url
    optional: true
    check: {url: \"https://api.example/v1/me\", method: HEAD, header: \"X-Key: {}\", timeout: 2s}
  off: {enabled: false}
sources:
  - {match: a/**, command: [fetch], credentials: [docs, context7, docs]}
";

/// What looks like a credential, and must not be repeated.
const CANARY: &str = "ctx7sk-canary-0451";

fn error(text: &str) -> (Error, String) {
    let error = Config::parse(text, "c.yaml".into()).unwrap_err();
    let mut told = format!("{error}");
    let mut cause: Option<&dyn std::error::Error> = std::error::Error::source(&error);
    while let Some(next) = cause {
        told = format!("{told}: {next}");
        cause = next.source();
    }
    (error, told)
}

#[test]
fn everything_that_is_said_of_a_credential_is_in_force() {
    let config = Config::parse(ALL, "c.yaml".into()).unwrap();
    let names: Vec<_> = config.credentials().iter().map(|credential| credential.name.as_str()).collect();
    assert_eq!(names, ["context7", "docs", "off"]);
    let docs = config.credential("docs").unwrap();
    assert_eq!(docs.variable.as_deref(), Some("DOCS_TOKEN"));
    assert!(docs.enabled && !docs.optional && !docs.keyring && docs.command.is_none() && docs.check.is_none());
    let context7 = config.credential("context7").unwrap();
    assert!(context7.keyring && context7.optional);
    let command = context7.command.as_ref().unwrap();
    assert_eq!((command.words.len(), command.timeout), (3, Duration::from_secs(3)));
    assert_eq!(command.env, ["GPG_TTY"]);
    let form = &context7.form;
    assert_eq!((form.prefix.as_deref(), &form.length), (Some("ctx7sk"), &Some(Length::Range(20..=80))));
    assert!(form.check(&Secret::new("ctx7sk-0123456789abcdef").unwrap()).is_ok());
    assert!(form.check(&Secret::new("ctx7sk-0123456789abcde!").unwrap()).is_err());
    let check = context7.check.as_ref().unwrap();
    assert_eq!((check.method.as_str(), check.header.as_str()), ("HEAD", "X-Key: {}"));
    assert_eq!(check.timeout, Duration::from_secs(2));
    assert!(!config.credential("off").unwrap().enabled);
    let asked: Vec<_> = config.sources()[0].credentials.iter().map(ToString::to_string).collect();
    assert_eq!(asked, ["docs", "context7"]);
    let settings: Vec<_> = config.settings().iter().map(|setting| (&*setting.name, &*setting.value)).collect();
    assert!(settings.contains(&("credentials.docs", "variable DOCS_TOKEN, file")));
    let all = "variable CONTEXT7_API_KEY, command pass, keyring, file, optional";
    assert!(settings.contains(&("credentials.context7", all)), "{settings:?}");
}

#[test]
fn a_file_that_only_has_credentials_needs_trust() {
    let config = Config::parse("version: 1\ncredentials: {docs: {env: DOCS_TOKEN}}\n", "c.yaml".into()).unwrap();
    assert!(config.defines_commands());
}

#[test]
fn mistakes_are_told_with_their_place_and_what_to_do() {
    for (text, says) in [
        ("credentials: {Docs: {env: X}}\n", "cannot be the name of a credential"),
        ("credentials: {a: {command: []}}\n", "needs a program"),
        ("credentials: {a: {command_timeout: 1s}}\n", "`command_timeout` is about the `command`"),
        ("credentials: {a: {command_env: [X]}}\n", "`command_env` is about the `command`"),
        ("credentials: {a: {length: 8-4}}\n", "like 40, or the least and the most, like 20-80"),
        ("credentials: {a: {characters: letters}}\n", "use alphanumeric, hex"),
        ("credentials: {a: {check: {url: ftp://x}}}\n", "`url` begins with https://"),
        ("credentials: {a: {check: {url: https://x, method: POST}}}\n", "`method` is GET or HEAD"),
        ("credentials: {a: {check: {url: https://x, header: \"X-Key: abc\"}}}\n", "has {} in the place"),
        ("credentials: {a: {check: {method: GET}}}\n", "`url` is missing"),
        ("sources: [{match: a, command: [f], credentials: [b]}]\n", "name it under `credentials`"),
        (
            "{credentials: {docs: {env: D}}, sources: [{match: a, command: [f], credentials: [dosc]}]}\n",
            "did you mean `docs`?",
        ),
        (
            "{credentials: {docs: {}}, sources: [{match: a, command: [f], credentials: [docs]}]}\n",
            "add `env: NAME` to it",
        ),
    ] {
        let text = match text.strip_prefix('{').and_then(|rest| rest.strip_suffix("}\n")) {
            Some(inside) => format!("{{version: 1,\n {inside}}}\n"),
            None => format!("version: 1\n{text}"),
        };
        let (_, told) = error(&text);
        assert!(told.starts_with("c.yaml:2:") && told.contains(says), "{text}: {told}");
    }
}

#[test]
fn a_credential_that_stands_in_the_file_is_not_repeated() {
    for text in [
        format!("credentials: {CANARY}\n"),
        format!("credentials: [{CANARY}]\n"),
        format!("credentials: {{docs: {CANARY}}}\n"),
        format!("credentials: {{docs: {{env: {CANARY}}}}}\n"),
        format!("credentials: {{docs: {{env: [{CANARY}]}}}}\n"),
        format!("credentials: {{docs: {{enabled: {CANARY}}}}}\n"),
        format!("credentials: {{docs: {{command: {CANARY}}}}}\n"),
        format!("credentials: {{docs: {{command: [p], command_env: [{CANARY}]}}}}\n"),
        format!("credentials: {{docs: {{check: {CANARY}}}}}\n"),
        format!("credentials: {{docs: {{check: {{url: {CANARY}}}}}}}\n"),
        format!("credentials: {{docs: {{check: {{url: https://x, header: {CANARY}}}}}}}\n"),
        format!("credentials: {{{CANARY}!: {{env: X}}}}\n"),
        format!("sources: [{{match: a, command: [f], credentials: [{CANARY}]}}]\n"),
        format!("sources: [{{match: a, command: [f], credentials: {CANARY}}}]\n"),
    ] {
        let (error, told) = error(&format!("version: 1\n{text}"));
        assert!(!told.contains(CANARY) && !format!("{error:?}").contains(CANARY), "{text}: {told}\n{error:?}");
    }
}
