//! How long files and functions may be.

use super::Problem;
use super::allowances::{ALLOWANCES, Allowance};
use super::workspace::{File, Workspace};

const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;
const CONTENTS_LINES_MAX: usize = 150;

const SPLIT_FILE: &str = "split the file by subject, or give the reason in xtask/src/tidy/allowances.rs";
const SPLIT_FUNCTION: &str = "extract a step that has a name, or give the reason in xtask/src/tidy/allowances.rs";
const SPLIT_CONTENTS: &str = "lib.rs is a contents page: move the logic into modules";
const DROP_ALLOWANCE: &str = "remove the entry from xtask/src/tidy/allowances.rs, or correct it";

pub(super) fn problems(workspace: &Workspace) -> Vec<Problem> {
    judge(workspace, ALLOWANCES)
}

fn judge(workspace: &Workspace, allowances: &[Allowance]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for file in &workspace.files {
        if let Some(source) = &file.source {
            let lines = file.text.lines().count();
            let max = allowed(allowances, file, None).unwrap_or(FILE_LINES_MAX);
            if lines > max {
                problems.push(Problem::new(&file.path, lines, format!("{lines} lines, more than {max}"), SPLIT_FILE));
            } else if file.path.file_name() == Some("lib.rs") && lines > CONTENTS_LINES_MAX {
                let what = format!("{lines} lines, more than {CONTENTS_LINES_MAX} for a crate's lib.rs");
                problems.push(Problem::new(&file.path, lines, what, SPLIT_CONTENTS));
            }
            for function in source.iter().flat_map(|source| &source.functions) {
                let max = allowed(allowances, file, Some(&function.name)).unwrap_or(FUNCTION_LINES_MAX);
                if function.lines > max {
                    let what = format!("function `{}` has {} lines, more than {max}", function.name, function.lines);
                    problems.push(Problem::new(&file.path, function.line, what, SPLIT_FUNCTION));
                }
            }
        }
    }
    problems.extend(allowances.iter().filter(|allowance| !is_needed(workspace, allowance)).map(|allowance| {
        let what = format!("allowance for {}: \"{}\" is not needed", named(allowance), allowance.reason);
        Problem::new("xtask/src/tidy/allowances.rs", 1, what, DROP_ALLOWANCE)
    }));
    problems
}

fn allowed(allowances: &[Allowance], file: &File, function: Option<&str>) -> Option<usize> {
    let of_this = allowances.iter().find(|allowance| file.path == allowance.path && allowance.function == function);
    of_this.map(|allowance| allowance.lines_max)
}

fn named(allowance: &Allowance) -> String {
    match allowance.function {
        Some(function) => format!("`{function}` in {}", allowance.path),
        None => allowance.path.to_owned(),
    }
}

fn is_needed(workspace: &Workspace, allowance: &Allowance) -> bool {
    let Some(file) = workspace.file(allowance.path.into()) else { return false };
    match allowance.function {
        None => file.text.lines().count() > FILE_LINES_MAX,
        Some(name) => file
            .source
            .iter()
            .flatten()
            .flat_map(|source| &source.functions)
            .any(|function| function.name == name && function.lines > FUNCTION_LINES_MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workspace(path: &str, text: &str) -> Workspace {
        Workspace::new(Vec::new(), vec![File::new(path, text)])
    }

    fn long_function(lines: usize) -> String {
        format!("fn long() {{\n{}}}\n", "    ();\n".repeat(lines - 2))
    }

    #[test]
    fn a_file_of_501_lines_is_one_line_too_long() {
        let at_limit = workspace("a/src/b.rs", &"//\n".repeat(500));
        assert_eq!(judge(&at_limit, &[]), []);
        let beyond = workspace("a/src/b.rs", &"//\n".repeat(501));
        assert!(judge(&beyond, &[]).iter().any(|problem| problem.what.starts_with("501 lines")));
    }

    #[test]
    fn a_lib_file_of_151_lines_is_no_contents_page() {
        assert_eq!(judge(&workspace("a/src/lib.rs", &"//\n".repeat(150)), &[]), []);
        assert_eq!(judge(&workspace("a/src/lib.rs", &"//\n".repeat(151)), &[]).len(), 1);
    }

    #[test]
    fn a_function_of_71_lines_is_named_with_its_line() {
        assert_eq!(judge(&workspace("a/src/b.rs", &long_function(70)), &[]), []);
        let problems = judge(&workspace("a/src/b.rs", &format!("\n{}", long_function(71))), &[]);
        let found: Vec<_> = problems.iter().map(|problem| (problem.line, problem.what.as_str())).collect();
        assert_eq!(found, [(2, "function `long` has 71 lines, more than 70")]);
    }

    #[test]
    fn an_allowance_excuses_the_function_it_names() {
        let allowance = Allowance { path: "a/src/b.rs", function: Some("long"), lines_max: 90, reason: "one table" };
        assert_eq!(judge(&workspace("a/src/b.rs", &long_function(80)), &[allowance]), []);
        assert_eq!(judge(&workspace("a/src/b.rs", &long_function(91)), &[allowance]).len(), 1);
    }

    #[test]
    fn an_allowance_that_nothing_needs_is_a_problem() {
        let allowance = Allowance { path: "a/src/b.rs", function: Some("long"), lines_max: 90, reason: "one table" };
        assert_eq!(judge(&workspace("a/src/b.rs", &long_function(20)), &[allowance]).len(), 1);
    }
}
