//! No text that this crate makes shows a secret.

use std::sync::Arc;

use larder_credentials::chain::Command;
use larder_credentials::{Form, Keyring as _, Secret};

use crate::chain::{Fake, chain_with};
use crate::place::{Place, name, secret};

const CANARY: &str = "CANARY-6f1c";

fn withheld(what: &dyn std::fmt::Debug) {
    for text in [format!("{what:?}"), format!("{what:#?}")] {
        assert!(!text.contains("CANARY"), "{text}");
    }
}

#[test]
fn the_debug_text_of_every_type_that_holds_a_secret_withholds_it() {
    let place = Place::with("canary", "docs", CANARY);
    withheld(&secret(CANARY));
    withheld(&Some(Arc::new(secret(CANARY).clone())));
    withheld(&Secret::read(&mut CANARY.as_bytes()));
    withheld(&secret(CANARY).fingerprint());
    withheld(&place.store);
    withheld(&place.store.get(&name("docs")));
    withheld(&place.store.list());
    withheld(&Form { prefix: Some("sk-".to_owned()), ..Form::default() }.check(&secret(CANARY)));
    withheld(&Command::new(["vault", "read", "-token", CANARY]));
    let ring = Fake::default();
    ring.set("tool", "docs", &secret(CANARY)).unwrap();
    withheld(&ring);
    let chain = chain_with(&[("TOKEN", CANARY)]).explicit(secret(CANARY)).keyring("tool", Arc::new(ring));
    withheld(&chain);
    withheld(&chain.find(&name("docs")));
}

#[test]
fn a_command_that_shows_its_secret_and_fails_does_not_get_it_into_the_answer() {
    let script = format!("echo {CANARY}; echo 'token {CANARY} is expired' >&2; exit 1");
    let chain = chain_with(&[]).command(Command::new(["/bin/sh", "-c", &script]).unwrap().pass("X"));
    let answer = chain.find(&name("docs")).unwrap();
    withheld(&answer);
    assert!(answer.tried()[0].to_string().contains("is not shown"), "{}", answer.tried()[0]);
}
