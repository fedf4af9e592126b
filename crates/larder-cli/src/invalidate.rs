//! `larder invalidate`: what was stored before is no answer any more.

use std::sync::Arc;

use larder::counters::{Counter, Fold};
use larder_storage::{Invalidation, Scope};
use serde::Serialize;

use crate::args::{Global, Invalidate};
use crate::exit::{Exit, Failed};
use crate::output::Output;
use crate::terms::Target;
use crate::{root, status};

/// What `invalidate --json` prints.
#[derive(Serialize)]
struct Answer {
    generation: String,
}

pub(crate) fn run(global: &Global, terms: &Invalidate, output: Output) -> Result<Exit, Failed> {
    let store = Arc::new(root::open(global)?);
    let scopes: Vec<Scope> = match &terms.target {
        _ if terms.all => vec![Scope::All],
        Some(Target::Key(key)) => vec![Scope::Key(key.clone())],
        Some(Target::Prefix(prefix)) => vec![Scope::Prefix(prefix.clone())],
        None => terms.tag.iter().cloned().map(Scope::Tag).collect(),
    };
    let as_told = |scope: Scope| if terms.hard { scope.hard() } else { scope.soft() };
    let invalidations: Vec<Invalidation> = scopes.into_iter().map(as_told).collect();
    let token = store.invalidate(&invalidations)?;
    status::count(&store, Fold::WhenLong, &[(Counter::Invalidations, invalidations.len() as u64)]);
    if output.json {
        output.object(&Answer { generation: token.to_string() })?;
    }
    Ok(Exit::OK)
}
