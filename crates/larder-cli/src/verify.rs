//! `larder verify`: every stored byte read and checked.

use std::fmt::Write as _;

use larder_storage::{Damage, Verified};
use serde::Serialize;

use crate::args::{Global, Verify};
use crate::exit::{Exit, Failed};
use crate::output::Output;
use crate::root;
use crate::text::plain;

/// What `verify --json` prints.
#[derive(Serialize)]
struct Answer<'a> {
    whole: u64,
    bytes: u64,
    invalidated: u64,
    newer: u64,
    damaged: u64,
    set_aside: u64,
    damage: Vec<DamageObject<'a>>,
}

#[derive(Serialize)]
struct DamageObject<'a> {
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    reason: &'static str,
}

pub(crate) fn run(global: &Global, terms: &Verify, output: Output) -> Result<Exit, Failed> {
    let store = if terms.repair { root::open(global)? } else { root::open_read_only(global)? };
    let verified = store.verify(terms.repair)?;
    if output.json {
        output.object(&Answer {
            whole: verified.whole,
            bytes: verified.bytes,
            invalidated: verified.invalidated,
            newer: verified.newer,
            damaged: verified.damaged,
            set_aside: verified.repaired,
            damage: verified.damage.iter().map(object).collect(),
        })?;
    } else {
        output.data(words(&verified).as_bytes())?;
    }
    Ok(if verified.damaged == 0 { Exit::OK } else { Exit::FAILURE })
}

fn object(damage: &Damage) -> DamageObject<'_> {
    let path = damage.path.to_string_lossy().into_owned();
    DamageObject { path, key: damage.key.as_ref().map(larder_storage::Key::as_str), reason: damage.reason }
}

fn words(verified: &Verified) -> String {
    let mut text = String::new();
    for damage in &verified.damage {
        let _ = writeln!(text, "damaged\t{}\t{}", plain(&damage.path.to_string_lossy()), damage.reason);
    }
    let _ = writeln!(text, "{} documents are whole ({} bytes)", verified.whole, verified.bytes);
    if verified.newer > 0 {
        let _ = writeln!(text, "{} are of a newer larder, and were left alone", verified.newer);
    }
    if verified.damaged > 0 {
        let left = verified.damaged - verified.repaired.min(verified.damaged);
        let _ = writeln!(text, "{} files are damaged: {} set aside, {left} left", verified.damaged, verified.repaired);
    }
    text
}
