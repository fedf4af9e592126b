//! Any single change of any tree is noticed.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use proptest::sample::Index;

use crate::tree::Tree;

#[derive(Clone, Debug)]
enum Node {
    File(Vec<u8>),
    Link(String),
    Folder(Vec<(String, Node)>),
}

#[derive(Clone, Debug)]
enum Mutation {
    Append,
    FlipBit(Index),
    Execute,
    Remove,
    Rename,
    AddFile,
    AddFolder,
    Retarget,
    Swap,
}

fn name() -> impl Strategy<Value = String> {
    "[a-c]{1,3}"
}

fn any_node() -> impl Strategy<Value = Node> {
    let leaf = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40).prop_map(Node::File),
        "[a-c./]{1,6}".prop_map(Node::Link),
    ];
    leaf.prop_recursive(4, 24, 6, |inner| {
        prop::collection::btree_map(name(), inner, 0..6).prop_map(|all| Node::Folder(all.into_iter().collect()))
    })
}

fn any_mutation() -> impl Strategy<Value = Mutation> {
    prop_oneof![
        Just(Mutation::Append),
        any::<Index>().prop_map(Mutation::FlipBit),
        Just(Mutation::Execute),
        Just(Mutation::Remove),
        Just(Mutation::Rename),
        Just(Mutation::AddFile),
        Just(Mutation::AddFolder),
        Just(Mutation::Retarget),
        Just(Mutation::Swap),
    ]
}

fn make(path: &Path, node: &Node, all: &mut Vec<PathBuf>) {
    all.push(path.to_owned());
    match node {
        Node::File(bytes) => std::fs::write(path, bytes).unwrap(),
        Node::Link(target) => symlink(target, path).unwrap(),
        Node::Folder(nodes) => {
            std::fs::create_dir(path).unwrap();
            for (name, node) in nodes {
                make(&path.join(name), node, all);
            }
        }
    }
}

fn remove(path: &Path) {
    if path.symlink_metadata().unwrap().is_dir() {
        std::fs::remove_dir_all(path).unwrap();
    } else {
        std::fs::remove_file(path).unwrap();
    }
}

/// Changes what is there; what does not suit it is changed in the way that always does.
fn mutate(path: &Path, mutation: &Mutation) {
    let metadata = path.symlink_metadata().unwrap();
    match mutation {
        Mutation::Append if metadata.is_file() => {
            let mut bytes = std::fs::read(path).unwrap();
            bytes.push(0);
            std::fs::write(path, bytes).unwrap();
        }
        Mutation::FlipBit(index) if metadata.is_file() && metadata.len() > 0 => {
            let mut bytes = std::fs::read(path).unwrap();
            let bit = index.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(path, bytes).unwrap();
        }
        Mutation::Execute if metadata.is_file() => {
            let mode = metadata.permissions().mode() ^ 0o100;
            std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        }
        Mutation::AddFile if metadata.is_dir() => std::fs::write(path.join("new"), "").unwrap(),
        Mutation::AddFolder if metadata.is_dir() => std::fs::create_dir(path.join("new")).unwrap(),
        Mutation::Retarget if metadata.is_symlink() => {
            let target = std::fs::read_link(path).unwrap().join("x");
            remove(path);
            symlink(target, path).unwrap();
        }
        Mutation::Swap => {
            remove(path);
            if metadata.is_file() { symlink("x", path).unwrap() } else { std::fs::write(path, "").unwrap() }
        }
        Mutation::Rename => std::fs::rename(path, path.with_file_name("renamed")).unwrap(),
        _ => remove(path),
    }
}

proptest! {
    // each waits twice for the file system's clock, which takes milliseconds
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_single_change_of_any_tree_is_noticed(
        nodes in prop::collection::btree_map(name(), any_node(), 1..6),
        mutation in any_mutation(),
        place in any::<Index>(),
    ) {
        let tree = Tree::new("random");
        let mut all = Vec::new();
        for (name, node) in &nodes {
            make(&tree.path(name), node, &mut all);
        }
        tree.write("file", "so that there is one");
        tree.changes_nothing(|| {});
        tree.changes(|| mutate(&all[place.index(all.len())], &mutation));
    }
}
