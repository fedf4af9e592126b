//! What is refused, and that it says why.

use std::time::Duration;

use larder_watch::fingerprint::{Error, Limits, Paths};

use crate::tree::Tree;

fn refused(tree: &Tree, limits: Limits) -> Error {
    tree.fingerprints().limits(limits).take(&tree.paths()).unwrap_err()
}

#[test]
fn each_limit_is_kept_to_the_last_one_and_named_beyond_it() {
    let tree = Tree::new("limits");
    tree.write("a/b", "text");
    tree.write("c", "text");
    // four names, eight bytes, two folders deep
    let exact = Limits::default().files_max(4).bytes_max(8).depth_max(2);
    tree.fingerprints().limits(exact).take(&tree.paths()).unwrap();
    let (files, bytes) = (refused(&tree, exact.files_max(3)), refused(&tree, exact.bytes_max(7)));
    let (deep, slow) = (refused(&tree, exact.depth_max(1)), refused(&tree, exact.time_max(Duration::ZERO)));
    assert!(matches!(files, Error::TooManyFiles { max: 3, .. }), "{files}");
    assert!(matches!(bytes, Error::TooManyBytes { max: 7, .. }), "{bytes}");
    assert!(matches!(&deep, Error::TooDeep { path, .. } if *path == tree.path("a")), "{deep}");
    assert!(matches!(slow, Error::TooSlow { .. }), "{slow}");
    for error in [files, bytes, deep, slow] {
        assert!(error.to_string().contains(tree.folder().to_str().unwrap()), "{error}");
    }
}

#[test]
fn all_dependencies_share_the_limits() {
    let tree = Tree::new("shared");
    tree.write("a", "text");
    tree.write("b", "text");
    let both = Paths::new([tree.path("a"), tree.path("b")]).unwrap();
    let limits = Limits::default();
    for limits in [limits.files_max(1), limits.bytes_max(7)] {
        assert!(tree.fingerprints().limits(limits).take(&both).is_err());
    }
}

#[test]
fn what_exceeds_a_limit_when_it_is_compared_counts_as_changed() {
    let tree = Tree::new("grown");
    tree.write("a", "text");
    let taken = tree.settled();
    let tight = tree.fingerprints().limits(Limits::default().files_max(1));
    let told = tight.check(&taken, &tree.paths()).unwrap().to_string();
    assert!(told.contains("more than 1 files"), "{told}");
}

#[test]
fn paths_that_do_not_fit_beside_a_document_are_refused() {
    let tree = Tree::new("long");
    let long = "x".repeat(200);
    let paths = Paths::new((0..64).map(|number| format!("/{long}/{long}/{number}"))).unwrap();
    let error = tree.fingerprints().take(&paths).unwrap_err();
    assert!(matches!(error, Error::TooLong { .. }), "{error}");
}

#[test]
fn the_caches_own_folder_is_left_out_and_no_dependency_may_lie_in_it() {
    let tree = Tree::new("own");
    tree.write("a", "text");
    let fingerprints = tree.fingerprints().leaving_out(&tree.path("cache"));
    // made later than the fingerprint
    let taken = fingerprints.take(&tree.paths()).unwrap();
    tree.write("cache/entry", "one");
    assert!(fingerprints.check(&taken, &tree.paths()).is_none());
    tree.write("cache/entry", "two");
    assert!(fingerprints.check(&taken, &tree.paths()).is_none());
    tree.write("b", "");
    assert!(fingerprints.check(&taken, &tree.paths()).is_some());
    std::os::unix::fs::symlink("cache", tree.path("link")).unwrap();
    for inside in ["cache", "cache/entry", "cache/later", "link/entry"] {
        let error = fingerprints.take(&Paths::new([tree.path(inside)]).unwrap()).unwrap_err();
        assert!(matches!(error, Error::OwnFolder { .. }), "{inside}: {error}");
    }
}
