//! Words that must not be in the repository: places of one machine, package hosts, unfinished work, unchecked code.

use super::Problem;
use super::workspace::{File, Workspace};

// Joined from halves, so that this file passes its own check.
const PLACES: [&str; 4] = [concat!("/wo", "rk/"), concat!("/fa", "rm/"), concat!("/ro", "ot/"), concat!("/ho", "me/")];
const HOSTS: [&str; 5] = [
    concat!("crates", ".io"),
    concat!("npmjs", ".org"),
    concat!("pypi", ".org"),
    concat!("rubygems", ".org"),
    concat!("proxy.golang", ".org"),
];
const MARKS: [&str; 2] = [concat!("TO", "DO"), concat!("FIX", "ME")];
const UNFINISHED_MACROS: [&str; 2] = [concat!("to", "do"), concat!("unimple", "mented")];

const NO_PLACE: &str = "write a path relative to the repository, or take it from the environment";
const NO_HOST: &str = "name the package, not the host it comes from";
const FINISH_IT: &str = "do it now, or write down the limitation where its users read it";
const NO_UNCHECKED: &str = "use a safe wrapper; larder has no code that the compiler does not check";
const MAKE_IT_RUST: &str = "make the file valid Rust, or do not call it .rs";

pub(super) fn problems(workspace: &Workspace) -> Vec<Problem> {
    // the lock file is written by cargo and names where each package came from
    workspace.files.iter().filter(|file| file.path.file_name() != Some("Cargo.lock")).flat_map(in_file).collect()
}

fn in_file(file: &File) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (line, text) in file.lines() {
        let mut add = |what: String, remedy| problems.push(Problem::new(&file.path, line, what, remedy));
        for place in PLACES.iter().filter(|place| has_absolute(text, place)) {
            add(format!("a path of one machine: {place}"), NO_PLACE);
        }
        let lower = text.to_ascii_lowercase();
        for host in HOSTS.iter().filter(|host| lower.contains(**host)) {
            add(format!("a package registry's host: {host}"), NO_HOST);
        }
        for mark in MARKS.iter().filter(|mark| has_word(text, mark)) {
            add(format!("unfinished work: {mark}"), FINISH_IT);
        }
    }
    match &file.source {
        Some(Ok(source)) => {
            problems.extend(
                source
                    .unchecked_lines
                    .iter()
                    .map(|line| Problem::new(&file.path, *line, "code that the compiler does not check", NO_UNCHECKED)),
            );
            let unfinished = source.macros.iter().filter(|(name, _)| UNFINISHED_MACROS.contains(&name.as_str()));
            problems.extend(
                unfinished
                    .map(|(name, line)| Problem::new(&file.path, *line, format!("unfinished: {name}!"), FINISH_IT)),
            );
        }
        Some(Err(error)) => {
            problems.push(Problem::new(&file.path, error.line, format!("not Rust: {error}"), MAKE_IT_RUST));
        }
        None => {}
    }
    problems
}

/// Whether `place` begins an absolute path: nothing before it that would make it the middle of another path.
fn has_absolute(text: &str, place: &str) -> bool {
    text.match_indices(place).any(|(at, _)| {
        let before = text.get(..at).and_then(|before| before.chars().next_back());
        before.is_none_or(|c| !(c.is_alphanumeric() || "_-.~)}>$*/".contains(c)))
    })
}

fn has_word(text: &str, word: &str) -> bool {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_')).any(|found| found == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<(usize, &'static str)> {
        let workspace = Workspace::new(Vec::new(), vec![File::new(path, text)]);
        problems(&workspace).into_iter().map(|problem| (problem.line, problem.remedy)).collect()
    }

    #[test]
    fn an_absolute_place_is_found_and_the_middle_of_a_path_is_not() {
        for place in PLACES {
            assert_eq!(found("docs/a.md", &format!("fine\nsee `{place}x`\n")), [(2, NO_PLACE)]);
            assert_eq!(found("docs/a.md", &format!("see target{place}x\n")), []);
        }
    }

    #[test]
    fn a_package_host_is_found_in_any_case_but_not_in_the_lock_file() {
        for host in HOSTS {
            assert_eq!(found("README.md", &format!("https://{}/x\n", host.to_uppercase())), [(1, NO_HOST)]);
            assert_eq!(found("Cargo.lock", &format!("source = \"https://{host}\"\n")), []);
        }
    }

    #[test]
    fn a_mark_of_unfinished_work_is_found_as_a_word_only() {
        for mark in MARKS {
            assert_eq!(found("a.sh", &format!("# {mark}: later\n")), [(1, FINISH_IT)]);
            assert_eq!(found("a.sh", &format!("# {mark}ES\n")), []);
        }
    }

    #[test]
    fn an_unfinished_macro_is_found_in_code_and_not_in_comments() {
        for name in UNFINISHED_MACROS {
            assert_eq!(found("a.rs", &format!("fn f() {{\n    {name}!()\n}}\n")), [(2, FINISH_IT)]);
            assert_eq!(found("a.rs", &format!("// no {name}!() here\nfn f() {{}}\n")), []);
        }
    }

    #[test]
    fn unchecked_code_is_found_wherever_it_hides() {
        let keyword = "unsafe";
        assert_eq!(found("a.rs", &format!("fn f() {{ m! {{ {keyword} {{}} }} }}\n")), [(1, NO_UNCHECKED)]);
        assert_eq!(found("a.rs", &format!("// {keyword}\n#![forbid({keyword}_code)]\n")), []);
    }

    #[test]
    fn a_file_that_is_not_rust_is_found() {
        assert_eq!(found("a.rs", "fn f() {\n").len(), 1);
    }
}
