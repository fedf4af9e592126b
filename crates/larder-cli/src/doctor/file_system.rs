//! The file system under the root: what it is, whether it keeps what is written, and whether its locks exclude.

use std::io;
use std::time::Duration;

use camino::Utf8Path;
use larder_lock::{Backend, Finding as Probed};
use larder_storage::trial;
use larder_system::{Disk as _, FileSystem, SystemDisk, retry};

use super::finding::{Finding, Seen, Subject};
use super::kind::{self, Nature};
use super::scene::{Opened, Scene};
use super::space;
use crate::exit::chain;

/// How long a lock call may take.
const LOCK_BOUND: Duration = Duration::from_secs(2);
/// The way out where the file system itself is what is wrong.
const ELSEWHERE: &str = "larder --root DIR doctor";

/// What the file system of `path` is, and the room it has.
pub(super) fn system_of(path: &Utf8Path) -> io::Result<FileSystem> {
    let disk = SystemDisk::new();
    let folder = retry(|| disk.open_root(path.as_std_path()))?;
    retry(|| disk.file_system(&folder))
}

pub(super) fn check(scene: &Scene, seen: &mut Seen) {
    let Ok(path) = &scene.root else { return };
    let Some(there) = super::root::nearest(path) else { return };
    // who may not even open it is told so by the check of the root
    let Ok(system) = system_of(there) else { return };
    let kind = kind::of(&system);
    seen.fact(format!("its file system is {}", kind.name));
    if let Some(finding) = judge(path, &system, kind, matches!(scene.opened, Opened::Store(_))) {
        seen.add(finding);
    }
    // to fail in the attempt to write would only say it again
    if system.read_only {
        return;
    }
    match scene.store().map(|store| store.try_files()) {
        Some(Ok(true)) => seen.fact("what is written, synced, linked and renamed there comes back as it was"),
        Some(Ok(false) | Err(trial::Error::Root(_))) | None => {}
        Some(Err(error)) => seen.add(refused(path, &error, &space::shrink(scene))),
    }
}

/// What is to be said of a kind of file system, whatever it does.
fn judge(path: &Utf8Path, system: &FileSystem, kind: kind::Kind, is_root: bool) -> Option<Finding> {
    let name = kind.name;
    if system.read_only {
        let finding =
            Finding::error(Subject::FileSystem, format!("the file system of {path} is mounted for reading only"));
        return Some(finding.at(path).command("choose a root elsewhere, or mount it for writing", ELSEWHERE));
    }
    let subject = Subject::FileSystem;
    let finding = match kind.nature {
        Nature::Local | Nature::Unknown => return None,
        Nature::Memory => {
            Finding::note(subject, format!("{path} is on {name}: what is stored there is gone with the power"))
        }
        // a root that is there says more, with its locks
        Nature::Remote if is_root => return None,
        Nature::Remote => Finding::warning(
            subject,
            format!(
                "{path} would be on {name}, behind which other machines may write: a root there is made with leases, whose guarantees are weaker"
            ),
        ),
        Nature::WithoutLinks => {
            Finding::error(subject, format!("{path} is on {name}, which has no hard links: no root can be made there"))
        }
        Nature::View => Finding::error(subject, format!("{path} is on {name}, where nothing can be stored")),
    };
    Some(finding.at(path).command("choose a root on a local disk", ELSEWHERE))
}

/// Why a file could not be written, kept or read back.
fn refused(path: &Utf8Path, error: &trial::Error, gc: &str) -> Finding {
    let said = chain(error);
    let trial::Error::Failed(failure) = error else {
        return Finding::error(Subject::FileSystem, said).at(path).command("choose another root", ELSEWHERE);
    };
    match failure.system().kind() {
        io::ErrorKind::StorageFull => space::full(path, gc),
        io::ErrorKind::QuotaExceeded => {
            let what = format!("the disk quota of this user is used up in {path}");
            space::make_room(Finding::error(Subject::Space, what).at(path), gc)
        }
        io::ErrorKind::PermissionDenied => {
            let look = super::shell::command(["ls", "-la", "--", path.as_str()]);
            Finding::error(Subject::Root, said).at(failure.path()).command("see whose it is", look)
        }
        _ => Finding::error(Subject::FileSystem, said).at(failure.path()).command("choose another root", ELSEWHERE),
    }
}

