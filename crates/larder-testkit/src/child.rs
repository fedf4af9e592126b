//! Children that a test can talk to, stop and kill: the test's own program, run again in another role.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::process::{ChildStdin, Command, ExitStatus, Stdio};
use std::str::FromStr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

const ROLE: &str = "LARDER_CHILD_ROLE";
const ARGUMENT: &str = "LARDER_CHILD_ARGUMENT_";
/// Tells what a child says from what its test harness prints.
const MARK: &str = "::child:: ";
/// The test that children are run through, unless told otherwise.
const ENTRY: &str = "child_entry";
/// How long a test waits for a child before the test is called broken.
const WAIT_MAX: Duration = Duration::from_secs(120);
/// How much of a child's output is kept.
const OUTPUT_MAX: usize = 16 * 1024 * 1024;

/// What a child was given to work with.
#[derive(Debug)]
pub struct Args(BTreeMap<String, String>);

impl Args {
    /// The argument of this name.
    ///
    /// # Panics
    /// It was not given.
    pub fn get(&self, key: &str) -> &str {
        self.find(key).unwrap_or_else(|| panic!("this role needs an argument {key:?}, and was given {:?}", self.0))
    }

    /// The argument of this name, if it was given.
    pub fn find(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// The argument of this name, as a number or what else it may be read as.
    ///
    /// # Panics
    /// It was not given, or cannot be read so.
    pub fn parse<T: FromStr>(&self, key: &str) -> T {
        let text = self.get(key);
        text.parse().unwrap_or_else(|_| panic!("argument {key:?} cannot be {text:?}"))
    }
}

/// Does a child's work; call it in an ignored test of the name `child_entry` in the root of the test file.
///
/// Where this process is no child (somebody ran the ignored tests), it does nothing.
///
/// ```no_run
/// use larder_testkit::child;
///
/// // #[test]
/// // #[ignore = "a child of other tests"]
/// fn child_entry() {
///     child::run(|role, args| match role {
///         "greeter" => child::say(&format!("hello {}", args.get("whom"))),
///         other => panic!("no role {other:?}"),
///     });
/// }
/// ```
pub fn run(work: impl FnOnce(&str, &Args)) {
    let Ok(role) = std::env::var(ROLE) else { return };
    let arguments = std::env::vars().filter_map(|(name, value)| Some((name.strip_prefix(ARGUMENT)?.to_owned(), value)));
    work(&role, &Args(arguments.collect()));
}

/// Says one line to the parent; a line break in it is said as a space. A parent that no longer listens is no error.
pub fn say(line: &str) {
    let whole = format!("\n{MARK}{}\n", line.replace('\n', " "));
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(whole.as_bytes()).and_then(|()| out.flush());
}

/// Waits for the next line from the parent; `None` once the parent has gone.
pub fn hear() -> Option<String> {
    let mut line = String::new();
    match std::io::stdin().lock().read_line(&mut line) {
        Ok(0) | Err(_) => None,
        Ok(_) => Some(line.trim_end_matches(['\n', '\r']).to_owned()),
    }
}

/// A running child. Dropped, it is killed, and waited for.
#[derive(Debug)]
pub struct Child {
    process: std::process::Child,
    input: Option<ChildStdin>,
    output: Arc<Output>,
    role: String,
    taken: usize,
}

/// What a child has said and printed so far.
#[derive(Debug, Default)]
struct Output {
    state: Mutex<Printed>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Printed {
    said: Vec<String>,
    all: String,
    ended: bool,
}

impl Child {
    /// Runs this test program again, in `role`, through the test `child_entry` in its root.
    ///
    /// # Panics
    /// The program cannot be run.
    pub fn spawn(role: &str, args: &[(&str, &str)]) -> Self {
        Self::spawn_through(ENTRY, role, args)
    }

