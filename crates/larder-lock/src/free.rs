//! Waiting for the end of somebody else's lock, without taking it.

use std::io;
use std::sync::Arc;

use larder_system::{Open, retry};

use crate::acquire::{self, Error, Failure};
use crate::locks::Shared;
use crate::name::Name;
use crate::waiting::Call;
use crate::{Mode, Wait, advisory, lease};

pub(crate) fn run(shared: &Arc<Shared>, text: &str, wait: &Wait) -> Result<(), Error> {
    let name = Name::new(text).ok_or(Error::NameTooLong { length: text.len() })?;
    let mut call = Call::new(shared, &name, Mode::Shared, wait);
    match attempt(&mut call) {
        Ok(()) => {
            call.won();
            Ok(())
        }
        Err(Failure::Stopped(stop)) => Err(call.lost(stop)),
        Err(Failure::Failed(error)) => Err(error),
    }
}

fn attempt(call: &mut Call<'_>) -> Result<(), Failure> {
    if let Some(length) = call.shared.lease_length() {
        return lease::watch_until_free(call, length);
    }
    // the place in the line is given up when this returns; a mere look needs none, and must not take others of this
    // process, who look as well, for a holder
    let _turn = if call.waits() { Some(acquire::turn(call)?) } else { None };
    let (shared, path) = (call.shared, call.name.lock_file());
    for _ in 0..advisory::ATTEMPTS_MAX {
        let file = match retry(|| shared.disk.open(&shared.folder, &path, Open::READ_WRITE)) {
            Ok(file) => file,
            // retired, swept or never taken
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(advisory::open_failed(shared, &path, error).into()),
        };
        let free = match retry(|| shared.disk.try_lock(&file, Mode::Shared)) {
            Ok(true) => Some(file),
            Ok(false) => advisory::wait_for(call, file)?,
            Err(source) => {
                shared.disk.close(file);
                return Err(advisory::refused(shared, call.name, source).into());
            }
        };
        if let Some(file) = free {
            let _ = shared.disk.unlock(&file);
            shared.disk.close(file);
            return Ok(());
        }
        call.still_wanted()?;
    }
    Err(Error::Unstable { file: shared.path_of(&path), attempts: advisory::ATTEMPTS_MAX }.into())
}
