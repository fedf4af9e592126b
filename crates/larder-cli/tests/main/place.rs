//! A cache of a test's own, the command to ask it with, and events to wait for.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

use larder_testkit::{Scratch, with_default_signals};
use rustix::process::{Pid, Signal};

/// How long a test waits for what must come.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// A cache, and files beside it.
pub(crate) struct Place {
    scratch: Scratch,
}

/// A larder that runs; killed when a test fails before its end.
pub(crate) struct Running(Option<Child>);

/// What a larder came to.
pub(crate) struct Done {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Place {
    pub(crate) fn new(name: &str) -> Self {
        Self { scratch: Scratch::new(name) }
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.scratch.join("root")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.scratch.join(name)
    }

    /// The command, in the test's folder, away from any terminal's foreground.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = with_default_signals(env!("CARGO_BIN_EXE_larder"));
        command.args(words).current_dir(self.scratch.path()).process_group(0);
        command.env("LARDER_ROOT", self.root()).env_remove("LARDER_LOCK_TIMEOUT").env_remove("NO_COLOR");
        command.env("XDG_CONFIG_HOME", self.path("configurations")).env_remove("LARDER_CONFIG");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs it to its end.
    pub(crate) fn larder(&self, words: &[&str]) -> Done {
        self.command(words).output().expect("larder runs").into()
    }

    /// Runs it, with this on its standard input.
    pub(crate) fn larder_reading(&self, words: &[&str], input: &[u8]) -> Done {
        let mut child = self.command(words).stdin(Stdio::piped()).spawn().expect("larder runs");
        let mut pipe = child.stdin.take().expect("its input is a pipe");
        pipe.write_all(input).expect("larder reads");
        drop(pipe);
        child.wait_with_output().expect("larder ends").into()
    }

    pub(crate) fn spawn(&self, words: &[&str]) -> Running {
        Running(Some(self.command(words).spawn().expect("larder runs")))
    }

    /// Runs it with a file as its standard output, and gives the file's path.
    #[expect(clippy::disallowed_methods, reason = "a file of the test's, outside any cache")]
    pub(crate) fn spawn_into_file(&self, words: &[&str], name: &str) -> (Running, PathBuf) {
        let path = self.path(name);
        let file = File::create(&path).expect("the file is made");
        (Running(Some(self.command(words).stdout(file).spawn().expect("larder runs"))), path)
    }

    /// `larder run`, with these flags, of this shell script.
    pub(crate) fn run<'a>(flags: &[&'a str], script: &'a str) -> Vec<&'a str> {
        [&["run"], flags, &["--", "sh", "-c", script]].concat()
    }

    /// A pipe with a name: a script and the test meet there.
    pub(crate) fn fifo(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        let made = Command::new("mkfifo").arg(&path).status().expect("mkfifo runs");
        assert!(made.success(), "no fifo");
        path
    }

    /// Writes a file of the test's.
    #[expect(clippy::disallowed_methods, reason = "a file of the test's, outside any cache")]
    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("the file is written");
    }

    /// How many helpers refresh documents of this place now.
    pub(crate) fn helpers(&self) -> usize {
        let folders = std::fs::read_dir("/proc").expect("Linux lists its processes").flatten();
        let is_helper = |entry: &std::fs::DirEntry| {
            let words = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let folder = std::fs::read_link(entry.path().join("cwd")).unwrap_or_default();
            folder == self.scratch.path() && words.split(|byte| *byte == 0).any(|word| word == b"--behind")
        };
        folders.filter(is_helper).count()
    }

    /// How often a script said `printf x >> calls`.
    pub(crate) fn calls(&self) -> usize {
        std::fs::read(self.path("calls")).map_or(0, |calls| calls.len())
    }

    pub(crate) fn wait_for_calls(&self, count: usize) {
        wait_until("a call", || self.calls() >= count);
    }
}

/// Reads a line that a script writes to a fifo.
pub(crate) fn hear(fifo: &Path) -> String {
    let mut line = String::new();
    BufReader::new(File::open(fifo).expect("the fifo opens")).read_line(&mut line).expect("a line comes");
    line.trim().to_owned()
}

/// Lets one reader of a fifo go on.
#[expect(clippy::disallowed_methods, reason = "a fifo of the test's, outside any cache")]
pub(crate) fn release(fifo: &Path) {
    let mut pipe = File::options().write(true).open(fifo).expect("the fifo opens");
    pipe.write_all(b"go\n").expect("somebody reads");
}

/// Looks until it is so.
#[expect(clippy::disallowed_methods, reason = "the kernel tells of blocked processes only to those who look")]
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < WAIT_MAX, "{what} does not come");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Whether a process waits for a lock, as the kernel's table shows it.
fn is_blocked(pid: u32) -> bool {
    let pid = pid.to_string();
    let locks = std::fs::read_to_string("/proc/locks").expect("Linux has a table of locks");
    locks.lines().any(|line| line.contains("->") && line.split_whitespace().any(|word| word == pid))
}

/// Whether a process is there and has not ended.
pub(crate) fn is_alive(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

impl Running {
    fn child(&mut self) -> &mut Child {
        self.0.as_mut().expect("it was not waited for")
    }

    pub(crate) fn pid(&mut self) -> u32 {
        self.child().id()
    }

    pub(crate) fn output(&mut self) -> ChildStdout {
        self.child().stdout.take().expect("its output is a pipe")
    }

    pub(crate) fn wait_until_blocked(&mut self) {
        let pid = self.pid();
        wait_until("the wait for another's lock", || is_blocked(pid));
    }

    /// Whether it comes to wait for a lock, before it ends.
    pub(crate) fn is_blocked_before_its_end(&mut self) -> bool {
        let pid = self.pid();
        let mut is_seen = false;
        wait_until("a wait for another's lock, or the end", || {
            is_seen = is_blocked(pid);
            is_seen || !is_alive(&pid.to_string())
        });
        is_seen
    }

    pub(crate) fn signal(&mut self, signal: Signal) {
        let pid = Pid::from_child(self.child());
        rustix::process::kill_process(pid, signal).expect("it runs");
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child().try_wait().expect("a parent may ask").is_none()
    }

    /// Waits for its end, reading all that it says.
    pub(crate) fn done(mut self) -> Done {
        self.0.take().expect("it was not waited for").wait_with_output().expect("larder ends").into()
    }

    /// Kills it, and waits for its end without reading: what it started may keep its pipes.
    pub(crate) fn kill(mut self) {
        let mut child = self.0.take().expect("it was not waited for");
        child.kill().expect("it runs");
        child.wait().expect("it ends");
    }

    /// Its exit code, when its streams are somebody else's.
    pub(crate) fn code(mut self) -> Option<i32> {
        self.0.take().expect("it was not waited for").wait().expect("larder ends").code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl From<Output> for Done {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

impl Done {
    #[track_caller]
    pub(crate) fn is(&self, code: i32, out: &str) {
        assert_eq!((self.code, self.out.as_str()), (Some(code), out), "standard error: {}", self.err);
    }

    #[track_caller]
    pub(crate) fn says(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "standard error: {}", self.err);
        for word in words {
            assert!(self.err.contains(word), "{word:?} is not in {:?}", self.err);
        }
        assert!(!self.err.contains("panicked"), "{}", self.err);
    }
}

/// Reads so much, and no more.
pub(crate) fn read_exactly(from: &mut ChildStdout, count: usize) {
    let mut bytes = vec![0; count];
    from.read_exact(&mut bytes).expect("as much comes");
}
