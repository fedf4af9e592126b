//! Room: on the disk, within the bounds, and whether the two agree.

use camino::Utf8Path;
use larder_storage::{Bounds, Counted, Occupied, Prefix, Store};
use larder_system::{Clock as _, FileSystem, SystemClock};

use super::file_system::system_of;
use super::finding::{Finding, Seen, Subject};
use super::scene::Scene;

/// How long entries are counted where nobody has counted them.
const COUNT_BOUND: std::time::Duration = std::time::Duration::from_millis(200);
/// Entries take whole blocks of this many bytes.
const BLOCK: u64 = 4096;

/// The disk of the root is full.
pub(super) fn full(path: &Utf8Path, gc: &str) -> Finding {
    let what = format!("the disk is full: nothing more can be stored in {path}");
    make_room(Finding::error(Subject::Space, what).at(path), gc)
}

/// The command that makes the cache small.
pub(super) fn shrink(scene: &Scene) -> String {
    scene.larder(&["gc", "--bytes-max", "10MiB"])
}

/// What helps where there is no room.
pub(super) fn make_room(finding: Finding, gc: &str) -> Finding {
    finding.command("make room by storing less", gc).command("see what else takes it", "df -h; df -i")
}

pub(super) fn check(scene: &Scene, seen: &mut Seen) {
    let Ok(path) = &scene.root else { return };
    let Some(Ok(system)) = super::root::nearest(path).map(system_of) else { return };
    if super::kind::of(&system).holds_files() && !system.read_only {
        seen.findings.extend(judge_disk(path, &system, &shrink(scene)));
    }
}

fn judge_disk(path: &Utf8Path, system: &FileSystem, gc: &str) -> Option<Finding> {
    if system.available_bytes < BLOCK {
        return Some(full(path, gc));
    }
    let what = format!("the file system of {path} can hold no more files: its inodes are used up");
    let out_of_files = system.available_files == Some(0);
    out_of_files.then(|| make_room(Finding::error(Subject::Space, what).at(path), gc))
}

pub(super) fn bounds(scene: &Scene, seen: &mut Seen) {
    let (Ok(path), Some(loaded)) = (&scene.root, scene.loaded()) else { return };
    let limits = loaded.config.limits();
    let bounds = Bounds { bytes: limits.bytes_max, entries: limits.entries_max };
    let counted = match scene.store() {
        Some(store) => known(store),
        None => Some(Counted::default()),
    };
    let Some(counted) = counted else { return };
    seen.fact(format!("{} documents take {} bytes", counted.occupied.entries, counted.occupied.bytes));
    // whoever evicts now is about to mend it
    if !scene.store().is_some_and(|store| store.is_evicting()) {
        seen.findings.extend(judge_stored(path, bounds, &counted, &scene.larder(&["gc"])));
    }
    let Some(Ok(system)) = super::root::nearest(path).map(system_of) else { return };
    // nobody is promised a full disk twice
    if judge_disk(path, &system, "").is_none() && super::kind::of(&system).holds_files() && !system.read_only {
        seen.findings.extend(judge_promise(path, bounds, &counted.occupied, &system));
    }
}

/// What is stored; where nobody has counted it, as far as it can be counted quickly.
fn known(store: &Store) -> Option<Counted> {
    if let Ok(Some(counted)) = store.counted() {
        return Some(counted);
    }
    let (clock, mut counted) = (SystemClock::new(), Counted::default());
    let begun = clock.monotonic();
    for entry in store.list(&"".parse::<Prefix>().ok()?).ok()? {
        let length = entry.ok()?.length;
        counted.occupied.entries += 1;
        counted.occupied.bytes += length.checked_next_multiple_of(BLOCK).unwrap_or(length).max(BLOCK);
        if clock.monotonic().saturating_sub(begun) > COUNT_BOUND {
            return None;
        }
    }
    Some(counted)
}

