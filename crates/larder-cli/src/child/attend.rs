//! Attending a child from its start to its end: output, time, signals.

use std::ffi::OsString;
use std::fs::File;
use std::process::Stdio;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use larder_system::Clock;

use super::output::{self, Sink, Taken};
use super::redact::Redactor;
use super::start::{Child, StartError, start};
use super::{End, Event, Tee};
use crate::credentials::Given;
use crate::group::Group;
use crate::job::Environment;
use crate::signals::{INTERRUPT, KILL, TERMINATE};

/// How long a child that was asked to end is waited for before it is killed.
const GRACE: Duration = Duration::from_secs(5);
/// How long the end of a killed child, and of its output, is waited for.
const SETTLE: Duration = Duration::from_secs(1);

/// What is to be run, and within which bounds.
pub(crate) struct Plan<'a> {
    /// The program and its arguments.
    pub(crate) command: &'a [OsString],
    /// What it finds in its environment.
    pub(crate) environment: &'a Environment,
    /// What it finds there besides, and nobody else does.
    pub(crate) secrets: &'a [Given],
    /// What it reads; nothing, if none.
    pub(crate) input: Option<File>,
    /// The most output that is kept.
    pub(crate) output_bytes_max: u64,
    /// When it must have ended, by the monotonic clock.
    pub(crate) deadline: Option<Duration>,
    /// Where signals reach it.
    pub(crate) group: Group,
    /// What the time is.
    pub(crate) clock: &'a dyn Clock,
}

/// Why a child was ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Its time was over.
    Overdue,
    /// This process got a signal.
    Signal(i32),
}

/// What is done with output that is too large to be kept.
pub(crate) struct Large {
    /// Where it goes.
    pub(crate) sink: Sink,
    /// What is said about it.
    pub(crate) note: Option<String>,
}

/// A child that has ended.
#[derive(Debug)]
pub(crate) struct Ran {
    /// How.
    pub(crate) end: End,
    /// What it printed.
    pub(crate) output: Taken,
    /// Why it was ended, if it was not left to end by itself.
    pub(crate) stop: Option<Stop>,
    /// What it told on standard error.
    pub(crate) errors: Tee,
}

/// Where a child is on its way to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Running,
    Asked,
    Killed,
}

struct Attendance<'a> {
    clock: &'a dyn Clock,
    child: Child,
    errors: Tee,
    sinks: Option<SyncSender<Sink>>,
    ended: bool,
    output: Option<Taken>,
    stop: Option<Stop>,
    stage: Stage,
    alarm: Option<Duration>,
}

/// Runs a command to its end, and to the end of its output: what it started in the background and left writing to that
/// counts, as it does in a shell's `$(…)`.
///
/// # Errors
/// [`StartError`]; nothing ran then.
pub(crate) fn attend(
    plan: Plan<'_>,
    (sender, events): (SyncSender<Event>, Receiver<Event>),
    large: &mut dyn FnMut() -> Large,
) -> Result<Ran, StartError> {
    let input = plan.input;
    let mut child = start(
        plan.command,
        plan.group,
        |builder| {
            plan.environment.give(builder);
            for Given { variable, secret } in plan.secrets {
                builder.env(variable, secret.expose());
            }
            builder.stdout(Stdio::piped()).stderr(Stdio::piped());
            if let Some(file) = input {
                builder.stdin(file);
            }
        },
        &sender,
    )?;
    let (sinks, wanted) = sync_channel(1);
    let begun = begin(&mut child, (plan.output_bytes_max, plan.secrets), sender, wanted);
    let errors = match begun {
        Ok(errors) => errors,
        Err(source) => {
            child.signal(KILL);
            let _ = child.reap();
            let program = plan.command.first().cloned().unwrap_or_default();
            return Err(StartError::Unattended { program, source });
        }
    };
    let mut attendance = Attendance {
        clock: plan.clock,
        child,
        errors,
        sinks: Some(sinks),
        ended: false,
        output: None,
        stop: None,
        stage: Stage::Running,
        alarm: plan.deadline,
    };
    attendance.follow(&events, large);
    Ok(attendance.close())
}

fn begin(
    child: &mut Child,
    (bytes_max, secrets): (u64, &[Given]),
    events: SyncSender<Event>,
    sinks: Receiver<Sink>,
) -> std::io::Result<Tee> {
    let (Some(out), Some(err)) = child.process.streams() else {
        return Err(std::io::ErrorKind::BrokenPipe.into());
    };
    let errors = Tee::start(err, Redactor::of(secrets))?;
    std::thread::Builder::new()
        .name("output".to_owned())
        .spawn(move || output::take(out, bytes_max, &events, &sinks))?;
    Ok(errors)
}

impl Attendance<'_> {
    /// Until child and output have ended, or neither can be made to.
    fn follow(&mut self, events: &Receiver<Event>, large: &mut dyn FnMut() -> Large) {
        while !self.is_over() {
            let event = match self.alarm {
                None => events.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(alarm) => events.recv_timeout(alarm.saturating_sub(self.clock.monotonic())),
            };
            match event {
                Ok(Event::Ended) => self.ended = true,
                Ok(Event::Output(taken)) => self.output = Some(taken),
                Ok(Event::Large) => {
                    let Large { sink, note } = large();
                    if let Some(note) = note {
                        self.errors.say(&note);
                    }
                    let _ = self.sinks.take().map(|sinks| sinks.send(sink));
                }
                Ok(Event::Signal(signal)) => self.signalled(signal),
                Err(RecvTimeoutError::Timeout) if self.stage == Stage::Killed => return,
                Err(RecvTimeoutError::Timeout) => self.overdue(),
                // the threads that send end with their events, so that none is missing
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Whether there is nothing left to wait for: of a child that was to be ended, in a group of its own, also what it has
    /// started. In a shared group those cannot be told from strangers.
    fn is_over(&self) -> bool {
        let is_alone = self.stop.is_some() && self.child.group == Group::Shared;
        self.ended && (self.output.is_some() || is_alone)
    }

    fn signalled(&mut self, signal: i32) {
        // a terminal's Ctrl-C has reached the command already
        if !(self.child.group == Group::Shared && signal == INTERRUPT) {
            self.child.signal(signal);
        }
        if self.stage == Stage::Running {
            self.stop = Some(Stop::Signal(signal));
            self.stage = Stage::Asked;
            self.alarm = Some(self.clock.monotonic().saturating_add(GRACE));
        }
    }

    fn overdue(&mut self) {
        let now = self.clock.monotonic();
        if self.stage == Stage::Running {
            self.stop = Some(Stop::Overdue);
            self.stage = Stage::Asked;
            self.alarm = Some(now.saturating_add(GRACE));
            self.child.signal(TERMINATE);
        } else {
            self.stage = Stage::Killed;
            self.alarm = Some(now.saturating_add(SETTLE));
            self.child.signal(KILL);
        }
    }

    fn close(self) -> Ran {
        if self.stop.is_some() {
            // what it started and left behind; until it is reaped, its number is its group's and nobody else's
            self.child.signal(KILL);
        }
        // one that cannot be killed, because a disk or a network holds it in the kernel, is not waited for
        let end = if self.ended { self.child.reap().ok() } else { None };
        Ran {
            end: end.unwrap_or(End::Signal(KILL)),
            output: self.output.unwrap_or(Taken::Cut),
            stop: self.stop,
            errors: self.errors,
        }
    }
}
