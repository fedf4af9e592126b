//! The root itself: whether it is there, whose it is, who may do what with it, and which format it has.

use std::io;

use camino::Utf8Path;
use larder_storage::root::Error;
use larder_system::{Disk as _, Kind, Metadata, SystemDisk, retry};

use super::finding::{Finding, Seen, Subject};
use super::scene::{Opened, Scene};
use super::shell;
use crate::exit::chain;

/// The most files and folders of the root whose modes are looked at.
const LOOKS_MAX: usize = 256;
/// The folders of the root that other parts than the store keep files in.
const FOLDERS: &[&str] = &["queue", "ledger", "flights", "named", "secret"];
/// What tells backups to leave the folder out.
const TAG: &str = "CACHEDIR.TAG";

pub(super) fn check(scene: &Scene, seen: &mut Seen) {
    let path = match &scene.root {
        Ok(path) => path,
        Err(error) => {
            seen.add(Finding::error(Subject::Root, error.to_string()).command("name one", "larder --root DIR doctor"));
            return;
        }
    };
    match retry(|| SystemDisk::new().root_metadata(path.as_std_path())) {
        Ok(found) if found.kind != Kind::Folder => {
            let aside = shell::command(["mv", "--", path.as_str(), &format!("{path}.aside")]);
            let finding = Finding::error(Subject::Root, format!("{path} is not a folder")).at(path);
            seen.add(finding.command("move it away", aside));
        }
        Ok(found) => {
            seen.fact(format!("the root is {path}"));
            rights(scene, path, &found, seen);
            contents(scene, path, seen);
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => absent(scene, path, seen),
        Err(error) => {
            let finding = Finding::error(Subject::Root, format!("cannot look at {path}: {error}")).at(path);
            seen.add(
                finding.command(
                    "see who may enter which folder on the way",
                    shell::command(["namei", "-l", path.as_str()]),
                ),
            );
        }
    }
}

/// The nearest folder that is there, and so the one in which the next would be made.
pub(super) fn nearest(path: &Utf8Path) -> Option<&Utf8Path> {
    let disk = SystemDisk::new();
    path.ancestors().find(|folder| {
        !folder.as_str().is_empty()
            && disk.root_metadata(folder.as_std_path()).is_ok_and(|found| found.kind == Kind::Folder)
    })
}

fn absent(scene: &Scene, path: &Utf8Path, seen: &mut Seen) {
    let Some(parent) = nearest(path) else { return };
    if may_make(parent) {
        let finding =
            Finding::note(Subject::Root, format!("there is no {path} yet: whoever stores something first makes it"));
        seen.add(finding.at(path).command("make it now", scene.larder(&["run", "--", "true"])));
    } else {
        let finding =
            Finding::error(Subject::Root, format!("there is no {path}, and this user can make no folder in {parent}"));
        let finding = finding.at(path).command("choose another", "larder --root DIR doctor");
        seen.add(finding.command("or see whose it is", shell::command(["ls", "-ld", "--", parent.as_str()])));
    }
}

/// Whether a folder can be made there, as far as that can be told without making one.
fn may_make(parent: &Utf8Path) -> bool {
    let disk = SystemDisk::new();
    let system = disk.open_root(parent.as_std_path()).and_then(|folder| disk.file_system(&folder));
    let takes_files = system.is_ok_and(|system| !system.read_only && super::kind::of(&system).holds_files());
    takes_files && may_write(parent)
}

#[cfg(unix)]
fn may_write(folder: &Utf8Path) -> bool {
    use rustix::fs::Access;
    rustix::fs::access(folder.as_std_path(), Access::WRITE_OK | Access::EXEC_OK).is_ok()
}

/// Rights there are more than a look can tell: the first use will.
#[cfg(not(unix))]
fn may_write(_: &Utf8Path) -> bool {
    true
}

/// Whose it is, and what the mode says. The super-user is let in everywhere, so that only modes tell what others may.
#[cfg(unix)]
fn rights(scene: &Scene, path: &Utf8Path, found: &Metadata, seen: &mut Seen) {
    let own = rustix::process::geteuid().as_raw();
    if found.owner != own {
        let what = format!(
            "{path} belongs to user {}, not to {own}: what this one stores, that one cannot change",
            found.owner
        );
        let finding = Finding::warning(Subject::Root, what).at(path);
        let finding =
            finding.command("give it to this user", shell::command(["chown", "-R", &own.to_string(), path.as_str()]));
        seen.add(finding.remedy("or run larder as the other"));
    }
    let mode = found.mode & 0o777;
    let alone = || shell::command(["chmod", "0700", path.as_str()]);
    let said = |what: &str| format!("{what} {path} (mode {mode:04o})");
    if mode & 0o700 != 0o700 {
        let what = said("its owner may not read, write and enter");
        seen.add(Finding::error(Subject::Root, what).at(path).command("make it the owner's", alone()));
    } else if mode & 0o002 != 0 {
        let what = said("anybody may replace what is in");
        seen.add(Finding::error(Subject::Root, what).at(path).command("close it to others", alone()));
    } else if mode & 0o077 != 0 {
        let what = said("others may look into");
        seen.add(Finding::warning(Subject::Root, what).at(path).command("close it to others", alone()));
    }
    let Some(store) = scene.store() else { return };
    let Ok(loose) = store.open_to_others(FOLDERS, LOOKS_MAX) else { return };
    if let Some(first) = loose.first() {
        let (count, mode) = (loose.len(), first.mode & 0o777);
        let what = format!(
            "{} is not its owner's alone (mode {mode:04o}), one of {count} of the first {LOOKS_MAX} looked at",
            first.path
        );
        let finding = Finding::warning(Subject::Root, what).at(&first.path);
        seen.add(finding.command("close all to others", shell::command(["chmod", "-R", "go-rwx", path.as_str()])));
    }
}

/// The folder's own rights decide, and no mode tells them.
#[cfg(not(unix))]
fn rights(_: &Scene, _: &Utf8Path, _: &Metadata, _: &mut Seen) {}

fn contents(scene: &Scene, path: &Utf8Path, seen: &mut Seen) {
    if matches!(scene.opened, Opened::Absent) {
        let finding = Finding::note(
            Subject::Root,
            format!("{path} is a folder and no root yet: whoever stores something first makes it one"),
        );
        seen.add(finding.at(path).command("make it one now", scene.larder(&["run", "--", "true"])));
        return;
    }
    let tag = path.join(TAG);
    let is_missing = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    if scene.store().is_some() && std::fs::symlink_metadata(&tag).is_err_and(|error| is_missing(&error)) {
        let finding = Finding::note(Subject::Root, format!("{tag} is missing: backups will copy the cache")).at(&tag);
        let signature = "'Signature: 8a477f597d28d172789f06886806bc55\\n'";
        seen.add(finding.command("put it back", format!("printf {signature} > {}", shell::word(tag.as_str()))));
    }
}

/// Whether this version can read and write what is there.
pub(super) fn format(scene: &Scene, seen: &mut Seen) {
    let Ok(path) = &scene.root else { return };
    match &scene.opened {
        Opened::Store(store) => match store.check_format() {
            Ok(_) => seen.fact("its format is known"),
            Err(error) => seen.add(unusable(path, &error)),
        },
        // told by the check of the root
        Opened::Absent | Opened::Nowhere | Opened::Failed(Error::NotAFolder { .. }) => {}
        Opened::Failed(error) => seen.add(unusable(path, error)),
        Opened::Silent => {
            let what = format!("{path} was not opened in time: its file system does not answer");
            let finding = Finding::error(Subject::FileSystem, what).at(path);
            seen.add(finding.command("see whether the disk answers", shell::command(["df", path.as_str()])));
        }
    }
}

fn unusable(path: &Utf8Path, error: &Error) -> Finding {
    let (said, another) = (chain(error), "larder --root DIR doctor");
    match error {
        Error::Newer { access, .. } => {
            let finding = Finding::error(Subject::Format, said).at(path);
            let goes_on = if *access == "write" { "until then it is only read: " } else { "" };
            finding.remedy(format!("{goes_on}use a newer larder")).command("or another root", another)
        }
        Error::Malformed { path: file, .. } => {
            let finding = Finding::error(Subject::Format, said).at(file);
            let aside = shell::command(["mv", "--", file.as_str(), &format!("{file}.damaged")]);
            finding.command("restore it, or have it made anew: what is stored may then count as absent", aside)
        }
        _ => {
            let finding = Finding::error(Subject::Root, said).at(path);
            let look = shell::command(["ls", "-la", "--", path.as_str()]);
            finding.command("see what is there", look).command("or choose another root", another)
        }
    }
}
