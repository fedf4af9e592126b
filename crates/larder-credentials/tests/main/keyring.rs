//! The platform's keyring where there is none: on servers, in containers, in CI.

use std::sync::Arc;
use std::time::Duration;

use larder_credentials::keyring::{Error, PlatformKeyring};
use larder_credentials::{Answer, Keyring as _, Looked};
use larder_testkit::{Child, Scratch, child};

use crate::chain::chain_with;
use crate::place::{name, secret};

/// The environment is the process's own, so each session is a child.
fn in_session(role: &str, variable: &str, value: &str) {
    Child::spawn_through("keyring::child_entry", role, &[("variable", variable), ("value", value)]).wait_for_success();
}

#[test]
#[cfg(target_os = "linux")]
fn without_a_session_or_with_a_dead_one_each_call_says_that_there_is_no_keyring() {
    let scratch = Scratch::new("keyring");
    in_session("none", "", "");
    let dead = format!("unix:path={}", scratch.join("no-such-bus").display());
    in_session("dead", "DBUS_SESSION_BUS_ADDRESS", &dead);
    in_session("dead", "DBUS_SESSION_BUS_ADDRESS", "no address at all");
}

#[test]
#[cfg(target_os = "linux")]
fn a_bus_that_never_answers_holds_nobody_up_beyond_the_bound() {
    let scratch = Scratch::new("mute-bus");
    // in the abstract the path could be too long for a socket; this one is made short
    let path = format!("/tmp/larder-bus-{:016x}", larder_system::unique().unwrap());
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    in_session("mute", "DBUS_SESSION_BUS_ADDRESS", &format!("unix:path={path}"));
    drop((listener, scratch));
    #[expect(clippy::disallowed_methods, reason = "a socket of this test")]
    std::fs::remove_file(path).unwrap();
}

#[test]
#[ignore = "a child of other tests"]
fn child_entry() {
    child::run(|role, args| {
        let again = std::env::var_os("LARDER_KEYRING_AGAIN").is_some();
        if !again {
            // a process cannot safely change its own environment: it runs itself once more with another one
            let mut command = std::process::Command::new(std::env::current_exe().unwrap());
            command.args(std::env::args().skip(1)).env("LARDER_KEYRING_AGAIN", "1");
            command.env_remove("DBUS_SESSION_BUS_ADDRESS").env_remove("XDG_RUNTIME_DIR").env_remove("DISPLAY");
            if !args.get("variable").is_empty() {
                command.env(args.get("variable"), args.get("value"));
            }
            assert!(command.status().unwrap().success());
            return;
        }
        let ring = PlatformKeyring::new().timeout(Duration::from_millis(if role == "mute" { 300 } else { 60_000 }));
        let results = [
            ring.get("larder-test", "docs").map(drop).unwrap_err(),
            ring.set("larder-test", "docs", &secret("CANARY")).unwrap_err(),
            ring.remove("larder-test", "docs").unwrap_err(),
        ];
        for error in results {
            let expected = match role {
                "mute" => matches!(error, Error::TimedOut { .. }),
                _ => matches!(error, Error::NoService { .. }),
            };
            assert!(expected && !format!("{error} {error:?}").contains("CANARY"), "{role}: {error:?}");
        }
        let answer = chain_with(&[]).keyring("larder-test", Arc::new(ring)).find(&name("docs")).unwrap();
        assert!(
            matches!(&answer, Answer::Missing(tried) if matches!(tried[0].looked, Looked::Failed(_))),
            "{answer:?}"
        );
    });
}
