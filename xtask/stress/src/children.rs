//! The processes of a scene, seen from the stage: started, heard, frozen, killed, waited for.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::Sender;

use camino::Utf8Path;
use rustix::process::{Pid, Signal};

use crate::failure::{Doing as _, Failure};
use crate::message::{Said, Told};
use crate::stage::Stage;
use crate::worker::{Order, Role};

/// What the stage hears of a worker.
#[derive(Debug)]
pub(crate) enum Event {
    Said(Said),
    /// Its output has ended: it has, or is about to.
    Silent(u32),
}

/// A running worker. Dropped, it is killed, and waited for.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    input: Option<ChildStdin>,
    pub(crate) id: u32,
}

impl Process {
    /// Runs this program again; what it says arrives at `events`.
    pub(crate) fn start(
        stage: &Stage,
        role: Role,
        arena: &Utf8Path,
        (seed, life_ms): (u64, u64),
        events: &Sender<Event>,
    ) -> Result<Self, Failure> {
        let id = stage.next_worker();
        let order = Order {
            role,
            id,
            seed,
            folder: arena.to_owned(),
            corpus: stage.folder.join("corpus"),
            life_ms,
            parent: std::process::id(),
            sabotage: stage.sabotage,
        };
        let order = serde_json::to_string(&order).doing("write an order")?;
        let mut command = Command::new(&stage.program);
        // a group of its own: the terminal's Ctrl-C is for the stage, which ends everybody
        command.args(["worker", &order]).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.spawn().doing(format!("start a {}", role.name()))?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let process = Self { child, input, id };
        let events = events.clone();
        let listen = move || match output {
            Some(output) => relay(id, output, &events),
            None => _ = events.send(Event::Silent(id)),
        };
        std::thread::Builder::new().spawn(listen).doing("listen to a worker")?;
        Ok(process)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Tells it to do something.
    pub(crate) fn tell(&mut self, told: &Told) {
        if let (Some(input), Ok(mut line)) = (&mut self.input, serde_json::to_vec(told)) {
            line.push(b'\n');
            // one that has died is noticed by its silence
            let _ = input.write_all(&line).and_then(|()| input.flush());
        }
    }

    /// Tells it to come to its end.
    pub(crate) fn hang_up(&mut self) {
        self.input = None;
    }

    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
    }

    pub(crate) fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    pub(crate) fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Whether it stands still.
    pub(crate) fn is_frozen(&self) -> bool {
        state_of(self.pid()) == Some('T')
    }

    /// Only while it was not waited for: its number is still its own.
    fn signal(&self, signal: Signal) {
        let _ = rustix::process::kill_process(Pid::from_child(&self.child), signal);
    }

    /// Waits for its end, which is known to be near.
    pub(crate) fn wait(&mut self) -> Option<ExitStatus> {
        self.input = None;
        self.child.wait().ok()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The state letter of a process, where the system tells.
fn state_of(pid: u32) -> Option<char> {
    state_in(format!("/proc/{pid}/stat").as_ref())
}

fn state_in(path: &std::path::Path) -> Option<char> {
    let stat = std::fs::read_to_string(path).ok()?;
    // the name before it may contain anything
    stat.rsplit_once(')')?.1.trim_start().chars().next()
}

/// Whether every thread of a process sleeps: none runs, is about to, or waits for the disk.
pub(crate) fn is_asleep(pid: u32) -> bool {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return false };
    let mut states = threads.flatten().map(|thread| state_in(&thread.path().join("stat"))).peekable();
    states.peek().is_some() && states.all(|state| state == Some('S'))
}

/// Hands over what a worker says, line by line, then its silence.
fn relay(id: u32, from: impl std::io::Read, events: &Sender<Event>) {
    let mut lines = BufReader::new(from);
    let mut line = Vec::new();
    while matches!(lines.read_until(b'\n', &mut line), Ok(1..)) {
        // a killed one may stop in mid-line
        if let Ok(said) = serde_json::from_slice(&line) {
            let _ = events.send(Event::Said(said));
        }
        line.clear();
    }
    let _ = events.send(Event::Silent(id));
}
