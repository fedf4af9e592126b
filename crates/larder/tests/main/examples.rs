//! The flows that larder stands in for, as examples: each runs, and meets all of its criteria.

use std::path::PathBuf;
use std::process::Command;

/// The program of an example, which cargo builds beside the tests.
fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let built =
        test.ancestors().nth(2).unwrap().join("examples").join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    assert!(built.exists(), "{name} is not built: run `cargo build -p larder --examples`, or all tests of the crate");
    built
}

/// Runs it. All criteria up to that number must be met, each on a line of its own.
#[track_caller]
fn meets(name: &str, criteria: usize) {
    let output = Command::new(program(name)).output().unwrap();
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{name} ended with {}\n{said}{errors}", output.status);
    let met: Vec<_> = said.lines().filter_map(|line| line.strip_prefix("met   ")?.split_whitespace().next()).collect();
    let expected: Vec<_> = (1..=criteria).map(|number| format!("AC{number}")).collect();
    assert_eq!(met, expected, "{said}");
    assert!(!said.contains("unmet"), "{said}");
}

#[test]
fn a_knowledge_base_of_documentation_meets_its_criteria() {
    meets("library_docs", 9);
}

#[test]
fn a_cache_of_release_metadata_meets_its_criteria() {
    meets("release_metadata", 11);
}

#[test]
fn a_cache_of_the_answers_of_an_api_meets_its_criteria() {
    meets("api_responses", 13);
}

#[test]
fn a_cache_of_generated_reports_meets_its_criteria() {
    meets("generated_reports", if cfg!(feature = "watch") { 11 } else { 10 });
}
