//! The keyring of the operating system, each call with a bound.

#[cfg(target_vendor = "apple")]
mod apple;
#[cfg(all(unix, not(target_vendor = "apple")))]
mod secret_service;
#[cfg(windows)]
mod windows;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use keyring_core::Entry;
use zeroize::Zeroizing;

use super::{Error, Keyring};
use crate::{Secret, secret};

#[cfg(target_vendor = "apple")]
use apple as system;
#[cfg(all(unix, not(target_vendor = "apple")))]
use secret_service as system;
#[cfg(windows)]
use windows as system;

/// How long a keyring may take unless told otherwise; it may have to ask its user for a password.
pub const TIMEOUT: Duration = Duration::from_secs(20);

/// How many calls may hang at once. A call that its caller gave up cannot be ended, only left alone.
const CALLS_MAX: usize = 8;

static CALLS: AtomicUsize = AtomicUsize::new(0);

/// The keyring of the operating system: the Secret Service of desktops (GNOME Keyring, `KWallet`), the Keychain of macOS,
/// the Credential Manager of Windows.
///
/// # Platform
/// - Linux and other Unix systems: over D-Bus, spoken in Rust. Without a session, as on servers and in CI, each call fails
///   at once with [`Error::NoService`]. The kernel's own keyring is not used: it forgets at logout or reboot, and a
///   credential that has to be given again each morning is not stored.
/// - macOS: a program that is not signed is asked for at each build.
/// - Windows: a secret has at most 2,560 bytes.
#[derive(Clone, Debug)]
pub struct PlatformKeyring {
    timeout: Duration,
}

impl Default for PlatformKeyring {
    fn default() -> Self {
        Self::new()
    }
}

impl PlatformKeyring {
    /// The keyring of this session. Nothing is asked yet.
    pub const fn new() -> Self {
        Self { timeout: TIMEOUT }
    }

    /// Gives up on a call after so long; 20 seconds unless set.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    fn call<T: Send + 'static>(
        &self,
        service: &str,
        account: &str,
        act: impl FnOnce(&Entry) -> keyring_core::Result<T> + Send + 'static,
    ) -> Result<Option<T>, Error> {
        system::look()?;
        let (service, account) = (service.to_owned(), account.to_owned());
        within(self.timeout, move || {
            let entry = system::entry(&service, &account)?;
            match act(&entry) {
                Ok(answer) => Ok(Some(answer)),
                Err(keyring_core::Error::NoEntry) => Ok(None),
                Err(error) => Err(told(&error)),
            }
        })
    }
}

impl Keyring for PlatformKeyring {
    fn get(&self, service: &str, account: &str) -> Result<Option<Secret>, Error> {
        let password = self.call(service, account, |entry| entry.get_password().map(Zeroizing::new))?;
        password.map(|mut text| Secret::new(std::mem::take(&mut *text))).transpose().map_err(Error::NoSecret)
    }

    fn set(&self, service: &str, account: &str, secret: &Secret) -> Result<(), Error> {
        let secret = secret.clone();
        self.call(service, account, move |entry| entry.set_password(secret.expose())).map(drop)
    }

    fn remove(&self, service: &str, account: &str) -> Result<(), Error> {
        self.call(service, account, Entry::delete_credential).map(drop)
    }
}

/// Counts down however the work ends.
struct Call;

impl Drop for Call {
    fn drop(&mut self) {
        CALLS.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Does the work in a thread of its own, and leaves it alone when it takes too long.
fn within<T: Send + 'static>(
    timeout: Duration,
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let failed = |reason: &str| Error::Failed { reason: reason.to_owned() };
    if CALLS.fetch_add(1, Ordering::Relaxed) >= CALLS_MAX {
        CALLS.fetch_sub(1, Ordering::Relaxed);
        return Err(failed("too many calls of it hang"));
    }
    let call = Call;
    let (sender, receiver) = sync_channel(1);
    let run = move || {
        let _call = call;
        // nobody may listen any more
        let _ = sender.send(work());
    };
    if std::thread::Builder::new().name("keyring".to_owned()).spawn(run).is_err() {
        return Err(failed("there is no thread for it"));
    }
    match receiver.recv_timeout(timeout) {
        Ok(answer) => answer,
        Err(RecvTimeoutError::Timeout) => Err(Error::TimedOut { after: timeout }),
        Err(RecvTimeoutError::Disconnected) => Err(failed("it ended without an answer")),
    }
}

/// In words of our own where the library's have the secret in them.
fn told(error: &keyring_core::Error) -> Error {
    use keyring_core::Error as Core;
    match error {
        Core::NoStorageAccess(cause) => Error::NoAccess { reason: cause.to_string() },
        Core::PlatformFailure(cause) => Error::Failed { reason: cause.to_string() },
        Core::BadEncoding(_) => Error::NoSecret(secret::Error::NotText),
        Core::TooLong(what, max) => {
            Error::Failed { reason: format!("{what} is longer than {max}, the most that it takes") }
        }
        Core::Ambiguous(_) => Error::Failed { reason: "it has several secrets of that name".to_owned() },
        _ => Error::Failed { reason: "it cannot keep this".to_owned() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_that_hangs_is_left_alone_and_too_much_of_it_is_not_begun() {
        let (gate, held) = std::sync::mpsc::channel::<()>();
        let held = std::sync::Arc::new(std::sync::Mutex::new(held));
        for _ in 0..CALLS_MAX {
            let held = std::sync::Arc::clone(&held);
            let hangs = move || {
                let _ = held.lock().map(|held| held.recv());
                Ok(())
            };
            let after = Duration::from_millis(1);
            assert_eq!(within(after, hangs), Err(Error::TimedOut { after }));
        }
        let error = within(TIMEOUT, || Ok(())).unwrap_err();
        assert_eq!(error, Error::Failed { reason: "too many calls of it hang".to_owned() });
        drop(gate);
        // each that ends makes room
        while CALLS.load(Ordering::Relaxed) > 0 {
            std::thread::yield_now();
        }
        assert_eq!(within(TIMEOUT, || Ok(7)), Ok(7));
        let error = within(TIMEOUT, || -> Result<(), Error> { std::panic::resume_unwind(Box::new(())) }).unwrap_err();
        assert_eq!(error, Error::Failed { reason: "it ended without an answer".to_owned() });
    }

    #[test]
    fn no_error_shows_what_the_keyring_has() {
        let errors = [
            keyring_core::Error::BadEncoding(b"CANARY".to_vec()),
            keyring_core::Error::BadDataFormat(b"CANARY".to_vec(), "x".into()),
        ];
        for error in errors {
            let told = told(&error);
            assert!(!format!("{told} {told:?}").contains("CANARY"));
        }
    }
}
