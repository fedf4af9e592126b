//! Nobody gets out of the root: hostile keys, planted links, strict and lax umasks.
#![expect(clippy::disallowed_methods, reason = "the tests plant what an attacker would")]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use larder_storage::{Key, Scope, Store};
use larder_testkit::{Child, Scratch, Seed, child};

use crate::shared::{body, key, names, put};

/// Spellings that have hurt others.
fn spellings() -> Vec<String> {
    let plain = [
        "CON",
        "con",
        "con.txt",
        "aux/x",
        "nul",
        "com1",
        "lpt9.md",
        "a:b",
        "a\\b",
        "%2e%2e",
        "%",
        "%k",
        "%h",
        "x%2fy",
        "~",
        "-rf",
        "--help",
        ".git",
        ".hidden/x",
        "a.",
        "a ",
        " a",
        "a\nb",
        "a\tb",
        "\u{7f}",
        "\u{feff}x",
        "é",
        "e\u{301}",
        "Ω",
        "ω",
        "ß",
        "ẞ",
        "ı",
        "I",
        "i",
        "🦀",
        "\u{202e}gnp",
        "index.yaml",
        "tmp/x",
        "entries/x",
        "format.yaml",
        "locks",
        "a.entry",
        "a.entry/b",
        "a",
        "A",
        "a/b",
        "A/b",
        "a/B",
        "...",
        "..a",
        "a..",
        ". .",
        "*?\"<>|",
    ];
    let mut all: Vec<String> = plain.iter().map(ToString::to_string).collect();
    all.extend(["x", "X", "é"].map(|one| one.repeat(300)));
    all.push(vec!["d"; 512].join("/"));
    all.push(vec!["d"; 511].join("/"));
    all.push(vec!["x".repeat(250); 4].join("/"));
    all
}

/// Every path below a folder, links not followed.
fn below(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if fs::symlink_metadata(&path).unwrap().is_dir() {
            found.extend(below(&path));
        }
        found.push(path);
    }
    found
}

#[test]
fn no_two_keys_merge_and_none_leaves_the_root() {
    let scratch = Scratch::new("spellings");
    let root = scratch.utf8_path().join("inner/root");
    fs::create_dir(scratch.join("inner")).unwrap();
    let store = Store::open(&root).unwrap();
    let all = spellings();
    for text in &all {
        put(&store, text, text.as_bytes());
    }
    let other = Store::open(&root).unwrap();
    for text in &all {
        assert_eq!(body(&other, text).as_deref(), Some(text.as_bytes()), "{text:?}");
    }
    assert_eq!(names(scratch.join("inner")), ["root"]);
    let mut folded: Vec<String> =
        below(root.join("entries").as_std_path()).iter().map(|path| path.to_str().unwrap().to_lowercase()).collect();
    let count = folded.len();
    folded.sort();
    folded.dedup();
    assert_eq!(folded.len(), count, "no two paths are one where case folds");
    assert!(folded.iter().all(|path| path.is_ascii()), "nothing to normalise");
    assert_eq!(store.list(&larder_storage::Prefix::everything()).unwrap().count(), all.len());
    store.invalidate(&[Scope::All.hard()]).unwrap();
    assert_eq!(store.sweep().unwrap().entries, all.len() as u64);
    assert_eq!(below(root.join("entries").as_std_path()), Vec::<std::path::PathBuf>::new());
}

#[test]
fn refused_keys_are_told_why() {
    let long = "x".repeat(1_025);
    let cases = [
        ("", "cannot be empty"),
        ("a//b", "empty segment"),
        ("/a", "empty segment"),
        ("a/", "empty segment"),
        ("..", "\"..\""),
        ("a/../b", "\"..\""),
        ("./a", "\".\""),
        ("a\0b", "NUL"),
        (long.as_str(), "at most 1024 bytes, this one has 1025"),
    ];
    for (text, reason) in cases {
        let refused = Key::new(text).unwrap_err().to_string();
        assert!(refused.contains(reason), "{text:?}: {refused}");
    }
    assert!(Key::new("x".repeat(1_024)).is_ok());
}

