//! `larder completions`: what a shell needs to complete the command line.

use clap::CommandFactory as _;

use crate::args::{Arguments, Completions};
use crate::exit::{Exit, Failed};
use crate::output::Output;

pub(crate) fn run(terms: &Completions, output: Output) -> Result<Exit, Failed> {
    // written whole at once: a generator writing to a closed pipe would panic
    let mut script = Vec::new();
    clap_complete::generate(terms.shell, &mut Arguments::command(), "larder", &mut script);
    output.data(&script)?;
    Ok(Exit::OK)
}
