//! The simulated disk answers as the real one: random calls on both, each answer compared.

use std::io;
use std::path::Path;

use larder_system::{Disk, Handle, Kind, LockMode, Metadata, Open, Replace, SystemDisk};
use larder_testkit::{Scratch, Seed, SimDisk, errno};

const NAMES: [&str; 5] = ["a", "b", "c", "folder", "other"];
const MODES: [Open; 6] =
    [Open::READ, Open::FOLDER, Open::CREATE_NEW, Open::CREATE_OR_OPEN, Open::READ_WRITE, Open::APPEND];
/// Names that are none, and paths where a name is asked for.
const ODD: [&str; 5] = [".", "..", "a/b", "/a", "folder/a"];

/// One disk with what a test has open on it.
struct Side<'a> {
    disk: &'a dyn Disk,
    folders: Vec<Handle>,
    files: Vec<Handle>,
}

/// A call with all its choices made, so that both disks get the same.
#[derive(Clone, Debug)]
enum Step {
    Open { folder: usize, path: String, how: Open },
    Close { file: usize },
    Read { file: usize, length: usize },
    ReadAt { file: usize, length: usize, offset: u64 },
    Write { file: usize, bytes: Vec<u8> },
    WriteAt { file: usize, bytes: Vec<u8>, offset: u64 },
    Position { file: usize },
    SeekEnd { file: usize },
    SetLength { file: usize, length: u64 },
    Allocate { file: usize, length: u64 },
    Mode { file: usize, mode: u32 },
    ModeAt { folder: usize, name: String, mode: u32 },
    Metadata { file: usize },
    MetadataAt { folder: usize, name: String },
    Rename { from: (usize, String), to: (usize, String), replace: Replace },
    Link { from: (usize, String), to: (usize, String) },
    RemoveFile { folder: usize, name: String },
    RemoveFolder { folder: usize, name: String },
    MakeFolder { folder: usize, name: String },
    List { folder: usize },
    Lock { file: usize, mode: LockMode },
    Unlock { file: usize },
    Sync { file: usize },
}

impl Step {
    fn random(seed: &mut Seed) -> Self {
        let (folder, file, length) = (seed.index(4), seed.index(4), seed.index(40));
        let offset = seed.below(60);
        let bytes = seed.bytes(length);
        let name = name(seed);
        match seed.below(24) {
            0..=4 => {
                let how = *seed.pick(&MODES);
                let path = if seed.chance(1, 4) { format!("folder/{}", seed.pick(&NAMES)) } else { name };
                Self::Open { folder, path, how }
            }
            5 => Self::Close { file },
            6 => Self::Read { file, length },
            7 => Self::ReadAt { file, length, offset },
            8 => Self::Write { file, bytes },
            9 => Self::WriteAt { file, bytes, offset },
            10 if seed.chance(1, 2) => Self::SeekEnd { file },
            10 => Self::Position { file },
            11 => Self::SetLength { file, length: offset },
            12 => Self::Allocate { file, length: offset + 1 },
            13 => Self::Mode { file, mode: if seed.chance(1, 2) { 0o600 } else { 0o640 } },
            14 if seed.chance(1, 4) => {
                Self::ModeAt { folder, name, mode: if seed.chance(1, 2) { 0o700 } else { 0o750 } }
            }
            14 => Self::Metadata { file },
            15 => Self::MetadataAt { folder, name },
            16 | 17 => {
                let replace = if seed.chance(1, 2) { Replace::Yes } else { Replace::No };
                Self::Rename { from: (folder, name), to: (seed.index(4), self::name(seed)), replace }
            }
            18 => Self::Link { from: (folder, name), to: (seed.index(4), self::name(seed)) },
            19 => Self::RemoveFile { folder, name },
            20 => Self::RemoveFolder { folder, name },
            21 => Self::MakeFolder { folder, name },
            22 => Self::List { folder },
            _ => match seed.below(4) {
                0 => Self::Unlock { file },
                1 => Self::Sync { file },
                2 => Self::Lock { file, mode: LockMode::Shared },
                _ => Self::Lock { file, mode: LockMode::Exclusive },
            },
        }
    }
}

fn name(seed: &mut Seed) -> String {
    let names: &[&str] = if seed.chance(1, 20) { &ODD } else { &NAMES };
    (*seed.pick(names)).to_owned()
}

/// What the disks must agree on; a folder's length and links differ between real file systems, too.
fn shown(found: Metadata) -> String {
    match found.kind {
        Kind::File => format!("file {} {} {:o}", found.length, found.links, found.mode),
        kind => format!("{kind:?} {:o}", found.mode),
    }
}

