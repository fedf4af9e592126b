//! Broken is a miss, never a wrong answer, a hang or a panic; and it is set aside.
#![expect(clippy::disallowed_methods, reason = "the tests damage files as no program should")]

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use larder_storage::{Put, Store, put as put_module};
use larder_testkit::Scratch;

use crate::shared::{body, key, names, newer_entry, put, relaxed};

struct Victim {
    scratch: Scratch,
    store: Store,
    file: PathBuf,
}

fn victim(name: &str, document: &[u8]) -> Victim {
    let scratch = Scratch::new(name);
    let store = Store::open(scratch.utf8_path()).unwrap();
    put(&store, "docs/a", document);
    let file = scratch.join("entries/docs/a.entry");
    Victim { scratch, store, file }
}

impl Victim {
    /// After damage: a miss, set aside, and the next put works.
    fn expect_set_aside(&self, what: &str) {
        let before = self.store.quarantined();
        assert_eq!(body(&self.store, "docs/a"), None, "{what}");
        assert_eq!(self.store.quarantined(), before + 1, "{what} is set aside");
        assert!(fs::symlink_metadata(&self.file).is_err(), "{what} is out of the way");
        assert_eq!(self.store.verify(false).unwrap().damaged, 0, "{what}: what is set aside is no damage");
        put(&self.store, "docs/a", b"again");
        assert_eq!(body(&self.store, "docs/a"), Some(b"again".to_vec()), "{what}");
    }
}

#[test]
fn every_flipped_bit_of_an_entry_is_a_miss() {
    let victim = victim("flips", b"the document");
    let whole = fs::read(&victim.file).unwrap();
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 1 << (at % 8);
        fs::write(&victim.file, &damaged).unwrap();
        assert_eq!(body(&victim.store, "docs/a"), None, "byte {at}");
    }
    assert_eq!(victim.store.quarantined(), whole.len() as u64);
    assert_eq!(names(victim.scratch.join("quarantine")).len(), 64, "the quarantine is bounded");
    assert_eq!(Store::open(victim.scratch.utf8_path()).unwrap().usage().unwrap().quarantined, 64);
}

#[test]
fn every_truncation_and_every_extension_is_a_miss() {
    let victim = victim("cuts", b"the document");
    let whole = fs::read(&victim.file).unwrap();
    for length in 0..whole.len() {
        fs::write(&victim.file, &whole[..length]).unwrap();
        assert_eq!(body(&victim.store, "docs/a"), None, "cut to {length}");
    }
    for extra in [&b"x"[..], b"\0", &vec![b'x'; 100_000]] {
        fs::write(&victim.file, [&whole, extra].concat()).unwrap();
        assert_eq!(body(&victim.store, "docs/a"), None, "{} bytes longer", extra.len());
    }
}

/// One way to put something else in an entry's place.
type Make = fn(&Victim);

#[test]
fn what_is_no_entry_at_all_is_set_aside() {
    let victim = victim("odd", b"the document");
    let cases: [(&str, Make); 7] = [
        ("zeros", |victim| fs::write(&victim.file, vec![0; 5_000]).unwrap()),
        ("text", |victim| fs::write(&victim.file, "---\ntitle: mine\n---\nhello").unwrap()),
        ("a huge sparse file", |victim| fs::File::create(&victim.file).unwrap().set_len(64 << 30).unwrap()),
        ("a folder", |victim| {
            fs::create_dir(&victim.file).unwrap();
            fs::write(victim.file.join("inside"), "x").unwrap();
        }),
        ("a link", |victim| std::os::unix::fs::symlink("/etc/hostname", &victim.file).unwrap()),
        ("a dangling link", |victim| std::os::unix::fs::symlink("/nowhere/at/all", &victim.file).unwrap()),
        ("a FIFO", |victim| {
            let folder = fs::File::open(victim.scratch.join("entries/docs")).unwrap();
            rustix::fs::mkfifoat(&folder, "a.entry", rustix::fs::Mode::RWXU).unwrap();
        }),
    ];
    for (what, make) in cases {
        fs::remove_file(&victim.file).unwrap();
        make(&victim);
        victim.expect_set_aside(what);
    }
}

#[test]
fn a_huge_length_in_a_sound_header_costs_no_memory() {
    let victim = victim("huge", b"the document");
    let small = larder_storage::Options::new().body_bytes_max(5).open(victim.scratch.utf8_path()).unwrap();
    assert_eq!(body(&small, "docs/a"), None, "larger than this store reads");
    assert_eq!(small.quarantined(), 0, "but whole, so it stays");
    assert!(matches!(small.put(&key("b"), b"sixsix", &relaxed()), Err(put_module::Error::TooLarge { bytes: 6, .. })));
    assert_eq!(body(&victim.store, "docs/a"), Some(b"the document".to_vec()));
}

