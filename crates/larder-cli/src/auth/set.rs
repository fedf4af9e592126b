//! Storing and removing: in the keyring where the configuration asks for it and there is one, else in the file.

use std::io::IsTerminal as _;

use larder_credentials::form::Malformed;
use larder_credentials::keyring::Error as KeyringError;
use larder_credentials::store::{Removed, Set};
use larder_credentials::{Name, Secret, secret};
use serde::Serialize;
use zeroize::Zeroizing;

use super::Wanted;
use crate::credentials::{self, Error, keyring};
use crate::exit::{Exit, Failed};
use crate::output::Output;

/// Nothing is stored under the name.
#[derive(Debug, thiserror::Error)]
#[error("nothing is stored for {0}: `larder auth status {0}` says where it is looked for")]
struct Absent(Name);

/// What was read is not stored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
enum Refused {
    #[error("what was given for {name} is no secret, and is not stored")]
    NoSecret {
        name: Name,
        #[source]
        source: secret::Error,
    },
    #[error("what was given for {name} has not the form that {place} says, and is not stored")]
    Malformed {
        name: Name,
        place: String,
        #[source]
        source: Malformed,
    },
}

/// Standard input, or the terminal, gave nothing.
#[derive(Debug, thiserror::Error)]
#[error("the credential cannot be read")]
struct Unread(#[source] std::io::Error);

/// What `set --json` and `remove --json` print.
#[derive(Serialize)]
struct Answer<'a> {
    name: &'a str,
    stored_in: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    fingerprint: Option<String>,
}

pub(super) fn set(wanted: &Wanted<'_>, output: Output) -> Result<Exit, Failed> {
    let secret = read(&wanted.name)?;
    if let Some(credential) = wanted.configured {
        credential.form.check(&secret).map_err(|source| {
            let (name, place) = (wanted.name.clone(), credential.place.to_string());
            Failed::new(Exit::CREDENTIALS, Refused::Malformed { name, place, source })
        })?;
    }
    let (place, verb) = store(wanted, &secret, output)?;
    let fingerprint = secret.fingerprint();
    output.note(&format!("{} {verb} in {place}; its fingerprint is {fingerprint}", wanted.name));
    if let Some(variable) = wanted.configured.and_then(|credential| credential.variable.as_deref())
        && std::env::var_os(variable).is_some_and(|value| !value.is_empty())
    {
        output.warn(&format!("the variable {variable} is set here, and comes before what is stored: unset it"));
    }
    if output.json {
        let fingerprint = Some(fingerprint.to_string());
        output.object(&Answer { name: wanted.name.as_str(), stored_in: &place, fingerprint })?;
    }
    Ok(Exit::OK)
}

/// Where it is now, and how that is called.
fn store(wanted: &Wanted<'_>, secret: &Secret, output: Output) -> Result<(String, &'static str), Failed> {
    if wanted.configured.is_some_and(|credential| credential.keyring) {
        match keyring::set(&wanted.name, secret) {
            Ok(()) => {
                // an older one must not come to light when the keyring is locked
                if let Ok(store) = credentials::store() {
                    store.remove(&wanted.name).map_err(Error::Store)?;
                }
                return Ok(("the keyring".to_owned(), "is stored"));
            }
            Err(error @ KeyringError::NoService { .. }) => {
                let error = crate::exit::chain(&error);
                output.warn(&format!("the keyring does not take it ({error}): it goes into the file"));
            }
            // what it has under the name would come before what is in the file, as soon as it answers
            Err(error) => return Err(Failed::new(Exit::INPUT_OUTPUT, error)),
        }
    }
    let store = credentials::store()?;
    let set = store.set(&wanted.name, secret).map_err(Error::Store)?;
    Ok((store.path().to_string(), if set == Set::New { "is stored" } else { "is replaced" }))
}

/// From standard input to its end, or from a terminal without showing it.
fn read(name: &Name) -> Result<Secret, Failed> {
    let no_secret = |source| Failed::new(Exit::USAGE, Refused::NoSecret { name: name.clone(), source });
    let unread = |error| Failed::new(Exit::INPUT_OUTPUT, Unread(error));
    if std::io::stdin().is_terminal() {
        let text = rpassword::prompt_password(format!("{name}: ")).map(Zeroizing::new).map_err(unread)?;
        if has_more() {
            return Err(no_secret(secret::Error::SeveralLines));
        }
        return Secret::new(text.as_bytes()).map_err(no_secret);
    }
    Secret::read(&mut std::io::stdin().lock()).map_err(|error| match error {
        secret::ReadError::Secret(source) => no_secret(source),
        secret::ReadError::Io(source) => unread(source),
        other => Failed::new(Exit::INPUT_OUTPUT, other),
    })
}

/// Whether more than a line was pasted. What is left is thrown away: it would go to the shell, onto the screen and into its
/// history.
#[cfg(unix)]
fn has_more() -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    /// How long the rest of what is pasted may take to arrive.
    const REST_WITHIN: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
    let input = std::io::stdin();
    let found = poll(&mut [PollFd::new(&input, PollFlags::IN)], Some(&REST_WITHIN)).is_ok_and(|ready| ready > 0);
    if found {
        // what cannot be thrown away is told of all the same
        let _ = rustix::termios::tcflush(&input, rustix::termios::QueueSelector::IFlush);
    }
    found
}

/// The console is asked for a line, and keeps the rest.
#[cfg(not(unix))]
const fn has_more() -> bool {
    false
}

pub(super) fn remove(wanted: &Wanted<'_>, output: Output) -> Result<Exit, Failed> {
    let mut places = Vec::new();
    if wanted.configured.is_some_and(|credential| credential.keyring) {
        match keyring::remove(&wanted.name) {
            Ok(true) => places.push("the keyring".to_owned()),
            Ok(false) | Err(KeyringError::NoService { .. }) => {}
            // it may have it
            Err(error) => return Err(Failed::new(Exit::INPUT_OUTPUT, error)),
        }
    }
    let store = credentials::store()?;
    if store.remove(&wanted.name).map_err(Error::Store)? == Removed::Removed {
        places.push(store.path().to_string());
    }
    if places.is_empty() {
        return Err(Failed::new(Exit::ABSENT, Absent(wanted.name.clone())));
    }
    let places = places.join(" and ");
    output.note(&format!("{} is removed from {places}", wanted.name));
    if output.json {
        output.object(&Answer { name: wanted.name.as_str(), stored_in: &places, fingerprint: None })?;
    }
    Ok(Exit::OK)
}
