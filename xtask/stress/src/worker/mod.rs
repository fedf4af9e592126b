//! One process of a scene: told its role on its command line, heard on its standard output, ended by the end of its input.

mod end;
mod voice;

use std::process::ExitCode;

use camino::Utf8PathBuf;
use larder_testkit::Seed;
use serde::{Deserialize, Serialize};

pub(crate) use self::end::End;
pub(crate) use self::voice::{Voice, say};
use crate::failure::{Failure, chain};
use crate::message::Violation;
use crate::promise::Promise;
use crate::sabotage::Sabotage;
use crate::{bounds, herd, hostile, locks, outage, queue, secrets, storm};

/// What a process is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Role {
    /// Puts versions of shared keys, and reads what it has put.
    Writer,
    /// Reads shared keys from disk.
    Reader,
    /// Reads shared keys through a memory tier.
    Rememberer,
    /// Fetches and invalidates.
    Fetcher,
    /// Sweeps and checks a store that is in use.
    Janitor,
    /// Takes and lets go of a few locks that others want as well.
    Contender,
    /// Takes and lets go of locks as it is told.
    Holder,
    /// Asks for documents, in several threads, as it is told.
    Asker,
    /// Asks for documents of which there are stale copies, likewise.
    Patron,
    /// Adds tasks.
    Producer,
    /// Does tasks.
    Labourer,
    /// Puts more documents than there may be.
    Filler,
    /// Keeps a secret.
    Keeper,
    /// Uses a root that is under attack.
    Victim,
    /// Damages files.
    Vandal,
    /// Plants links.
    Linker,
}

impl Role {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Writer => "writer",
            Self::Reader => "reader",
            Self::Rememberer => "reader with memory",
            Self::Fetcher => "fetcher",
            Self::Janitor => "janitor",
            Self::Contender => "contender",
            Self::Holder => "holder",
            Self::Asker => "asker",
            Self::Patron => "patron",
            Self::Producer => "producer",
            Self::Labourer => "labourer",
            Self::Filler => "filler",
            Self::Keeper => "keeper",
            Self::Victim => "victim",
            Self::Vandal => "vandal",
            Self::Linker => "linker",
        }
    }
}

/// Everything that a process is told when it starts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) role: Role,
    /// No other process of the run has it.
    pub(crate) id: u32,
    pub(crate) seed: u64,
    /// The arena: where its root or locks and its facts are.
    pub(crate) folder: Utf8PathBuf,
    pub(crate) corpus: Utf8PathBuf,
    /// After which it ends by itself.
    pub(crate) life_ms: u64,
    pub(crate) parent: u32,
    /// For the parts that it works with, and for nothing else in it.
    pub(crate) sabotage: Option<Sabotage>,
}

/// What every role works with.
pub(crate) struct Worker {
    pub(crate) order: Order,
    pub(crate) voice: Voice,
    pub(crate) end: End,
    pub(crate) seed: Seed,
}

impl Worker {
    /// One judgement.
    pub(crate) fn judge(&mut self, promise: Promise, key: &str, verdict: Result<(), (String, String)>) {
        let verdict = verdict.map_err(|(expected, seen)| {
            let by = format!("{} {}", self.order.role.name(), self.order.id);
            Violation { promise, key: key.to_owned(), expected, seen, by }
        });
        self.voice.judge(promise, verdict);
    }
}

/// Runs the role that the order says, to its end.
pub(crate) fn main(order: &str) -> ExitCode {
    let Ok(order) = serde_json::from_str::<Order>(order) else { return ExitCode::from(2) };
    if !dies_with(order.parent) {
        return ExitCode::from(2);
    }
    let by = format!("{} {}", order.role.name(), order.id);
    match play(order) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let mut voice = Voice::default();
            let (promise, key) = (Promise::Works, "a process of the stress".to_owned());
            let expected = "it does its work".to_owned();
            voice.judge(promise, Err(Violation { promise, key, expected, seen: chain(&failure), by }));
            voice.flush();
            ExitCode::from(1)
        }
    }
}

fn play(order: Order) -> Result<(), Failure> {
    let seed = Seed::from_number(order.seed);
    // holders and askers are told what to do on their input, all others are told its end only
    let end = if matches!(order.role, Role::Holder | Role::Asker | Role::Patron) {
        End::never()
    } else {
        End::listen(order.life_ms)?
    };
    let mut worker = Worker { order, voice: Voice::default(), end, seed };
    let played = match worker.order.role {
        Role::Writer => storm::writer::play(&mut worker),
        Role::Reader | Role::Rememberer => storm::reader::play(&mut worker),
        Role::Fetcher => storm::fetcher::play(&mut worker),
        Role::Janitor => storm::janitor::play(&mut worker),
        Role::Contender => locks::contender::play(&mut worker),
        Role::Holder => locks::holder::play(&mut worker),
        Role::Asker => herd::asker::play(&mut worker),
        Role::Patron => outage::patron::play(&mut worker),
        Role::Producer => queue::producer::play(&mut worker),
        Role::Labourer => queue::labourer::play(&mut worker),
        Role::Filler => bounds::filler::play(&mut worker),
        Role::Keeper => secrets::keeper::play(&mut worker),
        Role::Victim => hostile::victim::play(&mut worker),
        Role::Vandal => hostile::vandal::play(&mut worker),
        Role::Linker => {
            hostile::linker::play(&mut worker);
            Ok(())
        }
    };
    worker.voice.flush();
    played
}

/// Sees that this process does not outlive the stage, however that ends.
fn dies_with(parent: u32) -> bool {
    #[cfg(target_os = "linux")]
    if rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL)).is_err() {
        return false;
    }
    // it may have died before
    rustix::process::getppid().is_some_and(|now| u32::try_from(now.as_raw_nonzero().get()) == Ok(parent))
}

/// Sends this very process a signal that it cannot refuse.
pub(crate) fn strike_self(signal: rustix::process::Signal) {
    let _ = rustix::process::kill_process(rustix::process::getpid(), signal);
}
