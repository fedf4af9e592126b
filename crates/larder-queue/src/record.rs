//! The records of a queue's journal. `docs/format-queue.md` is this page for people.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::hold::Hold;
use crate::task::{Priority, Task, ms_of};

/// The format of records.
const VERSION: u32 = 1;

/// What a task is, as it was added.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Spec {
    pub(crate) key: Arc<str>,
    #[serde(default)]
    pub(crate) priority: Priority,
    /// When it is due, in milliseconds since 1970; 0 for at once, whatever the clock says.
    #[serde(rename = "due", default, skip_serializing_if = "is_none_ms")]
    pub(crate) due_ms: u64,
    #[serde(rename = "added", default)]
    pub(crate) added_ms: u64,
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub(crate) reason: Box<str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) payload: Option<Box<RawValue>>,
    /// What only a newer version knows.
    #[serde(flatten)]
    pub(crate) others: BTreeMap<String, Value>,
}

impl Spec {
    pub(crate) fn of(task: &Task, now_ms: u64) -> Self {
        Self {
            key: Arc::from(task.key.as_str()),
            priority: task.priority,
            due_ms: task.due.map_or(0, ms_of),
            added_ms: now_ms,
            reason: task.reason.as_str().into(),
            payload: task.payload.as_ref().and_then(|payload| RawValue::from_string(payload.to_string()).ok()),
            others: BTreeMap::new(),
        }
    }

    /// The same work once more: the higher priority, the earlier time, the newer reason and payload.
    pub(crate) fn merge(&mut self, newer: Self) {
        let Self { key: _, priority, due_ms, added_ms, reason, payload, others } = newer;
        self.priority = self.priority.max(priority);
        self.due_ms = self.due_ms.min(due_ms);
        // whoever asks once more wants what is new since then
        self.added_ms = self.added_ms.max(added_ms);
        if !reason.is_empty() {
            self.reason = reason;
        }
        self.payload = payload.or(self.payload.take());
        self.others.extend(others);
    }

    /// About how many bytes it takes in a record.
    pub(crate) fn weight(&self) -> u64 {
        let others: usize = self.others.iter().map(|(name, value)| name.len() + value.to_string().len() + 6).sum();
        let payload = self.payload.as_ref().map_or(0, |payload| payload.get().len() + 11);
        (65 + length(&self.key) + length(&self.reason) + payload + others) as u64
    }
}

/// How long a text is as JSON, without its quotes.
pub(crate) fn length(text: &str) -> usize {
    let of = |byte: u8| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0C => 2,
        ..0x20 => 6,
        _ => 1,
    };
    text.bytes().map(of).sum()
}

/// Who does a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claimed {
    /// The number of the record that claimed it: no other claim of this journal has it.
    pub(crate) token: u64,
    /// Which worker, by a number that it has drawn.
    pub(crate) worker: u64,
    /// The worker's name, for people.
    pub(crate) name: Arc<str>,
    pub(crate) lease: Hold,
}

/// A task that is claimed; its token is the record's own number.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Claim {
    pub(crate) key: Arc<str>,
    pub(crate) worker: u64,
    pub(crate) name: Arc<str>,
    pub(crate) lease: Hold,
}

/// Which claim something is about.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Of {
    pub(crate) key: Arc<str>,
    pub(crate) worker: u64,
    pub(crate) token: u64,
}

/// An attempt that failed, or a worker that was lost.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Failed {
    #[serde(flatten)]
    pub(crate) of: Of,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<Box<str>>,
    /// How long it is left alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) hold: Option<Hold>,
    /// Whether it is not tried again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) dead: bool,
    /// Whether its worker was lost, which is no attempt.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) lost: bool,
}

/// A sign of life.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Beat {
    pub(crate) worker: u64,
    pub(crate) lease: Hold,
}

/// What a person wants done with tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Which {
    All,
    Dead,
}

/// A task with all that happened to it: what compaction keeps.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Stored {
    pub(crate) spec: Spec,
    /// The number of the record that added it: its turn among those of its priority.
    pub(crate) turn: u64,
    /// What was added while it was being done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) again: Option<Again>,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) attempts: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) losses: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<Box<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) hold: Option<Hold>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) claim: Option<Claimed>,
    /// The number of the record that made it a dead letter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) dead: Option<u64>,
    /// What only a newer version knows.
    #[serde(flatten)]
    pub(crate) others: BTreeMap<String, Value>,
}

/// Work for after a claim.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Again {
    pub(crate) spec: Spec,
    pub(crate) turn: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
const fn is_none_ms(ms: &u64) -> bool {
    *ms == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// One record; what it does is the one field that is there.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Record {
    #[serde(rename = "queue")]
    pub(crate) version: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) add: Option<Spec>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) claim: Option<Claim>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) beat: Option<Beat>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) done: Option<Of>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) failed: Option<Failed>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) release: Option<Of>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) retry: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) remove: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) clear: Option<Which>,
    #[serde(rename = "task", skip_serializing_if = "Option::is_none")]
    pub(crate) stored: Option<Stored>,
}

