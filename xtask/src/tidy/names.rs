//! Documents name only what exists: crates, files, items and the tests that prove the guarantees.

use std::collections::BTreeSet;

use camino::{Utf8Component, Utf8Path, Utf8PathBuf};

use super::Problem;
use super::markdown::{self, Line, Link};
use super::source::Source;
use super::workspace::{Crate, File, Workspace};

/// Folders whose files documents name from the root of the repository.
const FOLDERS: [&str; 5] = ["crates/", "docs/", "xtask/", "tests/", ".ci/"];
/// The document in which every linked function must be a test that runs.
const GUARANTEES: &str = "docs/guarantees.md";

const RENAME_OR_PLAN: &str = "correct the name, or mark the line `(planned)` or its section with a heading `Planned`";
const LINK_A_TEST: &str = "link a function that is a test, and that is not ignored";

pub(super) fn problems(workspace: &Workspace) -> Vec<Problem> {
    let mut problems = Vec::new();
    for document in workspace.files.iter().filter(|file| is_document(&file.path)) {
        for line in markdown::lines(&document.text).filter(|line| !line.is_planned) {
            let mut found = dead_crates(workspace, line.text);
            found.extend(dead_paths(workspace, document, line.text));
            found.extend(dead_items(workspace, line.text));
            found.extend(dead_links(workspace, document, line));
            let number = line.number;
            problems.extend(found.into_iter().map(|(what, remedy)| Problem::new(&document.path, number, what, remedy)));
        }
    }
    problems
}

type Found = (String, &'static str);

/// What is read as the present state: not the changelog, which tells of what has gone.
fn is_document(path: &Utf8Path) -> bool {
    let is_read_me = path.file_name() == Some("README.md");
    path.extension() == Some("md") && (path.starts_with("docs") || is_read_me || path == "CONTRIBUTING.md")
}

fn dead_crates(workspace: &Workspace, text: &str) -> Vec<Found> {
    let prefix = "larder-";
    let mut dead = BTreeSet::new();
    for (at, _) in text.match_indices(prefix) {
        let before = text.get(..at).and_then(|before| before.chars().next_back());
        // the middle of a path or of a longer word (paths have their own check), or a program's text
        if before.is_some_and(|c| c.is_alphanumeric() || "_-/.\"'".contains(c)) {
            continue;
        }
        let rest = text.get(at + prefix.len()..).unwrap_or_default();
        let end =
            rest.find(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        let word = word.trim_end_matches('-');
        let mut after = after.chars();
        let is_longer = match after.next() {
            Some('.') => after.next().is_some_and(char::is_alphanumeric),
            Some(c) => c == '_' || c.is_alphanumeric(),
            None => false,
        };
        // `larder-*`, `larder-0.1.0.tar.gz`
        if word.is_empty() || is_longer || word.starts_with(|c: char| c.is_ascii_digit()) {
            continue;
        }
        let name = format!("{prefix}{word}");
        let is_target = workspace.crates.iter().any(|member| member.targets.contains(&name));
        if !workspace.is_member(&name) && !is_target {
            dead.insert(name);
        }
    }
    dead.into_iter().map(|name| (format!("crate `{name}` does not exist"), RENAME_OR_PLAN)).collect()
}

fn dead_paths(workspace: &Workspace, document: &File, text: &str) -> Vec<Found> {
    let own = document.path.parent().unwrap_or(Utf8Path::new(""));
    let mut dead = BTreeSet::new();
    for (at, _) in FOLDERS.iter().flat_map(|folder| text.match_indices(folder)) {
        let before = text.get(..at).and_then(|before| before.chars().next_back());
        if before.is_some_and(|c| c.is_alphanumeric() || "_-/.~".contains(c)) {
            continue;
        }
        let rest = text.get(at..).unwrap_or_default();
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || "_-./".contains(c))).unwrap_or(rest.len());
        let (path, after) = rest.split_at(end);
        // of a pattern the folder must exist
        let is_pattern = after.starts_with(['*', '<', '{', '[', '$', '…']) || path.ends_with("...");
        let path = if is_pattern { path.rsplit_once('/').map_or("", |(folder, _)| folder) } else { path };
        let path = path.trim_end_matches(['.', '/', '-']);
        if !workspace.exists(Utf8Path::new(path)) && !workspace.exists(&own.join(path)) {
            dead.insert(path);
        }
    }
    dead.into_iter().map(|path| (format!("path `{path}` does not exist"), RENAME_OR_PLAN)).collect()
}

