//! What clap has to say: help and versions are answers, all else is a mistake in the command line.

use std::ffi::OsStr;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::args::Global;
use crate::exit::{Exit, Failed};
use crate::output::{self, Output};

/// A mistake in the command line, where clap's own words are not given out.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Mistake(String);

/// A word where only flags may stand. It is not repeated: it belongs to a command that may hold secrets.
const STRAY: &str = "a word stands where none may: the command goes after two dashes, as in `larder run -- make docs` or \
    `larder lock NAME -- make docs`";

/// The same where a credential is what somebody may have given.
const STRAY_SECRET: &str = "a word stands where none may: a credential is read from standard input or asked for on the \
    terminal, never taken from the command line, where every user of the machine can read it";

/// Says it, and gives the code that it ends in.
pub(crate) fn tell(error: &clap::Error) -> Exit {
    let output = Output::new(&Global { json: wants_json(), ..Global::default() });
    if !error.use_stderr() {
        return error.print().map_or_else(|error| end(output, &output::unwritten(error)), |()| Exit::OK);
    }
    let mistake = if let Some(stray) = stray(error) {
        stray.to_owned()
    } else if output.json {
        in_one_line(error)
    } else {
        // whoever has closed standard error does not want to hear
        let _ = error.print();
        return Exit::USAGE;
    };
    end(output, &Failed::new(Exit::USAGE, Mistake(mistake)))
}

fn end(output: Output, failed: &Failed) -> Exit {
    output.failed(failed);
    failed.exit()
}

/// Whether errors are wanted as JSON, on a command line that cannot be read as a whole. What follows two dashes is not ours.
fn wants_json() -> bool {
    std::env::args_os().skip(1).take_while(|word| word != OsStr::new("--")).any(|word| word == OsStr::new("--json"))
}

/// What is said in the place of clap's words where a verb that takes a command found one of its words before the two dashes,
/// or one about credentials has found too much.
fn stray(error: &clap::Error) -> Option<&'static str> {
    let context = |kind| error.get(kind);
    let usage = match context(ContextKind::Usage) {
        Some(ContextValue::StyledStr(usage)) => usage.to_string(),
        _ => String::new(),
    };
    // also a flag, or in the place of a verb: a credential may begin with dashes, or be given too early
    let is_stray = matches!(
        error.kind(),
        ErrorKind::UnknownArgument
            | ErrorKind::InvalidSubcommand
            | ErrorKind::TooManyValues
            | ErrorKind::ArgumentConflict
    );
    if is_stray && usage.contains(" auth ") {
        return Some(STRAY_SECRET);
    }
    if error.kind() != ErrorKind::UnknownArgument {
        return None;
    }
    let is_word =
        matches!(context(ContextKind::InvalidArg), Some(ContextValue::String(word)) if !word.starts_with('-'));
    (is_word && usage.contains("-- <CMD>")).then_some(STRAY)
}

/// The mistake alone, without how the command is used.
fn in_one_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let is_mistake = |line: &&str| !line.starts_with("Usage:") && !line.starts_with("For more information");
    let lines = text.lines().take_while(is_mistake).map(str::trim).filter(|line| !line.is_empty());
    let line = lines.collect::<Vec<_>>().join(" ");
    line.strip_prefix("error: ").map(str::to_owned).unwrap_or(line)
}
