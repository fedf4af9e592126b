//! Full disks, no descriptors left, no rights: one typed error each, nothing lost.
#![expect(clippy::disallowed_methods, reason = "the tests use up what the store needs")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use larder_storage::{Durability, Options, Scope, Store, Wait};
use larder_testkit::{Child, Scratch, SimDisk, child};

use crate::shared::{body, key, put, relaxed};

/// An error and all its causes, as a person reads them.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        assert!(!text.contains(&said), "{said:?} is said twice in {text:?}");
        text = format!("{text}: {said}");
        cause = error.source();
    }
    text
}

#[test]
fn a_full_disk_refuses_what_is_new_and_keeps_what_is_there() {
    let disk = SimDisk::new();
    let store = Options::new().disk(Arc::new(disk.clone())).open("/cache").unwrap();
    put(&store, "docs/a", b"old");
    disk.set_capacity(60_000);
    let big = vec![7; 100_000];
    for terms in [relaxed(), larder_storage::Put::new()] {
        let refused = store.put(&key("docs/a"), &big, &terms).unwrap_err();
        let said = chain(&refused);
        assert!(said.contains("/cache/tmp/") && said.contains("free space on its file system"), "{said}");
        assert_eq!(body(&store, "docs/a"), Some(b"old".to_vec()));
    }
    let left: Vec<_> =
        disk.tree().into_keys().filter(|path| path.starts_with("/cache/tmp/") && !path.ends_with("tmp")).collect();
    assert_eq!(left, Vec::<std::path::PathBuf>::new(), "no temporary is left");
    disk.set_capacity(0);
    assert_eq!(body(&store, "docs/a"), Some(b"old".to_vec()));
    assert!(store.invalidate(&[Scope::All.hard()]).is_err());
    assert!(store.remove(&key("docs/a"), Durability::Full, &Wait::none()).unwrap(), "room can be made");
    disk.set_capacity(10_000_000);
    put(&store, "docs/a", &big);
    assert_eq!(body(&store, "docs/a"), Some(big));
}

#[test]
fn no_descriptors_left_is_one_error_and_no_miss() {
    let scratch = Scratch::new("descriptors");
    put(&Store::open(scratch.utf8_path()).unwrap(), "docs/a", b"x");
    let root = scratch.path().to_str().unwrap();
    Child::spawn_through("limits::child_entry", "descriptors", &[("root", root)]).wait_for_success();
    assert_eq!(body(&Store::open(scratch.utf8_path()).unwrap(), "docs/a"), Some(b"x".to_vec()));
}

#[test]
fn a_root_without_rights_says_which_and_what_to_do() {
    let scratch = Scratch::new("rights");
    put(&Store::open(scratch.utf8_path().join("root")).unwrap(), "docs/a", b"x");
    fs::set_permissions(scratch.join("root"), fs::Permissions::from_mode(0o500)).unwrap();
    fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(scratch.join("root/tmp"), fs::Permissions::from_mode(0o500)).unwrap();
    let root = scratch.join("root");
    Child::spawn_through("limits::child_entry", "rights", &[("root", root.to_str().unwrap())]).wait_for_success();
}

#[test]
#[ignore = "a child of other tests"]
fn child_entry() {
    child::run(|role, args| match role {
        "descriptors" => {
            let store = Store::open(args.get("root")).unwrap();
            assert!(body(&store, "docs/a").is_some());
            let mut hoard = Vec::new();
            while let Ok(file) = fs::File::open("/dev/null") {
                hoard.push(file);
            }
            let refused = store.get(&key("docs/a")).unwrap_err();
            assert!(chain(&refused).contains("too many files are open"), "{}", chain(&refused));
            let refused = store.put(&key("docs/a"), b"y", &relaxed()).unwrap_err();
            assert!(chain(&refused).contains("too many files are open"), "{}", chain(&refused));
            drop(hoard);
            assert_eq!(body(&store, "docs/a"), Some(b"x".to_vec()));
        }
        "rights" => {
            // somebody who owns nothing here; the tests themselves may run as one to whom no right is denied
            if rustix::process::geteuid().is_root() {
                let nobody = rustix::process::Uid::from_raw(65_534);
                rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
            }
            let store = Store::open(args.get("root")).unwrap_or_else(|error| {
                assert!(chain(&error).contains("make it accessible to this user"), "{}", chain(&error));
                std::process::exit(0);
            });
            let refused = store.put(&key("docs/a"), b"y", &relaxed()).unwrap_err();
            assert!(chain(&refused).contains("make it accessible to this user"), "{}", chain(&refused));
        }
        other => panic!("no role {other}"),
    });
}
