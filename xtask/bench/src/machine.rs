//! What the numbers were measured on.

use std::fmt;

use camino::Utf8Path;
use serde::Serialize;

/// The facts that decide what absolute times mean.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Machine {
    cores: usize,
    system: String,
    file_system: String,
    /// Of the last minute, before the run: above 1, others were at work, and flushes of theirs are in our times.
    #[serde(skip_serializing_if = "Option::is_none")]
    load: Option<f64>,
}

impl Machine {
    /// This machine, and the file system that `folder` is on.
    pub(crate) fn of(folder: &Utf8Path) -> Self {
        let name = rustix::system::uname();
        let part = |text: &std::ffi::CStr| text.to_string_lossy().into_owned();
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        Self {
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            system: format!("{} {} {}", part(name.sysname()), part(name.release()), part(name.machine())),
            file_system: file_system(&mounts, folder).unwrap_or("unknown").to_owned(),
            load: std::fs::read_to_string("/proc/loadavg").ok().and_then(|text| load(&text)),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cores, {}, file system {}", self.cores, self.system, self.file_system)?;
        match self.load {
            Some(load) if load > 1.0 => write!(f, ", load {load:.2}: others are at work, do not trust times of writes"),
            Some(load) => write!(f, ", load {load:.2}"),
            None => Ok(()),
        }
    }
}

/// The load of the last minute, from the text of `/proc/loadavg`.
fn load(text: &str) -> Option<f64> {
    text.split(' ').next()?.parse().ok()
}

/// The type of the innermost mount that holds `folder`, from the text of `/proc/self/mountinfo`.
fn file_system<'a>(mounts: &'a str, folder: &Utf8Path) -> Option<&'a str> {
    let around = mounts.lines().filter_map(|line| {
        let (place, kind) = line.split_once(" - ")?;
        let place = Utf8Path::new(place.split(' ').nth(4)?);
        folder.starts_with(place).then_some((place.components().count(), kind.split(' ').next()?))
    });
    // of two mounts on one place the later one is seen
    around.max_by_key(|(depth, _)| *depth).map(|(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/root rw\n\
                          30 22 0:25 / /mnt/fast rw shared:9 master:1 - tmpfs tmpfs rw\n";

    #[test]
    fn the_innermost_mount_around_the_folder_names_the_file_system() {
        assert_eq!(file_system(MOUNTS, Utf8Path::new("/mnt/fast/bench")), Some("tmpfs"));
        assert_eq!(file_system(MOUNTS, Utf8Path::new("/mnt/faster")), Some("ext4"));
    }

    #[test]
    fn the_load_is_the_first_number() {
        assert_eq!(load("2.50 1.29 0.60 1/97 4242\n"), Some(2.5));
        assert_eq!(load(""), None);
    }

    #[test]
    fn without_a_list_of_mounts_nothing_is_claimed() {
        assert_eq!(file_system("", Utf8Path::new("/mnt")), None);
    }
}
