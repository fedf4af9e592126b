//! Other processes that want the same lock: the child's side and the parent's.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use clap::ValueEnum;
use larder_lock::{Locks, Mode, Options, Wait};
use larder_system::{Clock as _, Disk as _, SystemClock, SystemDisk};

use crate::pairs::nanoseconds;
use crate::raw::LockFile;
use crate::run::Error;

/// No row waits longer; a wait that does is a defect and ends the run.
const WAIT_MAX: Duration = Duration::from_secs(30);
const NAME: &str = "contended";
const READY: &str = "waiting";

/// Which lock is contended for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum With {
    /// A bare `flock`, whose wait has no bound
    Flock,
    /// larder's, with a deadline
    Larder,
}

/// What a contending process is told.
#[derive(Debug, clap::Args)]
pub(crate) struct Contend {
    /// The folder of the lock
    #[arg(long)]
    folder: Utf8PathBuf,
    /// The kind of lock
    #[arg(long)]
    with: With,
    /// How long each hold lasts, in microseconds
    #[arg(long)]
    hold_us: u64,
}

/// A lock, of either kind.
pub(crate) enum Lock {
    Flock(LockFile),
    Larder(Locks),
}

impl Lock {
    pub(crate) fn open(with: With, folder: &Utf8Path) -> Result<Self, Error> {
        let failed = |source| Error::io("open the locks in", folder, source);
        Ok(match with {
            With::Flock => Self::Flock(LockFile::open(folder.join(NAME).as_str()).map_err(failed)?),
            With::Larder => {
                let disk = Arc::new(SystemDisk::new());
                let handle = Arc::new(disk.open_root(folder.as_std_path()).map_err(failed)?);
                let options = Options::new().kept_descriptors(1);
                Self::Larder(Locks::in_folder(disk, Arc::new(SystemClock::new()), handle, options))
            }
        })
    }

    /// Does `act` while the lock is held.
    pub(crate) fn hold<T>(&self, act: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        match self {
            Self::Flock(file) => {
                let failed = |source| Error::io("flock", Utf8Path::new(NAME), source);
                file.lock().map_err(failed)?;
                let done = act();
                file.unlock().map_err(failed)?;
                done
            }
            Self::Larder(locks) => {
                let wait = Wait::up_to(WAIT_MAX);
                let guard =
                    locks.acquire(NAME, Mode::Exclusive, &wait).map_err(|error| Error::larder("lock", error))?;
                let done = act();
                drop(guard);
                done
            }
        }
    }
}

/// Takes the lock once for each line read, and answers when it was had and let go, by the clock all processes share.
pub(crate) fn serve(contend: &Contend) -> Result<(), Error> {
    let lock = Lock::open(contend.with, &contend.folder)?;
    let clock = SystemClock::new();
    let hold = Duration::from_micros(contend.hold_us);
    for line in std::io::stdin().lock().lines() {
        line.map_err(|source| Error::io("read from", Utf8Path::new("the parent"), source))?;
        println!("{READY}");
        let (had, left) = lock.hold(|| {
            let had = clock.monotonic();
            // busy, so that the hold is as long as it says and no timer's slack is counted
            while clock.monotonic().saturating_sub(had) < hold {
                std::hint::spin_loop();
            }
            Ok((had, clock.monotonic()))
        })?;
        println!("{} {}", nanoseconds(had), nanoseconds(left));
    }
    Ok(())
}

/// A contending process, as its parent sees it. It ends when it is dropped.
pub(crate) struct Contender {
    process: std::process::Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Contender {
    pub(crate) fn start(with: With, folder: &Utf8Path, hold: Duration) -> Result<Self, Error> {
        let failed = |source| Error::io("start a contender for", folder, source);
        let program = std::env::current_exe().map_err(failed)?;
        let with = with.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
        let mut process = Command::new(program)
            .args(["contend", "--folder", folder.as_str(), "--with", &with])
            .args(["--hold-us", &hold.as_micros().to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let input = process.stdin.take();
        let broken = || Error::Contender { said: "nothing: it has no output".to_owned() };
        let output = BufReader::new(process.stdout.take().ok_or_else(broken)?);
        Ok(Self { process, input, output })
    }

    /// Lets it ask for the lock; returns when it is about to.
    pub(crate) fn ask(&mut self) -> Result<(), Error> {
        if let Some(input) = &mut self.input {
            writeln!(input).map_err(|source| Error::io("write to", Utf8Path::new("a contender"), source))?;
        }
        match self.line()?.trim() {
            READY => Ok(()),
            said => Err(Error::Contender { said: said.to_owned() }),
        }
    }

    /// When it had the lock and when it let go, in nanoseconds of the monotonic clock.
    pub(crate) fn answer(&mut self) -> Result<(u64, u64), Error> {
        let line = self.line()?;
        let mut numbers = line.split_whitespace().map(str::parse::<u64>);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(had)), Some(Ok(left))) => Ok((had, left)),
            _ => Err(Error::Contender { said: line }),
        }
    }

    fn line(&mut self) -> Result<String, Error> {
        let mut line = String::new();
        let read = self.output.read_line(&mut line);
        read.map_err(|source| Error::io("read from", Utf8Path::new("a contender"), source))?;
        Ok(line)
    }
}

impl Drop for Contender {
    fn drop(&mut self) {
        // it ends when it hears nothing more; were it stuck, the kill ends it
        self.input = None;
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