/// Whether what is stored is within the bounds, or can get there.
fn judge_stored(path: &Utf8Path, bounds: Bounds, counted: &Counted, gc: &str) -> Option<Finding> {
    let Occupied { bytes, entries } = counted.occupied;
    let said = || {
        let of = |most: u64| if most == u64::MAX { "any number".to_owned() } else { most.to_string() };
        format!(
            "{entries} documents take {bytes} bytes in {path}, and {} and {} are allowed",
            of(bounds.entries),
            of(bounds.bytes)
        )
    };
    let raise = "or raise limits.bytes_max and limits.entries_max in the configuration";
    if counted.stuck.is_some() && bounds.are_exceeded_by(&counted.occupied) {
        let what = format!("{}: the last eviction could remove nothing more", said());
        let finding = Finding::warning(Subject::Bounds, what).at(path);
        return Some(finding.command("see whether it can by now", gc).remedy(raise));
    }
    let tenth = |most: u64| most.saturating_add(most / 10);
    let overshoot = Bounds { bytes: tenth(bounds.bytes), entries: tenth(bounds.entries) };
    overshoot.are_exceeded_by(&counted.occupied).then(|| {
        Finding::warning(Subject::Bounds, said())
            .at(path)
            .command("remove what was not used for longest", gc)
            .remedy(raise)
    })
}

/// Whether the disk has what the bounds allow.
fn judge_promise(path: &Utf8Path, bounds: Bounds, occupied: &Occupied, system: &FileSystem) -> Option<Finding> {
    let more = |most: u64, have: u64| if most == u64::MAX { 0 } else { most.saturating_sub(have) };
    let (bytes, entries) = (more(bounds.bytes, occupied.bytes), more(bounds.entries, occupied.entries));
    let said = if bytes > system.available_bytes {
        format!("{bytes} bytes more may be stored in {path}, and its disk has {} left", system.available_bytes)
    } else if let Some(files) = system.available_files
        && entries > files
    {
        format!("{entries} documents more may be stored in {path}, and its disk can hold {files} more files")
    } else {
        return None;
    };
    let finding = Finding::warning(Subject::Bounds, said).at(path);
    let finding = finding.remedy("lower limits.bytes_max or limits.entries_max in the configuration");
    Some(finding.command("or make room on the disk", "df -h; df -i"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { bytes: 100_000, entries: 10 };

    fn system(bytes: u64, files: Option<u64>) -> FileSystem {
        FileSystem { magic: None, available_bytes: bytes, available_files: files, read_only: false }
    }

    #[test]
    fn a_disk_without_blocks_or_inodes_is_full() {
        let words =
            |bytes, files| judge_disk("/c".into(), &system(bytes, files), "larder gc").map(|finding| finding.words());
        assert_eq!(words(4096, None), None);
        assert_eq!(words(4096, Some(1)), None);
        assert!(words(4095, None).unwrap().contains("the disk is full"));
        assert!(words(4096, Some(0)).unwrap().contains("inodes"));
    }

    #[test]
    fn bounds_beyond_what_the_disk_has_left_are_told() {
        let judged = |bounds, bytes, files| {
            let occupied = Occupied { bytes: 60_000, entries: 4 };
            judge_promise("/c".into(), bounds, &occupied, &system(bytes, files)).map(|finding| finding.words())
        };
        assert_eq!(judged(BOUNDS, 40_000, Some(6)), None);
        assert_eq!(judged(Bounds::UNLIMITED, 1, Some(1)), None, "nobody has promised anything");
        assert!(judged(BOUNDS, 39_999, None).unwrap().contains("40000 bytes more"));
        assert!(judged(BOUNDS, 40_000, Some(5)).unwrap().contains("6 documents more"));
    }

    #[test]
    fn what_is_beyond_the_bounds_and_their_overshoot_is_told_and_what_is_stuck_at_once() {
        let judged = |bytes, entries, is_stuck: bool| {
            let mut counted = Counted::default();
            counted.occupied = Occupied { bytes, entries };
            counted.stuck = is_stuck.then_some(counted.occupied);
            judge_stored("/c".into(), BOUNDS, &counted, "larder gc").map(|finding| finding.words())
        };
        assert_eq!(judged(110_000, 11, false), None);
        assert!(judged(110_001, 1, false).unwrap().contains("larder gc"));
        assert!(judged(1, 12, false).is_some());
        assert!(judged(100_001, 1, true).unwrap().contains("nothing more"));
        assert_eq!(judged(100_000, 10, true), None, "it has come down since");
    }
}
