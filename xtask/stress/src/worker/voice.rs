//! What a worker says to the stage. A killed one loses what it had judged since it last spoke, never a violation.

use std::io::Write as _;

use crate::message::{Said, Violation};
use crate::promise::Promise;

/// Judgements that are said together.
const BATCH: u64 = 100;
/// How many violations one worker describes; it counts all as judged.
const VIOLATIONS_MAX: u32 = 20;

/// Counts, and speaks now and then.
#[derive(Debug, Default)]
pub(crate) struct Voice {
    judged: [u64; Promise::ALL.len()],
    counted: Vec<(&'static str, u64)>,
    unsaid: u64,
    violations: u32,
}

impl Voice {
    pub(crate) fn judge(&mut self, promise: Promise, verdict: Result<(), Violation>) {
        if let Some(count) = self.judged.get_mut(promise.index()) {
            *count += 1;
        }
        match verdict {
            Err(violation) if self.violations < VIOLATIONS_MAX => {
                self.violations += 1;
                say(&Said::Violated(violation));
                self.flush();
            }
            _ => self.tick(),
        }
    }

    pub(crate) fn count(&mut self, what: &'static str) {
        match self.counted.iter_mut().find(|(known, _)| *known == what) {
            Some((_, count)) => *count += 1,
            None => self.counted.push((what, 1)),
        }
        self.tick();
    }

    fn tick(&mut self) {
        self.unsaid += 1;
        if self.unsaid >= BATCH {
            self.flush();
        }
    }

    pub(crate) fn flush(&mut self) {
        for promise in Promise::ALL {
            if let Some(count) = self.judged.get_mut(promise.index()).map(std::mem::take).filter(|count| *count > 0) {
                say(&Said::Judged { promise, count });
            }
        }
        for (what, count) in self.counted.drain(..) {
            say(&Said::Counted { what: what.to_owned(), count });
        }
        self.unsaid = 0;
    }
}

/// Says one line. A stage that no longer listens is about to end this process.
pub(crate) fn say(said: &Said) {
    if let Ok(mut line) = serde_json::to_vec(said) {
        line.push(b'\n');
        let mut out = std::io::stdout().lock();
        let _ = out.write_all(&line).and_then(|()| out.flush());
    }
}
