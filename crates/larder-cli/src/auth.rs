//! `larder auth`: credentials stored, found and checked. No secret is ever taken from the command line, or shown.

mod look;
mod set;

use larder_config::Credential;
use larder_credentials::{Name, withhold_from_core_dumps};

use crate::args::{Auth, AuthVerb, Global, Named};
use crate::config::Loaded;
use crate::exit::{Exit, Failed};
use crate::output::Output;

/// What was given is no name. It is not repeated: it may be the credential itself.
#[derive(Debug, thiserror::Error)]
#[error("this is no name of a credential")]
struct NoName(#[from] larder_credentials::name::Error);

/// A credential that somebody names.
struct Wanted<'a> {
    name: Name,
    /// What is configured for it, if anything is.
    configured: Option<&'a Credential>,
}

pub(crate) fn run(global: &Global, terms: &Auth, output: Output) -> Result<Exit, Failed> {
    withhold_from_core_dumps();
    // who may change where a credential goes, or what is run for it, may have it
    let loaded = Loaded::find_for_credentials(global)?;
    match &terms.what {
        AuthVerb::Set(named) => set::set(&wanted(&loaded, named)?, output),
        AuthVerb::Remove(named) => set::remove(&wanted(&loaded, named)?, output),
        AuthVerb::Status(all) => match &all.name {
            Some(name) => look::status(&[wanted(&loaded, &Named { name: name.clone() })?], output),
            None => look::status(&everything(&loaded)?, output),
        },
        AuthVerb::Check(named) => look::check(&wanted(&loaded, named)?, output),
    }
}

fn wanted<'a>(loaded: &'a Loaded, named: &Named) -> Result<Wanted<'a>, Failed> {
    let name: Name = named.name.parse().map_err(|error| Failed::new(Exit::USAGE, NoName(error)))?;
    let configured = loaded.config.credential(name.as_str());
    Ok(Wanted { name, configured })
}

/// All that are configured or stored, by their names.
fn everything(loaded: &Loaded) -> Result<Vec<Wanted<'_>>, Failed> {
    let configured = loaded.config.credentials();
    let mut all: Vec<_> = configured
        .iter()
        .map(|credential| Wanted { name: credential.name.clone(), configured: Some(credential) })
        .collect();
    if let Ok(store) = crate::credentials::store() {
        for listed in store.list().map_err(crate::credentials::Error::Store)? {
            if all.iter().all(|known| known.name != listed.name) {
                all.push(Wanted { name: listed.name, configured: None });
            }
        }
    }
    all.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(all)
}
