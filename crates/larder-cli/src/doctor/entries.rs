//! What is stored: a sample of it read and checked, what was set aside, and what dead writers have left.

use std::time::Duration;

use larder_storage::{Damage, Verified};
use larder_system::{Clock as _, SystemClock};

use super::finding::{Finding, Seen, Subject};
use super::scene::Scene;
use super::{clock, shell};
use crate::text::span;

/// How many entries are read, and how many bytes of them, and for how long: others each time.
const ENTRIES_MAX: u64 = 256;
const BYTES_MAX: u64 = 64 * 1024 * 1024;
const TIME_MAX: Duration = Duration::from_millis(300);
/// How many damaged files are told one by one.
const TOLD_MAX: usize = 10;
/// Leftovers that take more than this are worth a warning; fewer go with the next writer.
const LEFTOVERS_MAX: u64 = 16 * 1024 * 1024;

pub(super) fn check(scene: &Scene, seen: &mut Seen) {
    let (Ok(root), Some(store)) = (&scene.root, scene.store()) else { return };
    let time = SystemClock::new();
    let begun = time.monotonic();
    let verified = store.verify_some(&|seen: &Verified| {
        seen.whole + seen.damaged + seen.newer < ENTRIES_MAX
            && seen.bytes < BYTES_MAX
            && time.monotonic().saturating_sub(begun) < TIME_MAX
    });
    let verified = match verified {
        Ok(verified) => verified,
        Err(error) => {
            let finding = Finding::error(Subject::Entries, crate::exit::chain(&error)).at(root);
            seen.add(finding.command("see what is there", shell::command(["ls", "-la", "--", root.as_str()])));
            return;
        }
    };
    let sample = if verified.stopped { "a sample" } else { "all" };
    seen.fact(format!("{} documents ({sample}) are whole", verified.whole));
    let told = verified.damage.iter().take(TOLD_MAX);
    seen.findings.extend(told.map(|damage| damaged(scene, damage)));
    let more = verified.damaged.saturating_sub(TOLD_MAX as u64);
    if more > 0 {
        let finding = Finding::error(Subject::Entries, format!("{more} more entries in {root} are damaged"));
        seen.add(finding.at(root).command("see them all", scene.larder(&["verify"])));
    }
    if verified.newer > 0 {
        let what = format!("{} documents are of a newer larder, and absent for this one", verified.newer);
        seen.add(Finding::note(Subject::Entries, what).at(root).remedy("use a newer larder"));
    }
    let latest = verified.latest.and_then(|latest| clock::ahead(time.wall(), latest));
    if let Some(finding) = latest {
        let remedy = "if it is right now, have them fetched anew";
        seen.add(finding.at(root).command(remedy, scene.larder(&["invalidate", "--all"])));
    }
}

fn damaged(scene: &Scene, damage: &Damage) -> Finding {
    let key = damage.key.as_ref().map(larder_storage::Key::as_str);
    let path = damage.path.to_string_lossy();
    let what = match key {
        Some(key) => format!("the entry of {key} is damaged: {}", damage.reason),
        None => format!("entries/{path} is damaged: {}", damage.reason),
    };
    let finding = Finding::error(Subject::Entries, what).of_key(key);
    let finding = match &scene.root {
        Ok(root) => finding.at(root.join("entries").join(path.as_ref())),
        Err(_) => finding,
    };
    finding.command("set all damaged ones aside, so that they are fetched again", scene.larder(&["verify", "--repair"]))
}

pub(super) fn quarantine(scene: &Scene, seen: &mut Seen) {
    let (Ok(root), Some(store)) = (&scene.root, scene.store()) else { return };
    let Ok(aside) = store.set_aside_files() else { return };
    if aside.files == 0 {
        return;
    }
    let folder = root.join("quarantine");
    let now = SystemClock::new().wall();
    let age = aside.oldest.and_then(|oldest| now.duration_since(oldest).ok());
    let since = age.map(|age| format!(", the first {} ago", span(age))).unwrap_or_default();
    let what = format!(
        "{} damaged files ({} bytes) were set aside in {folder}{since}: a disk, or a program that is not larder, may damage more",
        aside.files, aside.bytes
    );
    let finding = Finding::warning(Subject::Quarantine, what).at(&folder);
    let finding = finding.command("look at them", shell::command(["ls", "-l", "--", folder.as_str()]));
    // the folder stays: whoever has it open goes on with it
    seen.add(finding.command("then remove them", format!("rm -r -- {}/*", shell::word(folder.as_str()))));
}

pub(super) fn leftovers(scene: &Scene, seen: &mut Seen) {
    let (Ok(root), Some(store)) = (&scene.root, scene.store()) else { return };
    let Ok(leftovers) = store.leftovers() else { return };
    seen.fact(format!("{} temporary files are in use", leftovers.in_use));
    if leftovers.dead == 0 {
        return;
    }
    let folder = root.join("tmp");
    let what = format!(
        "writers that were killed have left {} files ({} bytes) in {folder}",
        leftovers.dead, leftovers.dead_bytes
    );
    let finding = if leftovers.dead_bytes > LEFTOVERS_MAX {
        Finding::warning(Subject::Leftovers, what)
    } else {
        Finding::note(Subject::Leftovers, what)
    };
    seen.add(finding.at(&folder).command("remove them now; the next writer does it too", scene.larder(&["gc"])));
}