#[test]
fn planted_links_are_not_followed_and_not_written_through() {
    let scratch = Scratch::new("links");
    let outside = scratch.join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("a.entry"), "precious").unwrap();
    let root = scratch.utf8_path().join("root");
    let store = Store::open(&root).unwrap();
    put(&store, "real/a", b"x");
    // a folder of entries, and one below a real one
    symlink(&outside, root.join("entries/docs")).unwrap();
    symlink(&outside, root.join("entries/real/deep")).unwrap();
    for text in ["docs/a", "real/deep/a"] {
        assert_eq!(body(&store, text), None, "{text}");
        put(&store, text, b"inside");
        assert_eq!(body(&store, text), Some(b"inside".to_vec()), "{text}");
    }
    assert_eq!(names(&outside), ["a.entry"]);
    assert_eq!(fs::read(outside.join("a.entry")).unwrap(), b"precious");
    // larder's own folders
    for folder in ["entries", "tmp", "locks", "stamps", "quarantine"] {
        let root = scratch.utf8_path().join(format!("root-{folder}"));
        put(&Store::open(&root).unwrap(), "docs/a", b"x");
        fs::rename(root.join(folder), scratch.join(format!("moved-{folder}"))).unwrap();
        symlink(&outside, root.join(folder)).unwrap();
        let store = Store::open(&root).unwrap();
        let refused = store.put(&key("docs/a"), b"y", &crate::shared::relaxed()).unwrap_err();
        assert!(refused.to_string().contains(folder), "{refused}");
        assert!(refused.to_string().contains("symbolic link"), "{refused}");
    }
    assert_eq!(names(&outside), ["a.entry"]);
}

#[test]
fn folders_swapped_for_links_in_a_loop_never_lead_outside() {
    let scratch = Scratch::new("swaps");
    let mut seed = Seed::new();
    let outside = scratch.join("outside");
    fs::create_dir(&outside).unwrap();
    let root = scratch.utf8_path().join("root");
    let store = Store::open(&root).unwrap();
    put(&store, "docs/a", b"document");
    let docs = root.join("entries/docs");
    let aside = root.join("entries/aside");
    std::thread::scope(|scope| {
        let swapping = scope.spawn(|| {
            for _ in 0..2_000 {
                let _ = fs::rename(&docs, &aside);
                let _ = symlink(&outside, &docs);
                let _ = fs::remove_file(&docs);
                let _ = fs::rename(&aside, &docs);
            }
        });
        while !swapping.is_finished() {
            if seed.chance(1, 2) {
                let _ = store.put(&key("docs/a"), b"document", &crate::shared::relaxed());
            }
            let got = store.get(&key("docs/a"));
            if let Ok(Some(entry)) = got {
                assert_eq!(entry.body(), b"document");
            }
        }
    });
    assert_eq!(names(&outside), Vec::<String>::new());
}

#[test]
fn modes_are_private_under_any_umask() {
    for mask in ["000", "077", "277", "777"] {
        let scratch = Scratch::new("umask");
        let root = scratch.join("root");
        let mut child =
            Child::spawn_through("hostile::child_entry", "umask", &[("mask", mask), ("root", root.to_str().unwrap())]);
        child.wait_for_success();
        for path in below(&root) {
            let metadata = fs::symlink_metadata(&path).unwrap();
            let expected = if metadata.is_dir() { 0o700 } else { 0o600 };
            // lock files have no content worth reading, and are opened by descriptor: nothing more is asked of them
            assert_eq!(metadata.permissions().mode() & 0o7777, expected, "{} under {mask}", path.display());
        }
        assert_eq!(fs::metadata(&root).unwrap().permissions().mode() & 0o7777, 0o700);
        assert_eq!(body(&Store::open(scratch.utf8_path().join("root")).unwrap(), "docs/deep/a"), Some(b"x".to_vec()));
    }
}

#[test]
fn a_folder_left_closed_by_a_killed_maker_is_opened_by_the_next() {
    let scratch = Scratch::new("closed");
    fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let root = scratch.join("root");
    Child::spawn_through("hostile::child_entry", "closed", &[("root", root.to_str().unwrap())]).wait_for_success();
}

#[test]
#[ignore = "a child of other tests"]
fn child_entry() {
    child::run(|role, args| match role {
        "umask" => {
            let mask = u32::from_str_radix(args.get("mask"), 8).unwrap();
            rustix::process::umask(rustix::fs::Mode::from_bits_truncate(mask));
            let store = Store::open(args.get("root")).unwrap();
            store.put(&key("docs/deep/a"), b"x", &larder_storage::Put::new()).unwrap();
            store.invalidate(&[Scope::Key(key("docs/b")).soft()]).unwrap();
        }
        "closed" => {
            // the super-user is let in everywhere
            if rustix::process::geteuid().is_root() {
                let nobody = rustix::process::Uid::from_raw(65_534);
                rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
            }
            let root = Path::new(args.get("root"));
            put(&Store::open(args.get("root")).unwrap(), "k", b"x");
            for (made, text) in [("entries/docs", "docs/a"), ("entries/docs/deep", "docs/deep/a")] {
                if !root.join(made).exists() {
                    fs::create_dir(root.join(made)).unwrap();
                }
                fs::set_permissions(root.join(made), fs::Permissions::from_mode(0o0)).unwrap();
                put(&Store::open(args.get("root")).unwrap(), text, b"x");
            }
        }
        other => panic!("no role {other}"),
    });
}
