//! This process as others will judge it, and others as this one may judge them.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
use linux as platform;

#[cfg(not(target_os = "linux"))]
mod other;
#[cfg(not(target_os = "linux"))]
use other as platform;

use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use larder_system::{Boot, Clock};
use serde::{Deserialize, Serialize};

/// A process at a moment, as written into lock and lease files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stamp {
    pub(crate) pid: u32,
    pub(crate) host: String,
    /// Wall time in milliseconds since 1970: for people, never for a decision.
    pub(crate) since_ms: u64,
    pub(crate) boot: Option<Boot>,
    /// The namespace that the pid counts in; containers of one host see different processes under one number.
    pub(crate) space: Option<u64>,
    /// When the process started, in the kernel's ticks: tells a reused pid.
    pub(crate) start: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) label: Option<String>,
}

struct Here {
    pid: u32,
    host: String,
    space: Option<u64>,
    start: Option<u64>,
}

/// Learnt once: neither changes while a process lives. A bare `fork` is noticed by its pid.
fn here() -> &'static Here {
    static HERE: OnceLock<Here> = OnceLock::new();
    HERE.get_or_init(|| {
        let pid = std::process::id();
        // Records have a fixed size; no system allows longer host names than this.
        let host = larder_system::host_name().chars().take(64).collect();
        Here { pid, host, space: platform::own_space(), start: platform::start_of(pid) }
    })
}

impl Stamp {
    /// This process, now.
    pub(crate) fn now(clock: &dyn Clock, label: Option<&str>) -> Self {
        let here = here();
        let pid = std::process::id();
        Self {
            pid,
            host: here.host.clone(),
            since_ms: wall_ms(clock),
            boot: clock.boot(),
            space: here.space,
            start: if pid == here.pid { here.start } else { platform::start_of(pid) },
            label: label.map(str::to_owned),
        }
    }

    pub(crate) fn since(&self) -> Option<SystemTime> {
        UNIX_EPOCH.checked_add(std::time::Duration::from_millis(self.since_ms))
    }

    /// Whether that process is gone beyond doubt. Anything that cannot be known for certain is no proof: another
    /// machine, another boot (host names repeat), another pid namespace, a platform that does not tell.
    pub(crate) fn is_proven_dead(&self, clock: &dyn Clock) -> bool {
        self.can_be_judged(clock) && self.start.is_some_and(|start| platform::is_gone(self.pid, start))
    }

    /// As [`is_proven_dead`](Self::is_proven_dead), for one system call: overlooks a pid that was given to another process,
    /// and a process that has ended but was not collected by its parent.
    pub(crate) fn has_vanished(&self, clock: &dyn Clock) -> bool {
        self.can_be_judged(clock) && platform::has_vanished(self.pid)
    }

    /// Whether that process goes on beyond doubt.
    pub(crate) fn is_proven_alive(&self, clock: &dyn Clock) -> bool {
        self.can_be_judged(clock) && self.start.is_some_and(|start| !platform::is_gone(self.pid, start))
    }

    fn can_be_judged(&self, clock: &dyn Clock) -> bool {
        let here = here();
        self.host == here.host
            && self.boot.is_some()
            && self.boot == clock.boot()
            && self.space.is_some()
            && self.space == here.space
    }
}

/// The wall time in milliseconds since 1970.
pub(crate) fn wall_ms(clock: &dyn Clock) -> u64 {
    let since = clock.wall().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The name of this machine, as records have it.
pub(crate) fn host() -> &'static str {
    &here().host
}
