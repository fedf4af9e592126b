//! Which crate may know which: arrows go strictly downwards.

use super::Problem;
use super::workspace::{Crate, Edge, Purpose, Workspace};

/// Where each crate stands; normal dependencies go to a lower floor, never sideways and never up.
///
/// `larder-staleness` shares the floor of storage: those above may ask it, storage and locks know no freshness.
const FLOORS: &[(&str, u8)] = &[
    ("xtask", 9),
    ("larder-tests", 9),
    ("larder-bench", 9),
    ("larder-stress", 9),
    ("larder-cli", 7),
    ("larder", 6),
    ("larder-upstream", 5),
    ("larder-config", 5),
    ("larder-queue", 5),
    ("larder-credentials", 4),
    ("larder-storage", 4),
    ("larder-staleness", 4),
    ("larder-lock", 3),
    ("larder-watch", 3),
    (TESTKIT, 2),
    (SYSTEM, 1),
];

const SYSTEM: &str = "larder-system";
const TESTKIT: &str = "larder-testkit";

/// Crates that may know only these crates of the workspace, also in their tests.
const LONERS: &[(&str, &[&str])] = &[("larder-staleness", &[]), (TESTKIT, &[SYSTEM])];

const TURN_IT: &str = "move what both need to a lower crate, or invert the dependency with a trait";
const PLACE_IT: &str = "give the crate its floor in xtask/src/tidy/arrows.rs and in the architecture document";
const DEV_ONLY: &str = "make it a dev-dependency; the test kit is not published";

pub(super) fn problems(workspace: &Workspace) -> Vec<Problem> {
    let mut problems = Vec::new();
    for member in &workspace.crates {
        if floor(&member.name).is_none() {
            problems.push(problem(
                workspace,
                member,
                "name",
                &format!("{} has no place in the order of crates", member.name),
                PLACE_IT,
            ));
        }
        for edge in member.edges.iter().filter(|edge| workspace.is_member(&edge.to)) {
            if let Some((why, remedy)) = objection(workspace, member, edge) {
                let what = format!("{} -> {}: {why}", member.name, edge.to);
                problems.push(problem(workspace, member, &edge.to, &what, remedy));
            }
        }
    }
    problems
}

fn floor(name: &str) -> Option<u8> {
    FLOORS.iter().find(|(known, _)| *known == name).map(|(_, floor)| *floor)
}

fn objection(workspace: &Workspace, from: &Crate, edge: &Edge) -> Option<(&'static str, &'static str)> {
    if let Some((_, known)) = LONERS.iter().find(|(name, _)| *name == from.name)
        && !known.contains(&edge.to.as_str())
        // its own tests may use the kit
        && !(edge.to == TESTKIT && edge.purpose == Purpose::Development)
    {
        return Some(("this crate stands alone", TURN_IT));
    }
    if edge.purpose == Purpose::Development {
        return None;
    }
    let published = |name: &str| workspace.crates.iter().any(|member| member.name == name && member.published);
    if edge.to == TESTKIT && from.published {
        return Some(("the test kit is for tests", DEV_ONLY));
    }
    if from.published && !published(&edge.to) {
        return Some(("a published crate cannot need an unpublished one", TURN_IT));
    }
    match (floor(&from.name)?, floor(&edge.to)?) {
        (from, to) if from > to => None,
        (from, to) if from == to => Some(("the arrow goes sideways", TURN_IT)),
        _ => Some(("the arrow goes up", TURN_IT)),
    }
}

/// A problem at the line of the member's manifest that sets `key`.
fn problem(workspace: &Workspace, member: &Crate, key: &str, what: &str, remedy: &'static str) -> Problem {
    let path = member.manifest();
    let sets = |text: &str| text.strip_prefix(key).is_some_and(|rest| rest.starts_with(['.', ' ', '=']));
    let line = workspace.file(&path).and_then(|file| file.lines().find(|(_, text)| sets(text)));
    Problem::new(path, line.map_or(1, |(line, _)| line), what, remedy)
}