fn dead_items(workspace: &Workspace, text: &str) -> Vec<Found> {
    let mut dead = Vec::new();
    for span in markdown::code_spans(text) {
        let end = span.find(|c: char| !(c.is_alphanumeric() || "_:".contains(c))).unwrap_or(span.len());
        let path = span.get(..end).unwrap_or_default().trim_end_matches(':');
        let Some((first, rest)) = path.split_once("::") else { continue };
        let Some(member) = workspace.crates.iter().find(|member| member.name.replace('-', "_") == first) else {
            continue;
        };
        if let Some(missing) = rest.split("::").find(|name| !is_named(workspace, member, name)) {
            dead.push((format!("`{path}`: crate `{}` has no `{missing}`", member.name), RENAME_OR_PLAN));
        }
    }
    dead
}

/// Whether the crate uses the name, or, if it looks like a function or module, defines it.
fn is_named(workspace: &Workspace, member: &Crate, name: &str) -> bool {
    let is_module_file = |file: &File| file.path.starts_with(&member.folder) && file.path.file_stem() == Some(name);
    let looks_defined = name.starts_with(|c: char| c.is_lowercase());
    let known =
        |source: &Source| if looks_defined { source.defined.contains(name) } else { source.identifiers.contains(name) };
    workspace.sources_in(&member.folder).any(known) || (looks_defined && workspace.files.iter().any(is_module_file))
}

fn dead_links(workspace: &Workspace, document: &File, line: Line<'_>) -> Vec<Found> {
    let mut dead = Vec::new();
    for link in markdown::links(line.text).filter(|_| !line.is_fenced) {
        let own = document.path.parent().unwrap_or(Utf8Path::new(""));
        match resolve(own, link.target).filter(|path| workspace.exists(path)) {
            None => dead.push((format!("link to `{}`, which does not exist", link.target), RENAME_OR_PLAN)),
            Some(path) => dead.extend(dead_function(workspace, document, link, &path)),
        }
    }
    dead
}

/// A link like [`name`](file.rs) promises that the file defines the name; in the guarantees, that it is a test.
fn dead_function(workspace: &Workspace, document: &File, link: Link<'_>, path: &Utf8Path) -> Option<Found> {
    let span = link.text.strip_prefix('`')?.strip_suffix('`')?;
    let source = workspace.file(path)?.source.as_ref()?.as_ref().ok()?;
    let name = span.trim_end_matches("()").rsplit("::").next()?;
    if !name.chars().all(|c| c.is_alphanumeric() || c == '_') {
        return None;
    }
    if document.path == GUARANTEES {
        return match source.function(name) {
            None => Some((format!("{path} has no function `{name}`"), LINK_A_TEST)),
            Some(function) if !function.is_test => Some((format!("`{name}` in {path} is no test"), LINK_A_TEST)),
            Some(function) if function.is_ignored => Some((format!("test `{name}` in {path} is ignored"), LINK_A_TEST)),
            Some(_) => None,
        };
    }
    (!source.identifiers.contains(name)).then(|| (format!("{path} has no `{name}`"), RENAME_OR_PLAN))
}

