//! Where a credential is looked for: the order, what is passed over, and what ends the search.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::sync::{Arc, Mutex};

use larder_credentials::chain::{Command, Error};
use larder_credentials::keyring::{self, Keyring};
use larder_credentials::{Answer, Chain, Link, Looked, Secret, secret, store};

use crate::place::{Place, name, secret as key, set_mode};

/// A keyring in memory, or one that always fails.
#[derive(Debug, Default)]
pub(crate) struct Fake {
    kept: Mutex<BTreeMap<(String, String), Secret>>,
    fails: bool,
}

impl Fake {
    fn check(&self) -> Result<(), keyring::Error> {
        if self.fails { Err(keyring::Error::NoService { reason: "no session".to_owned() }) } else { Ok(()) }
    }
}

impl Keyring for Fake {
    fn get(&self, service: &str, account: &str) -> Result<Option<Secret>, keyring::Error> {
        self.check()?;
        Ok(self.kept.lock().unwrap().get(&(service.to_owned(), account.to_owned())).cloned())
    }

    fn set(&self, service: &str, account: &str, secret: &Secret) -> Result<(), keyring::Error> {
        self.check()?;
        self.kept.lock().unwrap().insert((service.to_owned(), account.to_owned()), secret.clone());
        Ok(())
    }

    fn remove(&self, service: &str, account: &str) -> Result<(), keyring::Error> {
        self.check()?;
        self.kept.lock().unwrap().remove(&(service.to_owned(), account.to_owned()));
        Ok(())
    }
}

/// A chain with an environment of its own.
pub(crate) fn chain_with(set: &[(&str, &str)]) -> Chain {
    let set: BTreeMap<String, OsString> =
        set.iter().map(|(variable, value)| ((*variable).to_owned(), value.into())).collect();
    Chain::new().environment(move |variable| set.get(variable).cloned())
}

fn prints(text: &str) -> Command {
    Command::new(["/bin/sh", "-c", &format!("printf %s '{text}'")]).unwrap()
}

/// The value that is found, and where.
fn found(chain: &Chain) -> (String, Link) {
    let found = chain.find(&name("docs")).unwrap().found().unwrap();
    (found.secret.expose().to_owned(), found.link)
}

fn tried(chain: &Chain) -> Vec<String> {
    chain.find(&name("docs")).unwrap().tried().iter().map(ToString::to_string).collect()
}

#[test]
fn the_first_place_that_has_it_wins_in_the_order_of_the_chain() {
    let place = Place::with("order", "docs", "of the file");
    let ring = Arc::new(Fake::default());
    ring.set("tool", "docs", &key("of the ring")).unwrap();
    let with = |skip: usize| {
        let mut chain = chain_with(&[("TOKEN", "of the environment")]);
        if skip < 1 {
            chain = chain.explicit(key("given"));
        }
        if skip < 2 {
            chain = chain.variable("TOKEN");
        }
        if skip < 3 {
            chain = chain.command(prints("of the command"));
        }
        if skip < 4 {
            chain = chain.keyring("tool", ring.clone());
        }
        chain.store(place.store.clone())
    };
    let values: Vec<String> = (0..5).map(|skip| found(&with(skip)).0).collect();
    assert_eq!(values, ["given", "of the environment", "of the command", "of the ring", "of the file"]);
    assert_eq!(found(&with(1)).1, Link::Environment { variable: "TOKEN".to_owned() });
    assert_eq!(found(&with(2)).1, Link::Command { program: "/bin/sh".to_owned() });
    assert_eq!(found(&with(3)).1, Link::Keyring { service: "tool".to_owned() });
    assert_eq!(found(&with(4)).1, Link::File { path: place.store.path().to_owned() });
}

