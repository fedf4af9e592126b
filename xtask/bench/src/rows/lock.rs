//! Locks that nobody else wants: the cost of asking.

use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};
use larder_lock::{Locks, Mode, Options, Wait};
use larder_system::{Disk, SystemClock, SystemDisk};
use larder_testkit::FaultDisk;

use crate::pairs::pairs;
use crate::raw::LockFile;
use crate::report::Row;
use crate::run::{Context, Error};

const NAME: &str = "uncontended";
const RATIO_MAX: f64 = 1.5;

pub(crate) fn rows(context: &Context) -> Result<Vec<Row>, Error> {
    let folder = context.scratch.folder("uncontended")?;
    let mut rows = Vec::new();
    for record_holder in [false, true] {
        rows.push(ratio(context, &folder, record_holder)?);
    }
    // open, try_lock, fstat, close; and try_lock, fstat, unlock where the descriptor is kept
    rows.push(calls(&folder, Options::new().record_holder(false), "lock, opened each time: system calls", 5)?);
    let kept = Options::new().record_holder(false).kept_descriptors(1);
    rows.push(calls(&folder, kept, "lock, kept descriptor: system calls", 3)?);
    let recorded = Options::new().kept_descriptors(1);
    rows.push(calls(&folder, recorded, "lock, kept descriptor, holder recorded: system calls", 4)?);
    Ok(rows)
}

fn ratio(context: &Context, folder: &Utf8Path, record_holder: bool) -> Result<Row, Error> {
    let options = Options::new().record_holder(record_holder).kept_descriptors(1);
    let locks = locks(Arc::new(SystemDisk::new()), folder, options)?;
    cycle(&locks)?;
    let record = record_holder.then(|| largest_file(folder)).transpose()?;
    let failed = |source| Error::io("lock a file in", folder, source);
    let bare = LockFile::open(folder.join("bare").as_str()).map_err(failed)?;
    let taken = pairs(context.samples(), |_| bare.cycle(record.as_deref()).map_err(failed), |_| cycle(&locks))?;
    let (name, limit) = if record_holder {
        ("lock, kept descriptor, holder recorded", "flock+fstat+pwrite+unlock")
    } else {
        ("lock, kept descriptor", "flock+fstat+unlock")
    };
    Ok(Row::ratio(name, limit, taken, RATIO_MAX))
}

fn calls(folder: &Utf8Path, options: Options, name: &str, count_max: u64) -> Result<Row, Error> {
    let disk = FaultDisk::over(Arc::new(SystemDisk::new()));
    let locks = locks(Arc::new(disk.clone()), folder, options)?;
    // the first use opens what is kept
    cycle(&locks)?;
    disk.reset();
    cycle(&locks)?;
    Ok(Row::count(name, disk.count(), count_max))
}

fn locks(disk: Arc<dyn Disk>, folder: &Utf8Path, options: Options) -> Result<Locks, Error> {
    let handle = disk.open_root(folder.as_std_path()).map_err(|source| Error::io("open", folder, source))?;
    Ok(Locks::in_folder(disk, Arc::new(SystemClock::new()), Arc::new(handle), options))
}

fn cycle(locks: &Locks) -> Result<(), Error> {
    let guard = locks.acquire(NAME, Mode::Exclusive, &Wait::none()).map_err(|error| Error::larder("lock", error))?;
    drop(guard);
    Ok(())
}

/// The bytes of the lock file with a holder's record in it.
fn largest_file(folder: &Utf8Path) -> Result<Vec<u8>, Error> {
    let failed = |source| Error::io("read", folder, source);
    let mut largest = Vec::new();
    for entry in folder.read_dir_utf8().map_err(failed)? {
        let path: Utf8PathBuf = entry.map_err(failed)?.into_path();
        if path.is_file() {
            let bytes = std::fs::read(&path).map_err(failed)?;
            if bytes.len() > largest.len() {
                largest = bytes;
            }
        }
    }
    Ok(largest)
}