/// What stands behind locks, and whether that can be relied on.
pub(super) fn locks(scene: &Scene, seen: &mut Seen) {
    let (Ok(path), Some(store)) = (&scene.root, scene.store()) else { return };
    let Ok(Some(backend)) = store.check_format() else { return };
    // where nothing can be written, other checks say so
    let Ok(Some(probed)) = store.try_locks(LOCK_BOUND) else { return };
    match judge_locks(path, backend, &probed) {
        Some(finding) => seen.add(finding),
        None => seen.fact("its locks are those of the system, and exclude each other"),
    }
}

fn judge_locks(path: &Utf8Path, backend: Backend, probed: &Probed) -> Option<Finding> {
    let is_lease = matches!(backend, Backend::Lease { .. });
    let subject = Subject::Locks;
    let aside = || super::shell::command(["mv", "--", path.as_str(), &format!("{path}.leases")]);
    let finding = match (is_lease, probed) {
        (false, Probed::Honest) => return None,
        (false, Probed::Remote { kind }) => Finding::warning(
            subject,
            format!(
                "{path} relies on file locks, and is on {kind}, whose locks others may not see: two may fetch at once"
            ),
        ),
        (false, probed) => Finding::error(
            subject,
            format!(
                "{path} relies on file locks, and its file system cannot be relied on: {probed}. Two may fetch, and two may hold a lock"
            ),
        ),
        (true, Probed::Honest) => {
            let what = format!(
                "{path} was made with leases, which are weaker than the file locks that work here: a holder that is frozen longer than its lease loses it"
            );
            let finding = Finding::warning(subject, what).at(path);
            return Some(finding.command("have it made anew, and fetch again", aside()));
        }
        (true, probed) => Finding::warning(
            subject,
            format!(
                "{path} uses leases, because {probed}: a holder that is frozen longer than its lease loses it, and one may be dead for as long before that is noticed"
            ),
        ),
    };
    Some(finding.at(path).command("choose a root on a local disk", ELSEWHERE))
}

#[cfg(test)]
mod tests {
    use super::super::finding::Severity;
    use super::*;

    fn judged(backend: Backend, probed: &Probed) -> Option<(Severity, String)> {
        let finding = judge_locks("/cache".into(), backend, probed)?;
        Some((finding.severity, finding.words()))
    }

    #[test]
    fn locks_that_lie_are_an_error_where_they_are_relied_on_and_weaker_ones_a_warning() {
        assert_eq!(judged(Backend::Advisory, &Probed::Honest), None);
        let answer = || io::Error::from(io::ErrorKind::Unsupported);
        for probed in [Probed::Lies, Probed::Missing { answer: answer() }, Probed::Silent { bound: LOCK_BOUND }] {
            let (severity, words) = judged(Backend::Advisory, &probed).unwrap();
            assert_eq!(severity, Severity::Error);
            assert!(words.contains(&probed.to_string()) && words.contains("--root"), "{words}");
            assert_eq!(judged(Backend::LEASE, &probed).unwrap().0, Severity::Warning);
        }
        let (severity, words) = judged(Backend::Advisory, &Probed::Remote { kind: "nfs" }).unwrap();
        assert!(severity == Severity::Warning && words.contains("nfs"), "{words}");
        let (severity, words) = judged(Backend::LEASE, &Probed::Honest).unwrap();
        assert!(severity == Severity::Warning && words.contains("mv -- /cache /cache.leases"), "{words}");
    }

    #[test]
    fn each_kind_of_file_system_gets_honest_words() {
        let of = |magic| FileSystem { magic: Some(magic), available_bytes: 1, available_files: None, read_only: false };
        let judged = |magic, is_root| {
            let system = of(magic);
            judge("/cache".into(), &system, kind::of(&system), is_root)
                .map(|finding| (finding.severity, finding.words()))
        };
        assert_eq!(judged(0xef53, true), None);
        assert_eq!(judged(0x794c_7630, true), None);
        assert_eq!(judged(0x6969, true), None, "its locks say more");
        for (magic, severity, name) in [
            (0x0102_1994, Severity::Note, "tmpfs"),
            (0x6969, Severity::Warning, "nfs"),
            (0x6573_5546, Severity::Warning, "fuse"),
            (0x4d44, Severity::Error, "hard links"),
            (0x9fa0, Severity::Error, "proc"),
        ] {
            let (found, words) = judged(magic, false).unwrap();
            assert_eq!(found, severity, "{name}");
            assert!(words.contains(name), "{words}");
        }
        let frozen = FileSystem { read_only: true, ..of(0xef53) };
        let found = judge("/cache".into(), &frozen, kind::of(&frozen), true).unwrap();
        assert!(found.severity == Severity::Error && found.words().contains("reading only"));
    }
}