impl Side<'_> {
    fn folder(&self, at: usize) -> &Handle {
        &self.folders[at % self.folders.len()]
    }

    fn file(&self, at: usize) -> io::Result<&Handle> {
        self.files.get(at % self.files.len().max(1)).ok_or_else(|| io::Error::from_raw_os_error(errno::ENOENT))
    }

    fn answer(&mut self, step: &Step) -> Result<String, Option<i32>> {
        self.take(step).map_err(|error| error.raw_os_error())
    }

    /// Makes the call, and puts all that the two disks must agree on into words.
    fn take(&mut self, step: &Step) -> io::Result<String> {
        let disk = self.disk;
        match step {
            Step::Open { .. } | Step::Close { .. } => self.open_or_close(step),
            Step::Read { file, length } => {
                let mut content = vec![0; *length].into_boxed_slice().into_vec();
                content.clear();
                let read = disk.read(self.file(*file)?, &mut content)?;
                Ok(format!("{read} {content:?}"))
            }
            Step::ReadAt { file, length, offset } => {
                let mut content = vec![0; *length];
                let read = disk.read_at(self.file(*file)?, &mut content, *offset)?;
                Ok(format!("{read} {content:?}"))
            }
            Step::Write { file, bytes } => {
                let (one, other) = bytes.split_at(bytes.len() / 2);
                let parts = [io::IoSlice::new(one), io::IoSlice::new(other)];
                Ok(disk.write(self.file(*file)?, &parts)?.to_string())
            }
            Step::WriteAt { file, bytes, offset } => Ok(disk.write_at(self.file(*file)?, bytes, *offset)?.to_string()),
            Step::Position { file } => Ok(disk.position(self.file(*file)?)?.to_string()),
            Step::SeekEnd { file } => match disk.metadata(self.file(*file)?)?.kind {
                Kind::File => Ok(disk.seek_end(self.file(*file)?)?.to_string()),
                // Where a folder ends is a secret of its file system.
                _ => Ok(String::new()),
            },
            Step::SetLength { file, length } => disk.set_length(self.file(*file)?, *length).map(|()| String::new()),
            Step::Allocate { file, length } => disk.allocate(self.file(*file)?, *length).map(|()| String::new()),
            Step::Mode { file, mode } => disk.set_mode(self.file(*file)?, *mode).map(|()| String::new()),
            Step::Sync { file } => disk.sync(self.file(*file)?).map(|()| String::new()),
            Step::Metadata { file } => Ok(shown(disk.metadata(self.file(*file)?)?)),
            Step::Lock { file, mode } => {
                // A lock is never converted: that is no call that larder makes.
                disk.unlock(self.file(*file)?)?;
                Ok(disk.try_lock(self.file(*file)?, *mode)?.to_string())
            }
            Step::Unlock { file } => disk.unlock(self.file(*file)?).map(|()| String::new()),
            _ => self.take_by_name(step),
        }
    }

    fn open_or_close(&mut self, step: &Step) -> io::Result<String> {
        match step {
            Step::Open { folder, path, how } => {
                let opened = self.disk.open(self.folder(*folder), Path::new(path), *how)?;
                let (handles, room) = match how {
                    &Open::FOLDER => (&mut self.folders, 4),
                    _ => (&mut self.files, 4),
                };
                // The root stays open.
                if handles.len() == room {
                    let surplus = handles.remove(1);
                    if how != &Open::FOLDER {
                        self.disk.unlock(&surplus)?;
                    }
                    self.disk.close(surplus);
                }
                handles.push(opened);
            }
            Step::Close { file } if !self.files.is_empty() => {
                let file = self.files.remove(file % self.files.len());
                // A close alone lets go of the lock only when no child that another test is just forking has a copy.
                self.disk.unlock(&file)?;
                self.disk.close(file);
            }
            _ => {}
        }
        Ok(String::new())
    }

    fn take_by_name(&self, step: &Step) -> io::Result<String> {
        let disk = self.disk;
        match step {
            Step::MetadataAt { folder, name } => Ok(shown(disk.metadata_at(self.folder(*folder), Path::new(name))?)),
            Step::ModeAt { folder, name, mode } => {
                disk.set_mode_at(self.folder(*folder), Path::new(name), *mode).map(|()| String::new())
            }
            Step::Rename { from, to, replace } => {
                let (from_at, to_at) = (self.folder(from.0), self.folder(to.0));
                disk.rename(from_at, Path::new(&from.1), to_at, Path::new(&to.1), *replace).map(|()| String::new())
            }
            Step::Link { from, to } => {
                let (from_at, to_at) = (self.folder(from.0), self.folder(to.0));
                disk.link(from_at, Path::new(&from.1), to_at, Path::new(&to.1)).map(|()| String::new())
            }
            Step::RemoveFile { folder, name } => {
                disk.remove_file(self.folder(*folder), Path::new(name)).map(|()| String::new())
            }
            Step::RemoveFolder { folder, name } => {
                disk.remove_folder(self.folder(*folder), Path::new(name)).map(|()| String::new())
            }
            Step::MakeFolder { folder, name } => {
                disk.make_folder(self.folder(*folder), Path::new(name)).map(|()| String::new())
            }
            Step::List { folder } => {
                let again = disk.open(self.folder(*folder), Path::new("."), Open::FOLDER)?;
                let mut names = Vec::new();
                while disk.list(&again, &mut names)? {}
                names.sort_by(|one, other| one.name.cmp(&other.name));
                Ok(format!("{names:?}"))
            }
            other => panic!("{other:?} has no name"),
        }
    }
}

#[test]
fn random_calls_get_the_same_answers_from_the_real_and_the_simulated_disk() {
    let mut seed = Seed::new();
    for _ in 0..60 {
        let scratch = Scratch::new("agreement");
        let (system, sim) = (SystemDisk::new(), SimDisk::new());
        let roots = [
            system.open_root(scratch.path()).expect("the folder is there"),
            sim.open_root(Path::new("/")).expect("a simulated disk has a root"),
        ];
        let [real_root, simulated_root] = roots;
        let mut real = Side { disk: &system, folders: vec![real_root], files: Vec::new() };
        let mut simulated = Side { disk: &sim, folders: vec![simulated_root], files: Vec::new() };
        for number in 0..300 {
            let step = Step::random(&mut seed);
            let (expected, found) = (real.answer(&step), simulated.answer(&step));
            assert_eq!(found, expected, "step {number}: {step:?}");
        }
    }
}
