//! A task of the queue, as it is shown.

use std::fmt::Write as _;
use std::time::Duration;

use larder_queue::{Priority, Standing, View};
use serde::Serialize;

use crate::text::{span, unix_ms};

/// A task in JSON.
#[derive(Serialize)]
pub(crate) struct Object<'a> {
    key: &'a str,
    standing: Standing,
    priority: Priority,
    reason: &'a str,
    added_ms: u64,
    due_ms: u64,
    attempts: u32,
    losses: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    worker: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    left_ms: Option<u64>,
}

impl<'a> Object<'a> {
    pub(crate) fn of(task: &'a View) -> Self {
        Self {
            key: &task.key,
            standing: task.standing,
            priority: task.priority,
            reason: &task.reason,
            added_ms: unix_ms(task.added),
            due_ms: unix_ms(task.due),
            attempts: task.attempts,
            losses: task.losses,
            error: task.error.as_deref(),
            worker: task.worker.as_deref(),
            left_ms: task.left_ms,
        }
    }
}

/// Where it stands, as one word.
pub(super) fn standing(task: &View) -> String {
    serde_json::to_string(&task.standing).unwrap_or_default().trim_matches('"').to_owned()
}

/// The same with all that there is to say, on one line.
pub(crate) fn words(task: &View) -> String {
    let mut words = format!("{}, priority {}, {}", standing(task), task.priority, task.reason);
    if let Some(left) = task.left_ms {
        let _ = write!(words, ", for {} more", span(Duration::from_millis(left)));
    }
    if let Some(worker) = &task.worker {
        let _ = write!(words, ", by {worker}");
    }
    if task.attempts > 0 {
        let _ = write!(words, ", {} attempts failed", task.attempts);
    }
    if let Some(error) = &task.error {
        let _ = write!(words, ": {error}");
    }
    words.replace('\n', " ")
}