    /// The same, through an ignored test of another name, such as `tests::child_entry`.
    ///
    /// # Panics
    /// The program cannot be run.
    pub fn spawn_through(entry: &str, role: &str, args: &[(&str, &str)]) -> Self {
        let program = std::env::current_exe().expect("a running program has a path");
        let mut command = Command::new(program);
        command.args([entry, "--exact", "--ignored", "--nocapture", "--test-threads=1"]);
        command.env(ROLE, role);
        for (key, value) in args {
            command.env(format!("{ARGUMENT}{key}"), value);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap_or_else(|error| panic!("cannot run a child as {role:?}: {error}"));
        let output = Arc::<Output>::default();
        let input = process.stdin.take();
        let out = process.stdout.take().expect("its output is a pipe");
        let errors = process.stderr.take().expect("its errors are a pipe");
        output.follow(out, true);
        output.follow(errors, false);
        Self { process, input, output, role: role.to_owned(), taken: 0 }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Waits until the child says exactly `line`, passing over what it says before.
    ///
    /// # Panics
    /// It ends, or two minutes pass, without. The message has all that it printed.
    pub fn wait_for_line(&mut self, line: &str) {
        loop {
            match self.next_line() {
                Some(said) if said == line => return,
                Some(_) => {}
                None => panic!("child {:?} ended without saying {line:?}\n{}", self.role, self.printed()),
            }
        }
    }

    /// Waits for the next line that the child says; `None` when it has ended.
    ///
    /// # Panics
    /// Two minutes pass without.
    pub fn next_line(&mut self) -> Option<String> {
        let taken = self.taken;
        let (state, waited) = self
            .output
            .changed
            .wait_timeout_while(self.output.state(), WAIT_MAX, |state| state.said.len() <= taken && !state.ended)
            .unwrap_or_else(PoisonError::into_inner);
        let line = state.said.get(taken).cloned();
        drop(state);
        assert!(!waited.timed_out(), "child {:?} says nothing for {WAIT_MAX:?}\n{}", self.role, self.printed());
        self.taken += usize::from(line.is_some());
        line
    }

    /// All that it has said so far, in order.
    pub fn said(&self) -> Vec<String> {
        self.output.state().said.clone()
    }

    /// All that it has printed so far, its test harness's own lines included.
    pub fn printed(&self) -> String {
        self.output.state().all.clone()
    }

    /// Says one line to the child. A child that has ended does not hear it, and that is no error.
    pub fn send_line(&mut self, line: &str) {
        if let Some(input) = &mut self.input {
            let _ = writeln!(input, "{line}").and_then(|()| input.flush());
        }
    }

    /// Says no more: the child [`hear`]s `None`.
    pub fn hang_up(&mut self) {
        self.input = None;
    }

    /// Kills it, as `kill -9` would, and waits until it is gone.
    pub fn kill(&mut self) {
        // An error means that it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Whether it has not ended yet.
    ///
    /// # Panics
    /// The system does not tell.
    pub fn is_running(&mut self) -> bool {
        self.process.try_wait().expect("a parent may ask for its child").is_none()
    }

    /// Waits until it ends. Its input is closed first, so that a child that listens comes to an end.
    ///
    /// # Panics
    /// Two minutes pass. The message has all that it printed.
    pub fn wait(&mut self) -> ExitStatus {
        self.input = None;
        let status = poll(|| self.process.try_wait().expect("a parent may ask for its child"));
        status.unwrap_or_else(|| panic!("child {:?} does not end\n{}", self.role, self.printed()))
    }

    /// Waits until it ends, and sees that it ended well.
    ///
    /// # Panics
    /// It failed, or two minutes pass. The message has all that it printed.
    pub fn wait_for_success(&mut self) {
        let status = self.wait();
        // What it printed last may still be in the pipe.
        while self.next_line().is_some() {}
        assert!(status.success(), "child {:?} ended with {status}\n{}", self.role, self.printed());
    }
}

#[cfg(unix)]
impl Child {
    /// Freezes it with SIGSTOP, and waits until it stands still.
    ///
    /// # Panics
    /// It has ended.
    pub fn stop(&mut self) {
        self.signal(rustix::process::Signal::STOP);
        self.wait_until_stopped();
    }

    /// Lets it go on after [`stop`](Self::stop), or after it stopped itself.
    ///
    /// # Panics
    /// It has ended.
    pub fn resume(&mut self) {
        self.signal(rustix::process::Signal::CONT);
    }

    /// Sends it a signal that it may handle, such as SIGTERM.
    ///
    /// # Panics
    /// It has ended.
    pub fn signal(&mut self, signal: rustix::process::Signal) {
        assert!(self.is_running(), "child {:?} has ended\n{}", self.role, self.printed());
        let pid = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(pid, signal).expect("a parent may signal its child");
    }

    /// Waits until it stands still, stopped by itself or by somebody else.
    ///
    /// # Platform
    /// Linux.
    ///
    /// # Panics
    /// It ends, or two minutes pass. The message has all that it printed.
    pub fn wait_until_stopped(&mut self) {
        let stopped = poll(|| match self.stat().first()?.as_str() {
            "T" => Some(true),
            "Z" | "X" => Some(false),
            _ => None,
        });
        assert!(stopped == Some(true), "child {:?} does not stop\n{}", self.role, self.printed());
    }

    /// The processor time that it has used, in steps of 10 ms.
    ///
    /// # Platform
    /// Linux.
    ///
    /// # Panics
    /// It has ended and was waited for.
    pub fn cpu_time(&self) -> Duration {
        let stat = self.stat();
        let ticks = |at: usize| stat.get(at).and_then(|field| field.parse::<u64>().ok()).expect("a running child");
        // The kernel gives these in USER_HZ, 100 on every architecture that Rust's standard library supports.
        Duration::from_millis(10 * (ticks(11) + ticks(12)))
    }

    /// The fields of `/proc/<pid>/stat` from the state on; none when the process is gone.
    fn stat(&self) -> Vec<String> {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap_or_default();
        // The name before it may contain anything, also spaces and parentheses.
        let fields = text.rsplit_once(')').map(|(_, fields)| fields).unwrap_or_default();
        fields.split_whitespace().map(str::to_owned).collect()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Output {
    fn follow(self: &Arc<Self>, from: impl Read + Send + 'static, is_main: bool) {
        let output = Arc::clone(self);
        std::thread::spawn(move || {
            let mut lines = BufReader::new(from);
            let mut line = Vec::new();
            while matches!(lines.read_until(b'\n', &mut line), Ok(1..)) {
                output.add(String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']));
                line.clear();
            }
            if is_main {
                output.state().ended = true;
                output.changed.notify_all();
            }
        });
    }

    fn add(&self, line: &str) {
        let mut state = self.state();
        if state.all.len() + line.len() < OUTPUT_MAX {
            let _ = writeln!(state.all, "{line}");
            // The harness does not end its own line before the test's output begins.
            if let Some((_, said)) = line.split_once(MARK) {
                state.said.push(said.to_owned());
            }
        }
        self.changed.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, Printed> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks until there is an answer, for as long as a test may wait.
fn poll<T>(mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        if start.elapsed() > WAIT_MAX {
            return None;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}
