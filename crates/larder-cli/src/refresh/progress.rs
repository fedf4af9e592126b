//! How far the worker has come, on a terminal.

use std::io::IsTerminal as _;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::output::Output;

/// A bar where a terminal shows it, nothing elsewhere.
pub(super) fn bar(output: Output, tasks: u64) -> ProgressBar {
    let is_shown = std::io::stderr().is_terminal() && !output.json && output.is_talkative();
    let target = if is_shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(Some(tasks), target);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {wide_msg}") {
        bar.set_style(style);
    }
    bar
}
