//! Refreshing a document behind the back of whoever got a stale copy: one helper process, which outlives the command that
//! sent it and holds none of its streams open.

#[cfg_attr(unix, path = "behind/unix.rs")]
#[cfg_attr(not(unix), path = "behind/other.rs")]
mod platform;

use std::io;
use std::process::{Command, Stdio};
use std::time::Duration;

use larder_staleness::Action;
use larder_storage::{Key, Store};
use larder_upstream::Decided;

use crate::ask::{Call, Look, Unusable};
use crate::{config, root};

/// The flag that makes this program the helper; it comes before all others.
pub(crate) const FLAG: &str = "--behind";
/// Held by the helper that works through the queue because the configuration says so.
const AUTOMATIC: &str = "//queue/automatic";
/// How long a helper may take when nobody says: it is nobody's to interrupt.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(3_600);

/// Whether somebody refreshes the document now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// A helper of this process's.
    Now,
    /// Somebody who was sent before, or who fetches in the foreground.
    Before,
    /// Nobody: it is fresh by now, its upstream is to be left alone, or no helper can be had.
    Nobody,
}

/// Whether what was decided wants the upstream to be asked.
fn is_wanted(decided: &Decided) -> bool {
    matches!(decided.decision.action, Action::Give { refresh: true } | Action::Ask { .. })
}

/// Whether somebody fetches the document.
fn is_fetched(decided: &Decided) -> bool {
    decided.under_way.as_ref().is_some_and(|flight| flight.alive == Some(true))
}

impl Call<'_> {
    /// Sends a helper, if nobody is on the way and, at a second look, one is still needed; with `joins`, also when somebody
    /// fetches already, to wait for that one's end in this caller's place.
    pub(crate) fn send(&self, look: &Look<'_>, joins: bool) -> Sent {
        match self.try_to_send(look, joins) {
            Ok(sent) => sent,
            Err(error) => {
                tracing::warn!(key = %look.key, error = &error as &dyn std::error::Error, "no helper refreshes it");
                Sent::Nobody
            }
        }
    }

    fn try_to_send(&self, look: &Look<'_>, joins: bool) -> Result<Sent, Unusable> {
        let Some(errand) = look.flights.errand(look.key)? else { return Ok(Sent::Before) };
        // whoever was sent before may have come back since this caller looked
        let (_, decided) = look.again(&self.job.wish)?;
        if !joins && is_fetched(&decided) {
            return Ok(Sent::Before);
        }
        if !is_wanted(&decided) {
            return Ok(Sent::Nobody);
        }
        let lock = errand.hand_over().map_err(Unusable::Helper)?;
        let mut helper = helper().map_err(Unusable::Helper)?;
        // credentials are found in the same places by whoever runs the command; it gets no more of them than it asks for
        if self.job.credentials.is_empty() {
            self.job.environment.give(&mut helper);
        }
        // what its own command line leaves to the environment
        for name in [root::ROOT, root::LOCK_TIMEOUT, config::VARIABLE] {
            if let Some(value) = root::variable(name) {
                helper.env(name, value);
            }
        }
        helper.stdin(lock.map_or_else(Stdio::null, Stdio::from));
        helper.spawn().map_err(Unusable::Helper)?;
        tracing::info!(key = %look.key, "a helper refreshes it");
        Ok(Sent::Now)
    }
}

/// This very command line again, in a process that nobody waits for.
fn helper() -> io::Result<Command> {
    let mut helper = Command::new(std::env::current_exe()?);
    helper.arg(FLAG).args(std::env::args_os().skip(1)).stdout(Stdio::null()).stderr(Stdio::null());
    platform::detach(&mut helper);
    Ok(helper)
}

/// Sends a helper to make room within the bounds that `store` has; it goes home at once when another is at it.
pub(crate) fn send_to_evict(store: &Store) -> io::Result<()> {
    let mut helper = Command::new(std::env::current_exe()?);
    let bounds = store.bounds();
    helper.args([FLAG, "gc", "--root", store.path().as_str()]);
    for (flag, bound) in [("--bytes-max", bounds.bytes), ("--entries-max", bounds.entries)] {
        helper.args([flag, &bound.to_string()]);
    }
    helper.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    platform::detach(&mut helper);
    helper.spawn().map(drop)
}

/// Sends a helper to work through the queue, unless one is at it that was sent so.
pub(crate) fn send_to_refresh(
    store: &Store,
    global: &crate::args::Global,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let annex = store.annex("queue")?;
    let wait = larder_lock::Wait::none().without_holder();
    let guard = match annex.locks().acquire(AUTOMATIC, larder_lock::Mode::Exclusive, &wait) {
        Ok(guard) => guard,
        Err(error) if error.is_contention() => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let mut helper = Command::new(std::env::current_exe()?);
    helper.args([FLAG, "refresh", "--root", store.path().as_str(), "--timeout", "1h"]);
    if let Some(config) = &global.config {
        helper.arg("--config").arg(config);
    }
    // held by the helper until its end; with leases, which no file carries, another may be sent meanwhile
    helper.stdin(guard.hand_over()?.map_or_else(Stdio::null, Stdio::from));
    helper.stdout(Stdio::null()).stderr(Stdio::null());
    platform::detach(&mut helper);
    helper.spawn()?;
    Ok(())
}

/// Leaves the session of whoever sent this process, so that nothing that happens to its terminal reaches it.
pub(crate) fn leave() {
    platform::leave();
}

/// Whether this process has the errand by what it was given as standard input; with leases, which no file carries, it takes
/// the errand itself, and goes home when another has it.
pub(crate) fn is_mine(look: &Look<'_>, key: &Key) -> Result<Option<larder_upstream::Errand>, Unusable> {
    look.flights.errand(key).map_err(Unusable::from)
}
