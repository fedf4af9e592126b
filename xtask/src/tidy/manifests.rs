//! Manifests: what every member inherits, and why each outside crate is here.

use toml::{Table, Value};

use super::Problem;
use super::workspace::{File, Workspace};

const INHERITED: [&str; 5] = ["version", "edition", "rust-version", "license", "repository"];
const OWN: [&str; 2] = ["description", "readme"];
const KINDS: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];
const REASON_WORDS_MIN: usize = 2;

const INHERIT: &str = "write `FIELD.workspace = true`";
const SAY: &str = "add it to the [package] section; a crate is found by what it says of itself";
const LINT: &str = "add `[lints]` with `workspace = true`";
const SHARE: &str = "put the version in the root manifest's [workspace.dependencies] and write `NAME.workspace = true`";
const JUSTIFY: &str = "say at the end of its line, after `# `, why the project cannot do without it";
const REPAIR: &str = "correct the manifest; cargo cannot read it either";

pub(super) fn problems(workspace: &Workspace) -> Vec<Problem> {
    let mut problems = Vec::new();
    for member in &workspace.crates {
        if let Some(file) = workspace.file(&member.manifest()) {
            problems.extend(read(file, of_member));
        }
    }
    if let Some(file) = workspace.file("Cargo.toml".into()) {
        problems.extend(read(file, of_root));
    }
    problems
}

fn read(file: &File, judge: fn(&File, &Table) -> Vec<Problem>) -> Vec<Problem> {
    match file.text.parse::<Table>() {
        Ok(table) => judge(file, &table),
        Err(error) => vec![Problem::new(&file.path, 1, format!("no valid TOML: {}", error.message()), REPAIR)],
    }
}

fn of_member(file: &File, manifest: &Table) -> Vec<Problem> {
    let mut problems = Vec::new();
    let package = manifest.get("package").and_then(Value::as_table);
    let field = |name: &str| package.and_then(|package| package.get(name));
    for name in INHERITED.into_iter().filter(|name| !field(name).is_some_and(is_inherited)) {
        problems.push(Problem::new(&file.path, line_of(file, name), format!("`{name}` is not inherited"), INHERIT));
    }
    for name in OWN.into_iter().filter(|name| field(name).and_then(Value::as_str).is_none_or(str::is_empty)) {
        problems.push(Problem::new(&file.path, line_of(file, "[package]"), format!("`{name}` is missing"), SAY));
    }
    if !manifest.get("lints").is_some_and(is_inherited) {
        problems.push(Problem::new(&file.path, line_of(file, "[lints]"), "the workspace's lints do not apply", LINT));
    }
    for (name, _) in dependencies(manifest).into_iter().filter(|(_, value)| !is_inherited(value)) {
        problems.push(Problem::new(&file.path, line_of(file, &name), format!("`{name}` has its own version"), SHARE));
    }
    problems
}

fn of_root(file: &File, manifest: &Table) -> Vec<Problem> {
    let shared =
        manifest.get("workspace").and_then(|workspace| workspace.get("dependencies")).and_then(Value::as_table);
    let outside = shared.into_iter().flatten().filter(|(_, value)| value.get("path").is_none());
    outside
        .filter_map(|(name, _)| {
            let line = line_of(file, name);
            let text = file.text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
            let words = comment(text).map_or(0, |reason| reason.split_whitespace().count());
            let what = format!("`{name}` does not say why it is here");
            (words < REASON_WORDS_MIN).then(|| Problem::new(&file.path, line, what, JUSTIFY))
        })
        .collect()
}

fn is_inherited(value: &Value) -> bool {
    value.get("workspace").and_then(Value::as_bool) == Some(true)
}

/// All dependencies, also those of some targets only.
fn dependencies(manifest: &Table) -> Vec<(String, Value)> {
    let targets = manifest.get("target").and_then(Value::as_table).into_iter().flatten();
    let tables = targets.filter_map(|(_, target)| target.as_table()).chain([manifest]);
    let lists = tables.flat_map(|table| KINDS.iter().filter_map(|kind| table.get(*kind).and_then(Value::as_table)));
    lists.flatten().map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// The line that begins with this key or heading, counted from 1; the first when none does.
fn line_of(file: &File, key: &str) -> usize {
    let is_it =
        |text: &str| text.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', ' ', '=']));
    file.lines().find(|(_, text)| is_it(text)).map_or(1, |(line, _)| line)
}

/// What follows the `#` that is not inside quotes.
fn comment(text: &str) -> Option<&str> {
    let mut quoted = false;
    let hash = text.char_indices().find(|(_, c)| {
        quoted ^= *c == '"';
        *c == '#' && !quoted
    });
    hash.and_then(|(at, _)| text.get(at + 1..))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"[package]
name = "larder-lock"
description = "Locks"
readme = "README.md"
version.workspace = true
edition.workspace = true
rust-version.workspace = true
license.workspace = true
repository.workspace = true

[dependencies]
serde.workspace = true

[target.'cfg(unix)'.dependencies]
rustix = { workspace = true, features = ["fs"] }

[lints]
workspace = true
"#;

    fn member(text: &str) -> Vec<(usize, String)> {
        let found = read(&File::new("crates/larder-lock/Cargo.toml", text), of_member);
        found.into_iter().map(|problem| (problem.line, problem.what)).collect()
    }

    fn root(text: &str) -> Vec<usize> {
        read(&File::new("Cargo.toml", text), of_root).into_iter().map(|problem| problem.line).collect()
    }

    #[test]
    fn a_manifest_that_inherits_all_passes() {
        assert_eq!(member(GOOD), []);
    }

    #[test]
    fn each_field_that_must_be_inherited_is_missed() {
        for field in INHERITED {
            let text = GOOD.replace(&format!("\n{field}.workspace = true"), "");
            assert_eq!(member(&text), [(1, format!("`{field}` is not inherited"))]);
        }
    }

    #[test]
    fn a_field_set_in_place_is_not_inherited() {
        let text = GOOD.replace("edition.workspace = true", "edition = \"2021\"");
        assert_eq!(member(&text), [(6, "`edition` is not inherited".to_owned())]);
    }

    #[test]
    fn a_member_without_a_description_or_a_readme_is_a_problem() {
        assert_eq!(member(&GOOD.replace("description = \"Locks\"\n", "")).len(), 1);
        assert_eq!(member(&GOOD.replace("readme = \"README.md\"\n", "")).len(), 1);
    }

    #[test]
    fn a_member_outside_the_lints_is_a_problem() {
        assert_eq!(member(&GOOD.replace("[lints]\nworkspace = true\n", "")).len(), 1);
    }

    #[test]
    fn a_version_of_ones_own_is_a_problem_in_every_table() {
        assert_eq!(member(&GOOD.replace("serde.workspace = true", "serde = \"1\"")).len(), 1);
        assert_eq!(member(&GOOD.replace("workspace = true, features", "version = \"1\", features")).len(), 1);
    }

    #[test]
    fn an_outside_crate_without_a_reason_is_found_at_its_line() {
        let text = "[workspace.dependencies]\nown = { path = \"own\" }\na = \"1\" # command lines\nb = \"1\"\n\
                    c = \"1\" # needed\nd = { git = \"x#three words inside quotes\" }\n";
        assert_eq!(root(text), [4, 5, 6]);
    }

    #[test]
    fn a_manifest_that_is_no_toml_is_a_problem() {
        assert_eq!(member("[package").len(), 1);
    }
}
