//! What happens before each call: rules that count, and a test's own script.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Gate, Operation};
use crate::errno::EINTR;

/// How many calls are kept while recording.
const RECORDED_MAX: usize = 1_000_000;

/// One call of a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Which call it is since the last reset, from 0.
    pub index: u64,
    /// Which method.
    pub operation: Operation,
    /// What it is about, from the path of the root down; for a rename or link, the name it starts from.
    pub path: Option<PathBuf>,
    /// Where a rename or link leads.
    pub to: Option<PathBuf>,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "call {}: {:?}", self.index, self.operation)?;
        if let Some(path) = &self.path {
            write!(f, " {}", path.display())?;
        }
        if let Some(to) = &self.to {
            write!(f, " -> {}", to.display())?;
        }
        Ok(())
    }
}

/// What a script does with a call.
#[derive(Clone, Debug)]
pub enum Action {
    /// Lets the rules decide, and without one, lets it happen.
    Proceed,
    /// Answers this error number; the call does not happen.
    Fail(i32),
    /// Lets it happen, and answers this error number all the same: a lost acknowledgement.
    FailAfter(i32),
    /// A read or write of at most so many bytes; any other call proceeds.
    Short(usize),
    /// Kills this process before the call, as `kill -9` would.
    KillProcess,
    /// Stops this process before the call, as `kill -STOP` would; once continued, the call happens.
    StopProcess,
    /// Holds this thread before the call until the gate opens; then the call happens.
    Hold(Arc<Gate>),
}

type Before = Arc<dyn Fn(&Call) -> Action + Send + Sync>;

/// The rules of one disk, and its counts.
#[derive(Default)]
pub(super) struct Script {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    next: u64,
    counts: HashMap<Operation, u64>,
    recorded: Option<Vec<Call>>,
    fail_at: BTreeMap<u64, i32>,
    fail_from: Option<(u64, i32)>,
    fail_operation: Vec<(Operation, i32, u64)>,
    write_max: Option<usize>,
    interrupt_every: Option<u64>,
    interruptible: u64,
    before: Option<Before>,
}

impl Script {
    /// Counts a call, and tells what to do with it.
    pub(super) fn meet(&self, operation: Operation, path: Option<PathBuf>, to: Option<PathBuf>) -> Action {
        let mut state = self.state();
        let call = Call { index: state.next, operation, path, to };
        state.next += 1;
        *state.counts.entry(operation).or_default() += 1;
        if let Some(recorded) = &mut state.recorded {
            assert!(recorded.len() < RECORDED_MAX, "over {RECORDED_MAX} calls recorded: record less of the test");
            recorded.push(call.clone());
        }
        // The test's own script runs without the lock: it may ask this disk for its counts.
        if let Some(before) = state.before.clone() {
            drop(state);
            match before(&call) {
                Action::Proceed => state = self.state(),
                action => return action,
            }
        }
        state.apply_rules(&call)
    }

    pub(super) fn count(&self) -> u64 {
        self.state().next
    }

    pub(super) fn count_of(&self, operation: Operation) -> u64 {
        self.state().counts.get(&operation).copied().unwrap_or(0)
    }

    pub(super) fn record(&self) {
        self.state().recorded = Some(Vec::new());
    }

    pub(super) fn calls(&self) -> Vec<Call> {
        self.state().recorded.clone().unwrap_or_default()
    }

    pub(super) fn reset(&self) {
        let mut state = self.state();
        state.next = 0;
        state.counts.clear();
        state.interruptible = 0;
        if let Some(recorded) = &mut state.recorded {
            recorded.clear();
        }
    }

    pub(super) fn heal(&self) {
        let mut state = self.state();
        state.fail_at.clear();
        state.fail_from = None;
        state.fail_operation.clear();
        state.write_max = None;
        state.interrupt_every = None;
        state.before = None;
    }

    pub(super) fn fail_at(&self, index: u64, errno: i32) {
        self.state().fail_at.insert(index, errno);
    }

    pub(super) fn fail_from(&self, index: u64, errno: i32) {
        self.state().fail_from = Some((index, errno));
    }

    pub(super) fn fail_operation(&self, operation: Operation, errno: i32, times: u64) {
        self.state().fail_operation.push((operation, errno, times));
    }

    pub(super) fn shorten_writes_to(&self, bytes: usize) {
        assert!(bytes > 0, "a write of no bytes is no short write");
        self.state().write_max = Some(bytes);
    }

    pub(super) fn interrupt_every(&self, calls: u64) {
        assert!(calls > 1, "if every call is interrupted, no retry can end");
        self.state().interrupt_every = Some(calls);
    }

    pub(super) fn before(&self, before: Before) {
        self.state().before = Some(before);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn apply_rules(&mut self, call: &Call) -> Action {
        if let Some(errno) = self.fail_at.get(&call.index) {
            return Action::Fail(*errno);
        }
        if let Some((index, errno)) = self.fail_from
            && call.index >= index
        {
            return Action::Fail(errno);
        }
        let rule = self.fail_operation.iter_mut().find(|(which, _, times)| *which == call.operation && *times > 0);
        if let Some((_, errno, times)) = rule {
            *times -= 1;
            return Action::Fail(*errno);
        }
        if let Some(every) = self.interrupt_every
            && call.operation.is_interruptible()
        {
            self.interruptible += 1;
            if self.interruptible.is_multiple_of(every) {
                return Action::Fail(EINTR);
            }
        }
        match (self.write_max, call.operation) {
            (Some(bytes), Operation::Write | Operation::WriteAt) => Action::Short(bytes),
            _ => Action::Proceed,
        }
    }
}
