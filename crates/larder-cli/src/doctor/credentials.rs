//! Credentials: whether each that is configured is found and has its form, and whether those who are asked take it.

use std::fmt::Write as _;
use std::time::Duration;

use larder_config::Credential;
use larder_credentials::check::{Ask, Report, Verdict};
use larder_credentials::{Looked, withhold_from_core_dumps};

use super::finding::{Finding, Seen, Subject};
use super::scene::Scene;
use crate::credentials::{self, Asks, Error};
use crate::exit::Failed;

/// How long each upstream may take: whoever is slower, or out of reach, says nothing about a credential.
const ASK_WITHIN: Duration = Duration::from_millis(700);

/// How long each place may take where it is looked for: less than this check, so that what hangs is ended.
const LOOK_WITHIN: Duration = Duration::from_secs(5);

/// What can be told without asking those who take them.
pub(super) fn look(scene: &Scene, seen: &mut Seen) {
    withhold_from_core_dumps();
    // those who take the others are asked beside this
    for credential in configured(scene).iter().filter(|credential| scene.offline || credential.check.is_none()) {
        tell(credential, (Asks::Memory, Ask::Never), seen);
    }
}

/// What those say who are to take them.
pub(super) fn ask(scene: &Scene, seen: &mut Seen) {
    withhold_from_core_dumps();
    for credential in configured(scene).iter().filter(|credential| credential.check.is_some()) {
        tell(credential, (Asks::Upstream, Ask::IfNotRemembered), seen);
    }
}

/// Those that may be looked for: of a configuration that somebody stands for.
fn configured(scene: &Scene) -> &[Credential] {
    let loaded = scene.loaded().filter(|loaded| loaded.check_trusted_with_credentials().is_ok());
    loaded.map_or(&[], |loaded| loaded.config.credentials())
}

fn tell(credential: &Credential, (asks, ask): (Asks, Ask), seen: &mut Seen) {
    let name = &credential.name;
    if !credential.enabled {
        return seen.fact(format!("the credential {name} is switched off"));
    }
    let failed = |source| Error::Chain { name: name.clone(), source: Box::new(source) };
    let checked = credentials::checker(name, Some(credential), asks, Some(LOOK_WITHIN))
        .and_then(|checker| checker.deadline(ASK_WITHIN).check(name, ask).map_err(failed));
    let report = match checked {
        Ok(report) => report,
        // it says what to do about it
        Err(error) => {
            let what = Failed::from(error).message().unwrap_or_default();
            return seen.add(Finding::error(Subject::Credentials, what).at(&credential.place.file));
        }
    };
    let mut what = format!("the credential {name} is {}", report.verdict);
    for tried in report.tried.iter().filter(|tried| matches!(tried.looked, Looked::Failed(_))) {
        let _ = write!(what, "; {tried}");
    }
    match &report.verdict {
        verdict if verdict.is_bad() => seen.add(advised(Finding::error(Subject::Credentials, what), &report)),
        Verdict::RateLimited { .. } | Verdict::Unreachable { .. } => {
            seen.add(advised(Finding::note(Subject::Credentials, what), &report));
        }
        _ => {
            let origin = report.found.as_ref().map(|found| format!(", {} ({})", found.link, found.fingerprint));
            seen.fact(format!("{what}{}", origin.unwrap_or_default()));
        }
    }
}

fn advised(finding: Finding, report: &Report) -> Finding {
    report.remedies.iter().fold(finding, |finding, remedy| finding.remedy(&remedy.text))
}
