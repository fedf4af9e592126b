//! Verified reads from disk: the whole of what a reader needs, beside the calls that move the bytes.

use std::fs::File;
use std::os::fd::AsFd as _;
use std::sync::Arc;

use larder_system::SystemDisk;
use larder_testkit::FaultDisk;

use super::store::{Cupboard, body, key};
use crate::pairs::pairs;
use crate::raw;
use crate::report::Row;
use crate::run::{Context, Error};

const LIMIT: &str = "openat+read+close+pread";
/// `openat`, `read`, `close`, and one look at the stamps.
const CALLS_MAX: u64 = 4;

pub(crate) fn rows(context: &Context) -> Result<Vec<Row>, Error> {
    Ok(vec![
        ratio(context, "verified hit 4 KiB", 4 << 10, 1.25)?,
        ratio(context, "verified hit 64 KiB", 64 << 10, 1.4)?,
        calls(context)?,
    ])
}

fn ratio(context: &Context, name: &'static str, length: usize, ratio_max: f64) -> Result<Row, Error> {
    let path = context.scratch.folder(name)?;
    let cupboard = Cupboard::open(&path, Arc::new(SystemDisk::new()))?;
    let key = key("bench/hit")?;
    cupboard.put_relaxed(&key, &body(length))?;
    let file = cupboard.only_file()?;
    let failed = |source| Error::io("read", &path, source);
    let entries = raw::folder(cupboard.entries().as_str()).map_err(failed)?;
    let stamp = File::open(path.join("format.yaml")).map_err(failed)?;
    let mut buffer = Vec::with_capacity(file.bytes.len() + 1);
    let limit = |_| {
        let read = raw::read(entries.as_fd(), file.path.as_str(), &mut buffer).map_err(failed)?;
        if read != file.bytes.len() {
            return Err(failed(std::io::ErrorKind::UnexpectedEof.into()));
        }
        raw::glance(stamp.as_fd()).map_err(failed)
    };
    let taken = pairs(context.samples() * 5, limit, |_| cupboard.get(&key, length))?;
    Ok(Row::ratio(name, LIMIT, taken, ratio_max))
}

fn calls(context: &Context) -> Result<Row, Error> {
    let path = context.scratch.folder("hit calls")?;
    let disk = FaultDisk::over(Arc::new(SystemDisk::new()));
    let cupboard = Cupboard::open(&path, Arc::new(disk.clone()))?;
    let key = key("bench/hit")?;
    cupboard.put_relaxed(&key, &body(4 << 10))?;
    // the first read opens what later ones share
    cupboard.get(&key, 4 << 10)?;
    let mut least = u64::MAX;
    // twice a second a read also looks whether the root is still the folder of that name: not in each of three
    for _ in 0..3 {
        disk.reset();
        cupboard.get(&key, 4 << 10)?;
        least = least.min(disk.count());
    }
    Ok(Row::count("verified hit 4 KiB: system calls", least, CALLS_MAX))
}