#[test]
fn another_documents_bytes_under_a_right_name_are_recognised() {
    let victim = victim("foreign", b"the document");
    put(&victim.store, "docs/b", b"another");
    fs::copy(victim.scratch.join("entries/docs/b.entry"), &victim.file).unwrap();
    victim.expect_set_aside("another key's entry");
    assert_eq!(body(&victim.store, "docs/b"), Some(b"another".to_vec()));
}

#[test]
fn a_full_check_changes_nothing_unless_told_to_repair() {
    let victim = victim("verify", b"the document");
    for at in 0..5 {
        put(&victim.store, &format!("docs/{at}"), b"fine");
    }
    let file = fs::File::options().write(true).open(&victim.file).unwrap();
    file.write_all_at(b"X", 5).unwrap();
    fs::write(victim.scratch.join("entries/stray.txt"), "x").unwrap();
    fs::create_dir(victim.scratch.join("entries/link.d")).unwrap();
    std::os::unix::fs::symlink("/etc", victim.scratch.join("entries/elsewhere")).unwrap();
    let found = victim.store.verify(false).unwrap();
    assert_eq!((found.whole, found.damaged, found.repaired), (5, 3, 0), "{found:?}");
    assert_eq!(victim.store.verify(false).unwrap().damaged, 3);
    let repaired = victim.store.verify(true).unwrap();
    assert_eq!((repaired.damaged, repaired.repaired), (3, 3), "{repaired:?}");
    let clean = victim.store.verify(false).unwrap();
    assert_eq!((clean.whole, clean.damaged), (5, 0), "{clean:?}");
}

#[test]
fn a_newer_entry_is_a_miss_that_is_left_alone() {
    let victim = victim("newer", b"the document");
    let newer = newer_entry();
    fs::write(&victim.file, &newer).unwrap();
    let other = Store::open(victim.scratch.utf8_path()).unwrap();
    for store in [&victim.store, &other] {
        assert_eq!(body(store, "docs/a"), None);
        for terms in [relaxed(), Put::new()] {
            let refused = store.put(&key("docs/a"), b"mine", &terms);
            assert!(matches!(refused, Err(put_module::Error::NewerFormat { .. })), "{refused:?}");
        }
        let removed = store.remove(&key("docs/a"), larder_storage::Durability::Full, &larder_storage::Wait::none());
        assert!(matches!(removed, Err(put_module::Error::NewerFormat { .. })), "{removed:?}");
        assert_eq!(store.verify(true).unwrap().newer, 1);
        store.sweep().unwrap();
        assert_eq!(fs::read(&victim.file).unwrap(), newer);
    }
    assert_eq!(names(victim.scratch.join("tmp")), Vec::<String>::new());
}

#[test]
fn a_short_read_is_not_the_end_of_a_document() {
    use larder_testkit::{Action, FaultDisk, Operation};
    let scratch = Scratch::new("short");
    let disk = FaultDisk::over(std::sync::Arc::new(larder_system::SystemDisk::new()));
    disk.before(|call| if call.operation == Operation::Read { Action::Short(1_000) } else { Action::Proceed });
    let store = larder_storage::Options::new().disk(std::sync::Arc::new(disk)).open(scratch.utf8_path()).unwrap();
    for length in [5_000, 4_999, 100_000] {
        put(&store, "k", &vec![7; length]);
        for _ in 0..2 {
            assert_eq!(body(&store, "k").map(|body| body.len()), Some(length));
        }
    }
    assert_eq!(store.quarantined(), 0);
}

#[test]
fn a_stamp_file_of_any_size_costs_no_memory() {
    let scratch = Scratch::new("sparse");
    let store = Store::open(scratch.utf8_path()).unwrap();
    put(&store, "k", b"x");
    let file = scratch.join("stamps").join(&names(scratch.join("stamps"))[0]);
    fs::File::options().write(true).open(file).unwrap().set_len(8 << 40).unwrap();
    for store in [&store, &Store::open(scratch.utf8_path()).unwrap()] {
        assert_eq!(body(store, "k"), None, "what it may have said counts as said");
    }
}

#[test]
fn files_that_were_in_a_folder_called_quarantine_stay_there() {
    let scratch = Scratch::new("mine");
    fs::create_dir(scratch.join("quarantine")).unwrap();
    for at in 0..100 {
        fs::write(scratch.join(format!("quarantine/mine-{at}")), "precious").unwrap();
    }
    let store = Store::open(scratch.utf8_path()).unwrap();
    put(&store, "k", b"x");
    fs::write(scratch.join("entries/k.entry"), "junk").unwrap();
    assert_eq!(body(&store, "k"), None);
    assert_eq!(names(scratch.join("quarantine")).len(), 101);
    assert_eq!(store.usage().unwrap().quarantined, 1);
}
