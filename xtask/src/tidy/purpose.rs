//! The first line of each Rust file says what the file is for.

use super::Problem;
use super::workspace::Workspace;

const WORDS_MIN: usize = 3;
const SAY_IT: &str = "begin the file with `//! ` and what it is for, in a short sentence";

pub(super) fn problems(workspace: &Workspace) -> Vec<Problem> {
    let rust = workspace.files.iter().filter(|file| file.source.is_some());
    let silent = rust.filter(|file| {
        let first = file.text.lines().next().unwrap_or_default();
        first.strip_prefix("//! ").is_none_or(|purpose| purpose.split_whitespace().count() < WORDS_MIN)
    });
    silent.map(|file| Problem::new(&file.path, 1, "the first line does not say what the file is for", SAY_IT)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::workspace::File;
    use super::*;

    fn found(text: &str) -> usize {
        problems(&Workspace::new(Vec::new(), vec![File::new("a/src/b.rs", text)])).len()
    }

    #[test]
    fn a_first_line_that_tells_the_purpose_passes() {
        assert_eq!(found("//! How keys become paths.\nfn a() {}\n"), 0);
    }

    #[test]
    fn a_file_that_starts_with_code_a_plain_comment_or_one_word_fails() {
        assert_eq!((found("fn a() {}\n"), found("// How keys become paths.\n"), found("//! Keys.\n")), (1, 1, 1));
    }

    #[test]
    fn an_empty_file_fails() {
        assert_eq!(found(""), 1);
    }
}
