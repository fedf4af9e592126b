//! `larder doctor`: everything that could be wrong with the cache, each with its remedy. Nothing is repaired.

mod check;
mod clock;
mod config;
mod credentials;
mod entries;
mod environment;
mod file_system;
mod finding;
mod holders;
mod kind;
mod process;
mod queue;
mod report;
mod root;
mod scene;
mod shell;
mod space;

use std::sync::Arc;

use crate::args::{Doctor, Global};
use crate::exit::{Exit, Failed};
use crate::output::Output;

pub(crate) fn run(global: &Global, terms: &Doctor, output: Output) -> Result<Exit, Failed> {
    let scene = Arc::new(scene::Scene::open(global, terms.offline));
    let wanted = check::CHECKS.iter().filter(|check| !(terms.offline && check.asks_others));
    let seen = check::look(&scene, wanted);
    report::tell(&scene, seen, output, global.verbose > 0)
}
