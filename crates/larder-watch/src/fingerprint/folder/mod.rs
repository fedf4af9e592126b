//! Looking at somebody's files: the one place where this crate opens any. It only reads, follows no link, and opens nothing
//! that could wait.
//!
//! It does not go through `larder_system::Disk`, which is the door to the cache's own folder: these are the user's files.

#[cfg(any(not(unix), test))]
mod portable;
#[cfg(unix)]
mod unix;

#[cfg(not(unix))]
pub(super) use portable::{Folder, Same, bytes};
#[cfg(unix)]
pub(super) use unix::{Folder, Same, bytes};

#[cfg(all(test, unix))]
mod tests {
    use super::super::stamp::Kind;
    use super::{portable, unix};

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the user's files, as a user makes them")]
    fn what_the_portable_code_sees_is_what_unix_sees() {
        let scratch = larder_testkit::Scratch::new("folders");
        std::fs::create_dir(scratch.join("folder")).unwrap();
        std::fs::write(scratch.join("file"), "text").unwrap();
        std::os::unix::fs::symlink("file", scratch.join("link")).unwrap();
        let one = unix::Folder::top().folder(scratch.path().as_os_str()).unwrap();
        let other = portable::Folder::top().folder(scratch.path().as_os_str()).unwrap();
        let names = |names: Option<Vec<std::ffi::OsString>>| {
            let mut names = names.unwrap();
            names.sort();
            names
        };
        let all = names(one.names(3).unwrap());
        assert_eq!(all, names(other.names(3).unwrap()));
        assert_eq!((one.names(2).unwrap(), other.names(2).unwrap()), (None, None));
        for name in &all {
            let (one, other) = (one.stamp(name).unwrap(), other.stamp(name).unwrap());
            assert_eq!((one.kind, one.size, one.modified_ns), (other.kind, other.size, other.modified_ns), "{name:?}");
        }
        assert_eq!(one.stamp("none".as_ref()).unwrap().kind, Kind::Absent);
        assert_eq!(other.stamp("none".as_ref()).unwrap().kind, Kind::Absent);
        assert_eq!(one.stamp("file/none".as_ref()).unwrap().kind, Kind::Absent);
        assert_eq!(one.target("link".as_ref()).unwrap(), other.target("link".as_ref()).unwrap());
        assert!(one.folder("link".as_ref()).is_err() && other.folder("link".as_ref()).is_err());
        assert!(one.file("link".as_ref()).is_err() && other.file("link".as_ref()).is_err());
        assert!(one.file("file".as_ref()).is_ok() && other.file("file".as_ref()).is_ok());
        let (root, folder) = (scratch.path(), scratch.join("folder"));
        let stamp = one.stamp("folder".as_ref()).unwrap();
        for (path, is_it) in [(root, false), (&*folder, true), (&*scratch.join("none"), false)] {
            assert_eq!(unix::Same::of(path).is(&stamp, &folder), is_it, "{}", path.display());
            assert_eq!(portable::Same::of(path).is(&stamp, &folder), is_it, "{}", path.display());
        }
    }
}