impl Record {
    pub(crate) fn new() -> Self {
        Self { version: VERSION, ..Self::default() }
    }

    pub(crate) fn add(spec: Spec) -> Self {
        Self { add: Some(spec), ..Self::new() }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        // into memory, of types that JSON can express
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// A record of this format that does something; any other is somebody else's.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let record: Self = serde_json::from_slice(bytes).ok()?;
        let Self { version, add, claim, beat, done, failed, release, retry, remove, clear, stored } = &record;
        let marks = [add.is_some(), claim.is_some(), beat.is_some(), done.is_some(), failed.is_some()];
        let more = [release.is_some(), retry.is_some(), remove.is_some(), clear.is_some(), stored.is_some()];
        let is_one = marks.iter().chain(&more).filter(|is_there| **is_there).count() == 1;
        (*version == VERSION && is_one).then_some(record)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    fn spec(key: &str) -> Spec {
        Spec::of(&Task::new(key).unwrap(), 5)
    }

    #[test]
    fn records_have_the_documented_bytes() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(7);
        let task = Task::new("a/b").unwrap().reason("why").due(at).payload(serde_json::json!({"x": 1})).unwrap();
        let lease = Hold { start_ms: 3, length_ms: 60_000, boot: None };
        let of = || Of { key: "a".into(), worker: 9, token: 4 };
        let failed = |lost| Failed { of: of(), error: Some("no".into()), hold: Some(lease), dead: false, lost };
        for (record, text) in [
            (
                Record::add(Spec::of(&task, 5)),
                r#""add":{"key":"a/b","priority":5,"due":7,"added":5,"reason":"why","payload":{"x":1}}"#,
            ),
            (
                Record { claim: Some(Claim { key: "a".into(), worker: 9, name: "w".into(), lease }), ..Record::new() },
                r#""claim":{"key":"a","worker":9,"name":"w","lease":{"start":3,"length":60000}}"#,
            ),
            (
                Record { beat: Some(Beat { worker: 9, lease }), ..Record::new() },
                r#""beat":{"worker":9,"lease":{"start":3,"length":60000}}"#,
            ),
            (Record { done: Some(of()), ..Record::new() }, r#""done":{"key":"a","worker":9,"token":4}"#),
            (
                Record { failed: Some(failed(false)), ..Record::new() },
                r#""failed":{"key":"a","worker":9,"token":4,"error":"no","hold":{"start":3,"length":60000}}"#,
            ),
            (Record { release: Some(of()), ..Record::new() }, r#""release":{"key":"a","worker":9,"token":4}"#),
            (Record { retry: Some("a".into()), ..Record::new() }, r#""retry":"a""#),
            (Record { remove: Some("a".into()), ..Record::new() }, r#""remove":"a""#),
            (Record { clear: Some(Which::Dead), ..Record::new() }, r#""clear":"dead""#),
        ] {
            let bytes = record.encode();
            assert_eq!(String::from_utf8_lossy(&bytes), format!("{{\"queue\":1,{text}}}"));
            assert_eq!(Record::decode(&bytes).unwrap().encode(), bytes);
        }
    }

    #[test]
    fn what_a_newer_version_says_of_a_task_is_kept() {
        let bytes = br#"{"queue":1,"add":{"key":"a","priority":5,"due":1,"added":1,"colour":{"r":[1,2]}}}"#;
        let record = Record::decode(bytes).unwrap();
        assert_eq!(String::from_utf8_lossy(&record.encode()), String::from_utf8_lossy(bytes));
        let mut merged = record.add.unwrap();
        merged.merge(spec("a"));
        assert_eq!(merged.others.len(), 1);
    }

    #[test]
    fn what_is_no_record_of_this_format_is_foreign() {
        for bytes in [
            &b""[..],
            b"{}",
            b"[]",
            br#"{"queue":1}"#,
            br#"{"queue":2,"retry":"a"}"#,
            br#"{"queue":1,"pause":"a"}"#,
            br#"{"queue":1,"retry":"a","remove":"a"}"#,
            br#"{"queue":1,"add":{"key":"a","priority":11}}"#,
            b"\xff",
        ] {
            assert!(Record::decode(bytes).is_none(), "{}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn the_same_work_twice_is_the_more_urgent_of_both() {
        let mut one = spec("a");
        one.due_ms = 100;
        let mut other = spec("a");
        (other.priority, other.due_ms, other.reason) = (Priority::HIGHEST, 200, "newer".into());
        one.merge(other);
        assert_eq!((one.priority, one.due_ms, &*one.reason), (Priority::HIGHEST, 100, "newer"));
        one.merge(spec("a"));
        assert_eq!((one.priority, one.due_ms, &*one.reason), (Priority::HIGHEST, 0, "newer"));
    }
}