#[test]
fn what_fails_is_told_and_hides_nothing_that_comes_later() {
    let place = Place::with("failing", "docs", "of the file");
    let broken = Place::with("broken", "docs", "x");
    broken.write("no JSON");
    let chain = chain_with(&[("EMPTY", "\n")])
        .variable("UNSET")
        .variable("EMPTY")
        .command(Command::new(["/bin/sh", "-c", "echo no such entry >&2; exit 2"]).unwrap())
        .keyring("tool", Arc::new(Fake { fails: true, ..Fake::default() }))
        .store(broken.store.clone())
        .store(place.store.clone());
    assert_eq!(found(&chain).0, "of the file");
    let tried = tried(&chain);
    assert_eq!(
        tried[..4],
        [
            "environment variable UNSET: absent",
            "environment variable EMPTY: set, but empty, which counts as absent",
            "command `/bin/sh`: failed: it ended with exit status: 2 and a message, which may hold the secret and is \
             not shown: run it by hand to see",
            "keyring, service `tool`: failed: no keyring service: no session",
        ]
    );
    assert!(tried[4].contains("is damaged, because it is no JSON object"), "{}", tried[4]);
}

#[test]
fn nothing_found_is_missing_unless_the_upstream_serves_anybody() {
    let chain = chain_with(&[]).variable("UNSET");
    let answer = chain.find(&name("docs")).unwrap();
    assert!(matches!(&answer, Answer::Missing(tried) if tried[0].looked == Looked::Absent), "{answer:?}");
    let answer = chain.anonymous().find(&name("docs")).unwrap();
    assert!(matches!(&answer, Answer::Anonymous(tried) if tried.len() == 1), "{answer:?}");
}

#[test]
fn a_variable_that_is_no_secret_is_an_error_with_its_name_and_not_absent() {
    let variable = |value: Vec<u8>| {
        Chain::new()
            .environment(move |_| Some(OsString::from_vec(value.clone())))
            .variable("DOCS_TOKEN")
            .explicit(key("later"))
            .find(&name("docs"))
            .unwrap_err()
    };
    for (value, fault) in [
        (&b"CANARY\nCANARY"[..], secret::Error::SeveralLines),
        (b"CANARY\xff", secret::Error::NotText),
        (b" CANARY", secret::Error::SurroundingSpace),
    ] {
        let error = variable(value.to_vec());
        assert!(matches!(&error, Error::Variable { source, .. } if *source == fault), "{error:?}");
        assert!(error.to_string().contains("DOCS_TOKEN") && !format!("{error:?} {error}").contains("CANARY"));
    }
}

#[test]
fn a_refused_file_is_an_error_and_is_not_passed_over() {
    let place = Place::with("refused", "docs", "one");
    let chain = chain_with(&[]).store(place.store.clone()).explicit(key("later"));
    set_mode(&place.file(), 0o644);
    let error = chain.find(&name("docs")).unwrap_err();
    assert!(matches!(error, Error::Store(store::Error::Loose { .. })), "{error:?}");
    place.write(r#"{"version": 2, "credentials": {}}"#);
    let error = chain.find(&name("docs")).unwrap_err();
    assert!(matches!(error, Error::Store(store::Error::Newer { .. })), "{error:?}");
}

#[test]
fn the_search_puts_nothing_into_the_environment_of_this_process() {
    let before: Vec<_> = std::env::vars_os().collect();
    let _ = found(&chain_with(&[("TOKEN", "CANARY")]).variable("TOKEN"));
    let _ = found(&chain_with(&[]).command(prints("CANARY")));
    assert_eq!(std::env::vars_os().collect::<Vec<_>>(), before);
}

#[test]
fn the_keyrings_own_order_of_service_and_account_is_kept() {
    let ring = Fake::default();
    ring.set("tool", "docs", &key("one")).unwrap();
    assert!(ring.get("docs", "tool").unwrap().is_none());
    ring.remove("tool", "docs").unwrap();
    let chain = chain_with(&[]).keyring("tool", Arc::new(ring));
    assert_eq!(tried(&chain), ["keyring, service `tool`: absent"]);
}

#[test]
fn an_answer_is_json_that_tells_where_it_looked() {
    let chain = chain_with(&[("EMPTY", "")]).variable("EMPTY").command(Command::new(["/nowhere"]).unwrap());
    let json = serde_json::to_string(chain.find(&name("docs")).unwrap().tried()).unwrap();
    let expected = r#"[{"link":{"kind":"environment","variable":"EMPTY"},"looked":"empty"},{"link":{"kind":"command","program":"/nowhere"},"looked":"failed","reason":"cannot start it: "#;
    assert!(json.starts_with(expected), "{json}");
}
