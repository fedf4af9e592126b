//! Who is asking: boot, host and process, and numbers nobody else has drawn.

use std::fmt;
use std::io;

use serde::{Deserialize, Serialize};

/// One boot of one machine.
///
/// On Linux the kernel's random boot id. `None` from [`Boot::current`] elsewhere: macOS and Windows offer none that can
/// be read without `unsafe`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Boot(u128);

impl Boot {
    /// A boot with a chosen number, for tests.
    pub const fn from_number(number: u128) -> Self {
        Self(number)
    }

    /// Its number.
    pub const fn number(self) -> u128 {
        self.0
    }

    /// The boot this process runs in.
    pub fn current() -> Option<Self> {
        if !cfg!(target_os = "linux") {
            return None;
        }
        let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        u128::from_str_radix(&text.trim().replace('-', ""), 16).ok().map(Self)
    }
}

impl fmt::Display for Boot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// A process, told apart from every other of this and other boots.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Identity {
    /// Its process id, as it sees it itself.
    pub pid: u32,
    /// The machine's name.
    pub host: String,
    /// Drawn at random; no other identity has it.
    pub unique: u64,
}

impl Identity {
    /// A new identity for this process.
    ///
    /// # Errors
    /// The system has no random numbers to give.
    pub fn new() -> io::Result<Self> {
        Ok(Self { pid: std::process::id(), host: host_name(), unique: unique()? })
    }
}

/// A random number from the system.
///
/// # Errors
/// The system has none to give.
pub fn unique() -> io::Result<u64> {
    getrandom::u64().map_err(io::Error::from)
}

/// The machine's name, or `localhost` where it has none that is UTF-8.
pub fn host_name() -> String {
    #[cfg(unix)]
    let name = rustix::system::uname().nodename().to_str().ok().map(str::to_owned);
    #[cfg(not(unix))]
    let name = std::env::var("COMPUTERNAME").ok();
    name.filter(|name| !name.is_empty()).unwrap_or_else(|| "localhost".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_identities_of_one_process_differ_only_in_their_draw() {
        let (one, other) = (Identity::new().unwrap(), Identity::new().unwrap());
        assert_ne!(one, other);
        assert_eq!((one.pid, &one.host), (std::process::id(), &other.host));
        assert!(!one.host.is_empty());
    }

    #[test]
    fn a_boot_shows_all_its_digits() {
        assert_eq!(Boot::from_number(0xab).to_string(), format!("{}ab", "0".repeat(30)));
        assert_eq!(Boot::from_number(0xab).number(), 0xab);
    }
}
