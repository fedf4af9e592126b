//! The `larder` command: from its arguments to its exit code.

mod args;
mod ask;
mod auth;
mod behind;
mod child;
mod completions;
mod config;
mod credentials;
mod depends;
mod doctor;
mod environment;
mod exit;
mod explain;
mod flights;
mod gc;
mod get;
mod group;
mod index;
mod invalidate;
mod job;
mod json;
mod list;
mod lock;
mod locks;
mod output;
mod place;
mod put;
mod queue;
mod refresh;
mod room;
mod root;
mod run;
mod secret;
mod signals;
mod stats;
mod status;
mod terms;
mod text;
mod tracer;
mod usage;
mod verify;

use std::process::ExitCode;

use clap::Parser as _;

use self::args::{Arguments, Verb};
use self::exit::Exit;
use self::output::Output;

fn main() -> ExitCode {
    signals::outlive_file_limits();
    let arguments = match args::lean::read(std::env::args_os().skip(1)).map_or_else(Arguments::try_parse, Ok) {
        Ok(arguments) => arguments,
        Err(error) => return usage::tell(&error).into(),
    };
    let output = Output::new(&arguments.global);
    if arguments.global.behind {
        behind::leave();
    }
    if arguments.global.behind || arguments.global.errand {
        status::be_helper();
    }
    tracer::install(arguments.global.verbose);
    let ended = perform(&arguments, output);
    let exit = ended.unwrap_or_else(|failed| {
        output.failed(&failed);
        failed.exit()
    });
    exit.into()
}

fn perform(arguments: &Arguments, output: Output) -> Result<Exit, exit::Failed> {
    let global = &arguments.global;
    match &arguments.verb {
        Verb::Run(terms) => run::run(global, terms, output),
        Verb::Get(terms) => get::run(global, terms, output),
        Verb::Put(terms) => put::run(global, terms, output),
        Verb::List(terms) => list::run(global, terms, output),
        Verb::Explain(terms) => explain::run(global, terms, output),
        Verb::Invalidate(terms) => invalidate::run(global, terms, output),
        Verb::Lock(terms) => lock::run(global, terms, output),
        Verb::Locks => locks::run(global, output),
        Verb::Doctor(terms) => doctor::run(global, terms, output),
        Verb::Verify(terms) => verify::run(global, terms, output),
        Verb::Config(terms) => config::verb::run(global, terms, output),
        Verb::Gc(terms) => gc::run(global, terms, output),
        Verb::Refresh(terms) => refresh::run(global, terms, output),
        Verb::Queue(terms) => queue::run(global, terms, output),
        Verb::Stats => stats::run(global, output),
        Verb::Index => index::run(global, output),
        Verb::Auth(terms) => auth::run(global, terms, output),
        Verb::Completions(terms) => completions::run(terms, output),
    }
}
