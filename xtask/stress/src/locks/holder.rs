//! Takes, tries and lets go of locks as it is told, and says how each ended.

use std::io::BufRead as _;
use std::time::Duration;

use larder_lock::Mode;

use crate::failure::{Doing as _, Failure};
use crate::message::{Outcome, Said, Told};
use crate::parts::{Held, Locking, Refusal};
use crate::worker::{Worker, say};

/// How long a holder waits for a lock that nobody else wants.
const HELD_WITHIN: Duration = Duration::from_secs(20);

pub(crate) fn play(worker: &mut Worker) -> Result<(), Failure> {
    let locking = Locking::open(&worker.order.folder.join("locks"), worker.order.sabotage)?;
    let mut held = None;
    for line in std::io::stdin().lock().lines() {
        let line = line.doing("hear what to do")?;
        let told = serde_json::from_str::<Told>(&line).doing("understand what to do")?;
        let before = worker.end.now();
        let outcome = obey(&locking, &mut held, told);
        let took = worker.end.now().saturating_sub(before);
        say(&Said::Done { took_us: u64::try_from(took.as_micros()).unwrap_or(u64::MAX), outcome });
    }
    Ok(())
}

fn obey(locking: &Locking, held: &mut Option<Held>, told: Told) -> Outcome {
    match told {
        Told::Hold { name } => match locking.acquire(&name, Mode::Exclusive, HELD_WITHIN) {
            Ok(got) => {
                *held = Some(got);
                Outcome::Held
            }
            Err(refusal) => refused(refusal),
        },
        Told::Free => {
            if let Some(held) = held.take() {
                locking.release(held);
            }
            Outcome::Freed
        }
        Told::Try { name, bound_ms } => {
            match locking.acquire(&name, Mode::Exclusive, Duration::from_millis(bound_ms)) {
                Ok(got) => {
                    locking.release(got);
                    Outcome::Held
                }
                Err(refusal) => refused(refusal),
            }
        }
        Told::Ask { .. } | Told::Serve { .. } => {
            Outcome::Failed { message: "a holder of locks is not asked for documents".to_owned() }
        }
    }
}

fn refused(refusal: Refusal) -> Outcome {
    if refusal.is_contention {
        Outcome::Refused { holder: refusal.holder, message: refusal.message }
    } else {
        Outcome::Failed { message: refusal.message }
    }
}
