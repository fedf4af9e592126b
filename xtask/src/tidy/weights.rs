//! What the crates that people depend on alone bring along: few other crates, and no runtime.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use camino::Utf8Path;

use super::Problem;
use super::workspace::{LoadError, Workspace};

/// The crates that are used alone, and how many others each may bring with its default features.
const LIGHT: [&str; 5] = ["larder-storage", "larder-lock", "larder-staleness", "larder-queue", "larder-credentials"];
const DEPENDENCIES_MAX: usize = 45;
/// What none of them may bring.
const RUNTIME: &str = "tokio";

const LIGHTEN: &str = "leave a dependency out, take fewer of its features, or make it a feature of the crate's own";

/// For each of the light crates, all that comes with it.
pub(super) type Weights = BTreeMap<String, BTreeSet<String>>;

/// Asks cargo, for this platform and the default features.
pub(super) fn load(root: &Utf8Path) -> Result<Weights, LoadError> {
    LIGHT.iter().map(|name| Ok(((*name).to_owned(), tree(root, name)?))).collect()
}

fn tree(root: &Utf8Path, name: &str) -> Result<BTreeSet<String>, LoadError> {
    let program = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut command = Command::new(program);
    command.args(["tree", "--edges", "normal", "--prefix", "none", "--format", "{p}", "--package", name]);
    let output =
        command.current_dir(root).output().map_err(|source| LoadError::Tree { message: source.to_string() })?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(LoadError::Tree { message });
    }
    Ok(names(&String::from_utf8_lossy(&output.stdout), name))
}

/// The names and versions in what cargo prints, without the crate itself. A crate that comes again is marked there.
fn names(tree: &str, own: &str) -> BTreeSet<String> {
    let name_and_version = |line: &str| line.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
    let is_own = |line: &str| line.split_whitespace().next() == Some(own);
    tree.lines().filter(|line| !line.trim().is_empty() && !is_own(line)).map(name_and_version).collect()
}

pub(super) fn problems(workspace: &Workspace) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (name, brought) in &workspace.weights {
        let manifest =
            workspace.crates.iter().find(|member| member.name == *name).map(super::workspace::Crate::manifest);
        let manifest = manifest.unwrap_or_else(|| "Cargo.toml".into());
        if brought.len() > DEPENDENCIES_MAX {
            let what = format!("{name} brings {} crates, more than {DEPENDENCIES_MAX}", brought.len());
            problems.push(Problem::new(&manifest, 1, what, LIGHTEN));
        }
        if brought.iter().any(|other| other.split(' ').next() == Some(RUNTIME)) {
            problems.push(Problem::new(&manifest, 1, format!("{name} brings {RUNTIME}"), LIGHTEN));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(brought: impl Iterator<Item = String>) -> Vec<String> {
        let mut workspace = Workspace::new(Vec::new(), Vec::new());
        workspace.weights = BTreeMap::from([("larder-lock".to_owned(), brought.collect())]);
        problems(&workspace).into_iter().map(|problem| problem.what).collect()
    }

    #[test]
    fn too_many_and_a_runtime_are_found() {
        let many = |count: usize| (0..count).map(|number| format!("crate-{number} v1.0.0"));
        assert!(judged(many(DEPENDENCIES_MAX)).is_empty());
        assert_eq!(judged(many(DEPENDENCIES_MAX + 1)), ["larder-lock brings 46 crates, more than 45"]);
        assert_eq!(judged(["tokio v1.0.0".to_owned()].into_iter()), ["larder-lock brings tokio"]);
        assert!(judged(["tokio-like v1.0.0".to_owned()].into_iter()).is_empty());
    }

    #[test]
    fn a_crate_that_comes_twice_counts_once_and_the_crate_itself_does_not() {
        let tree = "larder-lock v0.1.0 (/x)\na v1.0.0\nb v1.0.0 (proc-macro)\nc v2.0.0\n\nb v1.0.0 (proc-macro) (*)\na v1.0.0 (*)\n";
        assert_eq!(names(tree, "larder-lock").into_iter().collect::<Vec<_>>(), ["a v1.0.0", "b v1.0.0", "c v2.0.0"]);
    }

    #[test]
    fn every_light_crate_of_this_workspace_is_weighed() {
        let workspace = Workspace::load().unwrap();
        assert!(LIGHT.iter().all(|name| workspace.weights[*name].len() > 5), "{:?}", workspace.weights);
    }
}
