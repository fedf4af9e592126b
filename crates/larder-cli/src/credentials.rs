//! The credentials that a configuration names: found where it says, and given to nobody but the commands that ask.

pub(crate) mod keyring;
mod probe;

use std::time::Duration;

use larder_config::Credential;
use larder_credentials::chain::{self, Chain, Command};
use larder_credentials::check::{Advice, Ask, Checker, Report, Verdict};
use larder_credentials::{Looked, Name, Secret, Store, store, withhold_from_core_dumps};

use crate::exit::{Exit, Failed};
use crate::place;

/// Beside the configuration.
const FILE: &str = "credentials.json";
/// What upstreams have said, by fingerprints.
const VERDICTS: &str = "credential-verdicts.json";

/// Why there is no credential to be had, or none may be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum Error {
    /// Nobody knows where they are kept.
    #[error("there is no folder for credentials: set HOME or XDG_CONFIG_HOME to an absolute path")]
    Homeless,
    /// The file cannot be used.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The search came to what must be put right first.
    #[error("the credential {name} cannot be had")]
    Chain {
        /// Which.
        name: Name,
        /// What is wrong.
        #[source]
        source: Box<chain::Error>,
    },
    /// It cannot be told whether it is good.
    #[error("{place}: the credential {name} cannot be checked so")]
    Probe {
        /// Which.
        name: Name,
        /// Where it is configured.
        place: String,
        /// Why not.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It may be done without, and nobody knows whether it is there.
    #[error("whether there is a credential `{}` cannot be told", .0.name)]
    Unknown(Box<Report>),
    /// It is not there, or no good.
    #[error("credential `{}` {}", .0.name, .0.verdict)]
    Unusable(Box<Report>),
}

impl Error {
    /// Whether a place that may have it does not answer: an old copy is good enough then, as when the source does not.
    pub(crate) fn is_outage(&self) -> bool {
        match self {
            Self::Unknown(_) => true,
            Self::Unusable(report) => report.verdict == Verdict::Missing && has_failed(report),
            _ => false,
        }
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        let exit = match &error {
            Error::Homeless | Error::Probe { .. } => Exit::USAGE,
            Error::Store(store::Error::Lock { source, .. }) if source.is_contention() => Exit::TIMEOUT,
            Error::Store(error) if !error.is_refusal() => Exit::INPUT_OUTPUT,
            Error::Store(_) | Error::Chain { .. } | Error::Unusable(_) | Error::Unknown(_) => Exit::CREDENTIALS,
        };
        let details = match &error {
            // its first line is what the error says
            Error::Unusable(report) | Error::Unknown(report) => {
                report.to_string().lines().skip(1).map(str::to_owned).collect()
            }
            _ => Vec::new(),
        };
        Self::new(exit, error).with_details(details)
    }
}

/// A credential, and the variable in which a command gets it.
#[derive(Debug)]
pub(crate) struct Given {
    pub(crate) variable: String,
    pub(crate) secret: Secret,
}

/// The file that keeps what `larder auth set` is given.
pub(crate) fn store() -> Result<Store, Error> {
    folder().map(|folder| Store::at(folder.join(FILE)))
}

fn folder() -> Result<camino::Utf8PathBuf, Error> {
    let folder = place::config_folder().and_then(|folder| camino::Utf8PathBuf::from_path_buf(folder).ok());
    folder.map(|folder| folder.join("larder")).ok_or(Error::Homeless)
}

/// Whom a checker may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asks {
    /// Nobody, ever.
    Nobody,
    /// Nobody; what the upstream said last is known.
    Memory,
    /// The upstream.
    Upstream,
}

/// Looks for a credential in all its places (its variable, its command, the keyring, the file), each within `bound`, and says
/// what it is worth.
pub(crate) fn checker(
    name: &Name,
    configured: Option<&Credential>,
    asks: Asks,
    bound: Option<Duration>,
) -> Result<Checker, Error> {
    let advice = Advice::new("larder").set_command("larder auth set").check_command("larder auth check");
    let mut checker = Checker::new(chain(name, configured, bound)?, advice);
    if let Some(credential) = configured {
        checker = checker.form(credential.form.clone());
        let check = credential.check.as_ref().filter(|_| credential.enabled && asks != Asks::Nobody);
        if let Some(check) = check {
            match probe::of(check) {
                Ok(probe) => checker = checker.probe(probe).deadline(check.timeout),
                Err(source) if asks == Asks::Upstream => {
                    return Err(Error::Probe { name: name.clone(), place: check.place.to_string(), source });
                }
                // nobody is asked: nothing is known
                Err(_) => {}
            }
        }
    }
    Ok(match folder() {
        Ok(folder) => checker.memory(folder.join(VERDICTS)),
        Err(_) => checker,
    })
}

/// What is wrong with how a credential is to be checked.
pub(crate) fn judge_check(credential: &Credential) -> Result<(), Error> {
    let Some(check) = &credential.check else { return Ok(()) };
    let (name, place) = (credential.name.clone(), check.place.to_string());
    probe::of(check).map(drop).map_err(|source| Error::Probe { name, place, source })
}

fn chain(name: &Name, configured: Option<&Credential>, bound: Option<Duration>) -> Result<Chain, Error> {
    let mut chain = Chain::new();
    if let Some(credential) = configured {
        if !credential.enabled {
            // nobody is asked, not even the file
            return Ok(chain.anonymous());
        }
        if let Some(variable) = &credential.variable {
            chain = chain.variable(variable);
        }
        if let Some(command) = &credential.command {
            let failed = |error: chain::NoProgram| Error::Probe {
                name: name.clone(),
                place: credential.place.to_string(),
                source: error.into(),
            };
            crate::signals::mind_children();
            let timeout = bound.map_or(command.timeout, |bound| bound.min(command.timeout));
            let words = Command::new(&command.words).map_err(failed)?.timeout(timeout);
            chain = chain.command(command.env.iter().fold(words, Command::pass));
        }
        if credential.keyring {
            chain = chain.keyring(keyring::SERVICE, keyring::platform(bound));
        }
        if credential.optional {
            chain = chain.anonymous();
        }
    }
    Ok(match store() {
        Ok(store) => chain.store(store),
        Err(_) => chain,
    })
}

/// What a command is to be given of these, each place being looked at within `bound`. One that is not found and may be done
/// without is left out, as is one that is switched off.
///
/// Nobody is asked whether they are good: the command will be told.
pub(crate) fn find(credentials: &[Credential], bound: Option<Duration>) -> Result<Vec<Given>, Error> {
    let mut given = Vec::new();
    if credentials.is_empty() {
        return Ok(given);
    }
    withhold_from_core_dumps();
    for credential in credentials {
        let name = &credential.name;
        let failed = |source| Error::Chain { name: name.clone(), source: Box::new(source) };
        let checker = checker(name, Some(credential), Asks::Nobody, bound)?;
        let (report, found) = checker.check_found(name, Ask::Never).map_err(failed)?;
        match report.verdict {
            Verdict::Missing | Verdict::Malformed(_) => return Err(Error::Unusable(Box::new(report))),
            // what is fetched without it would be stored for those who have it
            Verdict::Anonymous if has_failed(&report) => return Err(Error::Unknown(Box::new(report))),
            _ => {}
        }
        if let (Some(found), Some(variable)) = (found, &credential.variable) {
            given.push(Given { variable: variable.clone(), secret: found.secret });
        }
    }
    Ok(given)
}

/// Whether a place could not be looked at.
fn has_failed(report: &Report) -> bool {
    report.tried.iter().any(|tried| matches!(tried.looked, Looked::Failed(_)))
}