#[cfg(test)]
mod tests {
    use super::super::workspace::File;
    use super::*;

    fn member(name: &str, edges: &[(&str, Purpose)]) -> Crate {
        Crate {
            name: name.to_owned(),
            folder: format!("crates/{name}").into(),
            published: ![TESTKIT, "xtask", "larder-tests"].contains(&name),
            targets: Vec::new(),
            edges: edges.iter().map(|(to, purpose)| Edge { to: (*to).to_owned(), purpose: *purpose }).collect(),
        }
    }

    fn found(edges: &[(&str, &str, Purpose)]) -> Vec<String> {
        let crates = FLOORS.iter().map(|(name, _)| {
            let own: Vec<_> = edges.iter().filter(|edge| edge.0 == *name).map(|edge| (edge.1, edge.2)).collect();
            member(name, &own)
        });
        let workspace = Workspace::new(crates.collect(), Vec::new());
        problems(&workspace).into_iter().map(|problem| problem.what).collect()
    }

    #[test]
    fn the_intended_arrows_pass() {
        use Purpose::{Development, Normal};
        let intended = [
            ("larder-cli", "larder", Normal),
            ("larder", "larder-queue", Normal),
            ("larder", "larder-staleness", Normal),
            ("larder-queue", "larder-storage", Normal),
            ("larder-storage", "larder-lock", Normal),
            ("larder-lock", SYSTEM, Normal),
            (TESTKIT, SYSTEM, Normal),
            ("larder-lock", TESTKIT, Development),
            ("larder-staleness", TESTKIT, Development),
            ("xtask", TESTKIT, Normal),
        ];
        assert_eq!(found(&intended), [""; 0]);
    }

    #[test]
    fn an_arrow_upwards_is_named() {
        let upwards = [("larder-lock", "larder-storage", Purpose::Normal)];
        assert_eq!(found(&upwards), ["larder-lock -> larder-storage: the arrow goes up"]);
    }

    #[test]
    fn an_arrow_sideways_is_named() {
        let sideways = [("larder-queue", "larder-upstream", Purpose::Normal)];
        assert_eq!(found(&sideways), ["larder-queue -> larder-upstream: the arrow goes sideways"]);
    }

    #[test]
    fn the_staleness_crate_may_know_nobody() {
        let edge = [("larder-staleness", SYSTEM, Purpose::Normal)];
        assert_eq!(found(&edge), ["larder-staleness -> larder-system: this crate stands alone"]);
    }

    #[test]
    fn the_test_kit_may_know_the_seam_alone_also_in_tests() {
        let edge = [(TESTKIT, "larder-lock", Purpose::Development)];
        assert_eq!(found(&edge), ["larder-testkit -> larder-lock: this crate stands alone"]);
    }

    #[test]
    fn the_test_kit_is_never_a_normal_dependency_of_a_published_crate() {
        let edge = [("larder-storage", TESTKIT, Purpose::Normal)];
        assert_eq!(found(&edge), ["larder-storage -> larder-testkit: the test kit is for tests"]);
    }

    #[test]
    fn a_crate_without_a_floor_is_a_problem() {
        let workspace = Workspace::new(vec![member("larder-http", &[])], Vec::new());
        assert_eq!(problems(&workspace).len(), 1);
    }

    #[test]
    fn the_manifest_line_of_the_offending_edge_is_given() {
        let crates = vec![member("larder-lock", &[("larder", Purpose::Normal)]), member("larder", &[])];
        let manifest = File::new(
            "crates/larder-lock/Cargo.toml",
            "name = \"larder-lock\"\n[dependencies]\nlarder.workspace = true\n",
        );
        let lines: Vec<_> =
            problems(&Workspace::new(crates, vec![manifest])).iter().map(|problem| problem.line).collect();
        assert_eq!(lines, [3]);
    }
}
