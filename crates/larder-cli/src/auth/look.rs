//! Whether credentials are found, and whether they are good.

use std::fmt::Write as _;

use larder_credentials::check::{Ask, Report, Verdict};
use larder_credentials::{Link, Name};
use larder_system::{Clock as _, SystemClock};
use serde::Serialize;

use super::Wanted;
use crate::credentials::{self, Asks, Error};
use crate::exit::{Exit, Failed};
use crate::output::Output;
use crate::text;

/// A credential, as `status` and `check` tell of it.
#[derive(Serialize)]
struct Object {
    #[serde(flatten)]
    report: Report,
    /// Whether whoever asks for it can go on.
    usable: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    disabled: bool,
    /// When it was stored, where it is found in the file; milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    stored_ms: Option<u64>,
}

#[derive(Serialize)]
struct Answer {
    credentials: Vec<Object>,
}

/// Tells of all of them; asks no upstream.
pub(super) fn status(wanted: &[Wanted<'_>], output: Output) -> Result<Exit, Failed> {
    let objects = wanted.iter().map(|wanted| look(wanted, Ask::Never)).collect::<Result<Vec<_>, _>>()?;
    let exit = if objects.iter().all(|object| object.usable) { Exit::OK } else { Exit::CREDENTIALS };
    if output.json {
        output.object(&Answer { credentials: objects })?;
    } else {
        let mut all = String::new();
        for object in &objects {
            say(&mut all, object);
        }
        output.data(all.as_bytes())?;
    }
    Ok(exit)
}

/// Tells of one, after asking the upstream.
pub(super) fn check(wanted: &Wanted<'_>, output: Output) -> Result<Exit, Failed> {
    let object = look(wanted, Ask::Always)?;
    let exit = match &object.report.verdict {
        // nothing is known of the credential itself
        Verdict::RateLimited { .. } | Verdict::Unreachable { .. } => Exit::UNAVAILABLE,
        verdict if verdict.is_bad() => Exit::CREDENTIALS,
        _ => Exit::OK,
    };
    if output.json {
        output.object(&object)?;
    } else {
        let mut text = String::new();
        say(&mut text, &object);
        output.data(text.as_bytes())?;
    }
    Ok(exit)
}

fn look(wanted: &Wanted<'_>, ask: Ask) -> Result<Object, Failed> {
    let Wanted { name, configured } = wanted;
    let asks = if ask == Ask::Never { Asks::Memory } else { Asks::Upstream };
    let failed = |source| Failed::from(Error::Chain { name: name.clone(), source: Box::new(source) });
    let report = credentials::checker(name, *configured, asks, None)?.check(name, ask).map_err(failed)?;
    let (usable, disabled) = (!report.verdict.is_bad(), configured.is_some_and(|credential| !credential.enabled));
    let stored_ms = stored_ms(name, &report);
    Ok(Object { report, usable, disabled, stored_ms })
}

/// When it was stored, where the file is what has it.
fn stored_ms(name: &Name, report: &Report) -> Option<u64> {
    let is_in_file = matches!(report.found.as_ref()?.link, Link::File { .. });
    let stored = credentials::store().ok()?.get(name).ok().flatten().filter(|_| is_in_file)?;
    Some(text::unix_ms(stored.stored))
}

fn say(all: &mut String, object: &Object) {
    if object.disabled {
        let _ = writeln!(all, "credential `{}` is switched off: whoever asks for it goes without", object.report.name);
        return;
    }
    for line in object.report.to_string().lines() {
        let _ = writeln!(all, "{}", text::plain(line));
    }
    if let Some(stored_ms) = object.stored_ms {
        let age = text::unix_ms(SystemClock::new().wall()).saturating_sub(stored_ms);
        let _ = writeln!(all, "stored {} ago", text::span(std::time::Duration::from_millis(age)));
    }
}