/// `target` as seen from the folder `own`; `None` when it leaves the repository.
fn resolve(own: &Utf8Path, target: &str) -> Option<Utf8PathBuf> {
    let mut path = own.to_owned();
    for component in Utf8Path::new(target).components() {
        match component {
            // an empty path has no parent: the target is outside
            Utf8Component::ParentDir => path = path.parent()?.to_owned(),
            Utf8Component::Normal(name) => path.push(name),
            Utf8Component::CurDir => {}
            Utf8Component::RootDir | Utf8Component::Prefix(_) => return None,
        }
    }
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = "//! A file.\npub struct Lock;\nimpl Lock { pub fn acquire() {} }\n\
                        #[test] fn one_holder_at_a_time() {}\n#[test] #[ignore] fn sleepy() {}\nmod inner {}\n";

    fn found(path: &str, text: &str) -> Vec<String> {
        let member = Crate {
            name: "larder-lock".to_owned(),
            folder: "crates/larder-lock".into(),
            published: true,
            targets: vec!["larder-locksmith".to_owned()],
            edges: Vec::new(),
        };
        let files = vec![
            File::new("crates/larder-lock/src/lock.rs", LOCK),
            File::new("crates/larder-lock/tests/waits.rs", "//! Waits of locks."),
            File::new("docs/format.md", ""),
            File::new(path, text),
        ];
        problems(&Workspace::new(vec![member], files)).into_iter().map(|problem| problem.what).collect()
    }

    #[test]
    fn a_crate_that_does_not_exist_is_named() {
        assert_eq!(found("README.md", "use `larder-lock`, larder-locksmith."), [""; 0]);
        assert_eq!(found("README.md", "use larder-lost."), ["crate `larder-lost` does not exist"]);
    }

    #[test]
    fn what_only_looks_like_a_crate_is_left_alone() {
        let text = "example.org/larder-rs/larder, larder-0.1.0.tar.gz, `larder-*`, larder-cache.service, my-larder-x, join(\"larder-me\")";
        assert_eq!(found("README.md", text), [""; 0]);
    }

    #[test]
    fn plans_may_name_what_does_not_exist_yet() {
        assert_eq!(found("docs/a.md", "larder-http (planned)\n\n## Planned\ncrates/larder-redis\n"), [""; 0]);
        assert_eq!(found("docs/a.md", "## Planned\n\n## Now\nlarder-http\n").len(), 1);
    }

    #[test]
    fn a_path_that_does_not_exist_is_named() {
        let text = "see crates/larder-lock/src/lock.rs, crates/*/README.md, docs/format.md. and docs/gone.md";
        assert_eq!(found("README.md", text), ["path `docs/gone.md` does not exist"]);
    }

    #[test]
    fn a_crates_own_document_may_name_paths_from_its_own_folder() {
        assert_eq!(found("crates/larder-lock/README.md", "`tests/waits.rs`"), [""; 0]);
        assert_eq!(found("crates/larder-lock/README.md", "`tests/gone.rs`").len(), 1);
        assert_eq!(found("docs/a.md", "`tests/waits.rs`").len(), 1);
    }

    #[test]
    fn an_item_that_its_crate_does_not_define_is_named() {
        let text = "`larder_lock::Lock::acquire()`, `larder_lock::lock::inner::one_holder_at_a_time`, `std::fs::read`";
        assert_eq!(found("README.md", text), [""; 0]);
        let what = "`larder_lock::lock::two_holders`: crate `larder-lock` has no `two_holders`";
        assert_eq!(found("README.md", "`larder_lock::lock::two_holders`"), [what]);
    }

    #[test]
    fn a_relative_link_to_nothing_is_named() {
        assert_eq!(found("docs/a.md", "[f](format.md#bytes), [l](../crates/larder-lock/src/lock.rs)"), [""; 0]);
        assert_eq!(found("docs/a.md", "[f](formats.md)"), ["link to `formats.md`, which does not exist"]);
        assert_eq!(found("docs/a.md", "[f](../../x.md)"), ["link to `../../x.md`, which does not exist"]);
    }

    #[test]
    fn a_guarantee_is_proven_by_a_test_that_exists_and_runs() {
        let link = |name: &str| format!("[`{name}`](../crates/larder-lock/src/lock.rs)");
        assert_eq!(found(GUARANTEES, &link("one_holder_at_a_time")), [""; 0]);
        for not_a_proof in ["two_holders", "acquire", "sleepy"] {
            assert_eq!(found(GUARANTEES, &link(not_a_proof)).len(), 1, "{not_a_proof}");
        }
    }

    #[test]
    fn other_documents_may_link_any_item_of_a_file() {
        assert_eq!(found("docs/a.md", "[`Lock`](../crates/larder-lock/src/lock.rs)"), [""; 0]);
        assert_eq!(found("docs/a.md", "[`Key`](../crates/larder-lock/src/lock.rs)").len(), 1);
    }
}
