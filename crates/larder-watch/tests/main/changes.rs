//! What is a change, and what is none.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use larder_watch::fingerprint::{Paths, Why};

use crate::tree::Tree;

#[test]
fn what_nobody_touches_is_unchanged() {
    let tree = Tree::new("quiet");
    tree.write("a/b", "text");
    tree.changes_nothing(|| {});
}

#[test]
fn another_content_is_a_change_and_the_file_is_named() {
    let tree = Tree::new("content");
    tree.write("a", "text");
    tree.write("folder/b", "one");
    tree.changes(|| tree.write("folder/b", "two"));
    tree.changes_at(&tree.path("folder/b"), || tree.write("folder/b", "three"));
}

#[test]
fn a_touch_is_no_change() {
    let tree = Tree::new("touch");
    tree.write("a", "text");
    tree.changes_nothing(|| tree.write("a", "text"));
}

#[test]
fn owners_of_other_permissions_and_times_are_no_change() {
    let tree = Tree::new("mode");
    tree.write("a", "text");
    tree.changes_nothing(|| std::fs::set_permissions(tree.path("a"), Permissions::from_mode(0o600)).unwrap());
}

#[test]
fn who_may_execute_a_file_is_a_change() {
    let tree = Tree::new("execute");
    tree.write("a", "text");
    tree.changes(|| std::fs::set_permissions(tree.path("a"), Permissions::from_mode(0o755)).unwrap());
}

#[test]
fn a_name_that_is_added_removed_or_another_is_a_change() {
    let tree = Tree::new("names");
    tree.write("a", "text");
    tree.write("folder/b", "text");
    tree.changes(|| tree.write("c", ""));
    tree.changes(|| std::fs::create_dir(tree.path("empty")).unwrap());
    tree.changes(|| std::fs::remove_dir(tree.path("empty")).unwrap());
    tree.changes(|| std::fs::rename(tree.path("folder/b"), tree.path("folder/c")).unwrap());
    tree.changes(|| std::fs::rename(tree.path("folder/c"), tree.path("d")).unwrap());
    // what is gone has no time: its folder tells
    tree.changes_at(&tree.folder(), || std::fs::remove_file(tree.path("a")).unwrap());
}

#[test]
fn another_kind_is_a_change() {
    let tree = Tree::new("kinds");
    tree.write("file", "");
    tree.write("a", "");
    tree.changes(|| {
        std::fs::remove_file(tree.path("a")).unwrap();
        std::fs::create_dir(tree.path("a")).unwrap();
    });
    tree.changes(|| {
        std::fs::remove_dir(tree.path("a")).unwrap();
        symlink("b", tree.path("a")).unwrap();
    });
}

#[test]
fn a_path_that_appears_and_disappears_is_a_change_each_time() {
    let tree = Tree::new("appears");
    let paths = Paths::new([tree.path("later/file")]).unwrap();
    tree.clock.set_wall(std::time::SystemTime::now());
    let without = tree.fingerprints().take(&paths).unwrap();
    assert!(tree.change(&without).is_none());
    tree.write("later/file", "text");
    let told = tree.change(&without).unwrap().to_string();
    assert_eq!(told, format!("{} has changed", tree.path("later/file").display()));
    let with = tree.fingerprints().take(&paths).unwrap();
    std::fs::remove_dir_all(tree.path("later")).unwrap();
    assert!(tree.change(&with).is_some());
    // a file in the place of a folder above
    tree.write("later", "");
    assert!(tree.change(&with).is_some() && tree.change(&without).is_none());
}

#[test]
fn the_text_of_a_link_counts_and_what_it_leads_to_does_not() {
    let tree = Tree::new("links");
    std::fs::write(tree.beside("outside"), "one").unwrap();
    symlink("../outside", tree.path("link")).unwrap();
    tree.write("file", "");
    tree.changes_nothing(|| std::fs::write(tree.beside("outside"), "two").unwrap());
    tree.changes(|| {
        std::fs::remove_file(tree.path("link")).unwrap();
        symlink("../outsidE", tree.path("link")).unwrap();
    });
}

#[test]
fn a_dependency_that_is_a_link_is_its_text_with_and_without_a_closing_slash() {
    let tree = Tree::new("link-itself");
    tree.write("folder/a", "");
    symlink("folder", tree.path("link")).unwrap();
    for name in ["link", "link/"] {
        let taken = tree.fingerprints().take(&Paths::new([tree.path(name)]).unwrap()).unwrap();
        tree.write("folder/a", name);
        assert!(tree.change(&taken).is_none(), "{name}");
    }
}

#[test]
fn a_path_that_no_fingerprint_was_taken_of_is_a_change() {
    let tree = Tree::new("unknown");
    tree.write("a", "");
    let taken = tree.racy();
    let more = Paths::new([tree.folder(), tree.path("a")]).unwrap();
    let change = tree.fingerprints().check(&taken, &more).unwrap();
    assert!(matches!(change.why, Why::NeverTaken));
    assert_eq!(change.path, tree.path("a"));
    assert!(tree.fingerprints().check(&taken, &tree.paths()).is_none());
}

#[test]
fn file_five_thousand_of_a_folder_counts_like_the_first() {
    let tree = Tree::new("many");
    for number in 0..5_000 {
        tree.write(&format!("{number:04}"), "text");
    }
    tree.changes(|| tree.write("4999", "teXt"));
    tree.changes_at(&tree.path("4999"), || tree.write("4999", "text"));
}

#[test]
fn where_one_name_or_file_ends_and_the_next_begins_counts() {
    let tree = Tree::new("ends");
    tree.write("a", "bc");
    tree.write("b", "");
    tree.changes(|| {
        tree.write("a", "b");
        tree.write("b", "c");
    });
    tree.write("c/d", "");
    std::fs::create_dir(tree.path("e")).unwrap();
    // the same names in the same order, one level up
    tree.changes(|| std::fs::rename(tree.path("c/d"), tree.path("d")).unwrap());
}
