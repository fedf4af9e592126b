//! The environment: variables that look as if they were larder's, and are not.

use super::finding::{Finding, Seen, Subject};
use super::scene::Scene;
use crate::{config, root};

/// What the names of larder's variables begin with.
const OURS: &str = "LARDER_";
/// All that there are.
const KNOWN: &[&str] = &[root::ROOT, root::LOCK_TIMEOUT, config::VARIABLE];
/// The most variables that are told.
const TOLD_MAX: usize = 20;

pub(super) fn check(scene: &Scene, seen: &mut Seen) {
    if let Some(wrong) = &scene.wait {
        let finding = Finding::error(Subject::Environment, wrong.clone());
        seen.add(finding.command("set it right, or leave it out", format!("unset {}", root::LOCK_TIMEOUT)));
    }
    let sources = scene.loaded().map(|loaded| loaded.config.sources()).unwrap_or_default();
    let is_named = |name: &str| sources.iter().any(|source| source.env.iter().any(|named| named == name));
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let mut unknown: Vec<_> = names.filter(|name| is_stray(name) && !is_named(name)).collect();
    unknown.sort();
    seen.findings.extend(unknown.iter().take(TOLD_MAX).map(|name| stray(name)));
}

fn is_stray(name: &str) -> bool {
    name.starts_with(OURS) && !KNOWN.contains(&name)
}

/// Its value is not told: it may be a secret.
fn stray(name: &str) -> Finding {
    let nearest = KNOWN.iter().map(|known| (strsim::damerau_levenshtein(name, known), known)).min();
    let meant = nearest.filter(|(distance, _)| *distance <= 3).map(|(_, known)| format!(": did you mean {known}?"));
    let what = format!("the variable {name} says nothing to larder{}", meant.unwrap_or_default());
    Finding::note(Subject::Environment, what).command("leave it out", format!("unset {}", super::shell::word(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_variable_is_told_with_the_one_that_is_meant() {
        assert!(is_stray("LARDER_ROTO") && !is_stray("LARDER_ROOT") && !is_stray("PATH"));
        assert!(stray("LARDER_ROTO").words().contains("did you mean LARDER_ROOT?"));
        assert!(!stray("LARDER_SOMETHING_ELSE").words().contains("mean"));
    }
}
