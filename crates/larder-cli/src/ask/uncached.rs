//! Running a command without the cache: when it cannot be used, or others' answers may not be shared.

use larder::{Forward, Outcome};
use larder_storage::Key;
use larder_system::{Clock, SystemClock};

use super::{Call, Unusable, answer};
use crate::child::{self, Plan, Stop, Taken};
use crate::credentials;
use crate::exit::{Exit, Failed, chain};
use crate::group::Group;
use crate::signals::{Signals, Target};

/// The most output that is kept for an answer in JSON.
const KEPT_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Warns once, and runs it.
pub(crate) fn warned(call: &Call<'_>, unusable: Unusable) -> Result<Exit, Failed> {
    let why = chain(&unusable);
    drop(unusable);
    call.output.warn(&format!("runs without the cache: {why}"));
    quietly(call, None)
}

/// Runs it, for this caller alone.
pub(crate) fn quietly(call: &Call<'_>, key: Option<&Key>) -> Result<Exit, Failed> {
    let mut outcome = Outcome::forwarded(Forward::Bypass);
    outcome.stored = Some(false);
    let clock = SystemClock::new();
    let (sender, events) = child::events();
    // without them the command runs all the same, and a signal ends this process alone
    let signals = Signals::catch(Target::Child(sender.clone())).ok();
    run(call, key, &outcome, &clock, signals.as_ref(), (sender, events))
}

/// Runs it, with signals caught already.
pub(crate) fn run(
    call: &Call<'_>,
    key: Option<&Key>,
    outcome: &Outcome,
    clock: &dyn Clock,
    signals: Option<&Signals>,
    events: (std::sync::mpsc::SyncSender<child::Event>, std::sync::mpsc::Receiver<child::Event>),
) -> Result<Exit, Failed> {
    let bounds = call.bounds.begin(clock);
    let signals_meanwhile = signals.filter(|_| !call.job.credentials.is_empty());
    if let Some(signals) = signals_meanwhile {
        signals.aim(Target::Exit);
    }
    let secrets = credentials::find(&call.job.credentials, bounds.left(clock))?;
    if let Some(signals) = signals_meanwhile {
        signals.aim(Target::Child(events.0.clone()));
    }
    let plan = Plan {
        command: &call.job.command,
        environment: &call.job.environment,
        secrets: &secrets,
        input: None,
        output_bytes_max: if call.output.json { KEPT_BYTES_MAX } else { 0 },
        deadline: bounds.deadline(),
        group: Group::suited(),
        clock,
    };
    let ran = child::attend(plan, events, &mut || answer::passed_on(call.output, None))?;
    if let Some(Stop::Signal(signal)) = ran.stop {
        ran.errors.finish(Some(super::lead::LAST_WORDS));
        return Err(Failed::silent(Exit::of_signal(signal)));
    }
    if let Some(signals) = signals {
        signals.aim(Target::Exit);
    }
    let overdue = ran.stop.map(|_| super::lead::Overdue { bound: bounds.timeout().unwrap_or_default() });
    let exit = if overdue.is_some() { Exit::UNAVAILABLE } else { ran.end.exit() };
    let given = match ran.output {
        Taken::Whole(body) => answer::give(call.output, key, &body, outcome, exit),
        Taken::Unread(source) => Err(Failed::new(Exit::INPUT_OUTPUT, super::lead::Unread { source })),
        taken => answer::end(call.output, key, taken, outcome, exit),
    };
    super::lead::say_dropped(call, ran.errors.finish(None));
    match overdue {
        Some(overdue) => Err(Failed::new(Exit::UNAVAILABLE, overdue)),
        None => given,
    }
}
