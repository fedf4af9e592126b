//! The command line: verbs, flags, and what each takes.

pub(crate) mod lean;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use larder_lock::Bound;
use larder_storage::{Durability, Key, Tag};

use crate::terms::{Moment, Span, Target};

/// Documents from slow places, fetched once for all processes of this machine.
#[derive(Debug, PartialEq, Parser)]
#[command(name = "larder", version, arg_required_else_help = true, after_help = CODES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

const CODES: &str = "Exit codes: 0 ok, 1 failure or damage found, 2 usage, 3 absent, 4 credentials, 5 stale with --fail-on-stale, 69 unavailable, \
    74 input/output error, 75 lock timeout.\n`run` and `lock` pass the command's own code (126, 127, 128+signal).\n\
    Durations: 400ms, 90s, 15m, 2h, 7d; a wait may also be 0 or infinite.";

/// What every verb takes, before or after its name.
#[derive(Debug, Default, PartialEq, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub(crate) struct Global {
    /// The cache's folder [default: `LARDER_ROOT`, else the user's cache folder]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) root: Option<PathBuf>,
    /// The configuration [default: `LARDER_CONFIG`, else ./larder.yaml, else the user's larder/larder.yaml]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Refresh what somebody else has got a stale copy of; nobody waits for this process
    #[arg(long, global = true, hide = true)]
    pub(crate) behind: bool,
    /// Fetch for the refresh worker, and not for anybody who asks
    #[arg(long, global = true, hide = true)]
    pub(crate) errand: bool,
    /// How long to wait for what somebody else has [default: `LARDER_LOCK_TIMEOUT`, else 600s]
    #[arg(long, global = true, value_name = "D")]
    pub(crate) lock_timeout: Option<Bound>,
    /// Say on standard error how the answer came, as one Cache-Status line
    #[arg(long, global = true)]
    pub(crate) status: bool,
    /// Answer in JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Say nothing but errors on standard error
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// Say on standard error how the answer is come by, and what is unusual; twice for more
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
}

/// What to do.
#[derive(Debug, PartialEq, Subcommand)]
pub(crate) enum Verb {
    /// Run a command once for all who ask, and keep what it prints
    Run(Run),
    /// Print a document
    Get(Get),
    /// Store a document
    Put(Put),
    /// List what is stored
    List(List),
    /// Say what is stored under a key, and why it is or is not given out
    Explain(Explain),
    /// Make documents stale, or absent
    Invalidate(Invalidate),
    /// Run a command while holding a lock
    Lock(Lock),
    /// Say who holds which lock, and what is being fetched
    Locks,
    /// Read and check everything that is stored
    Verify(Verify),
    /// Show, check or trust the configuration
    Config(Config),
    /// Remove what nobody needs, and what is beyond the bounds
    Gc(Gc),
    /// Fetch anew what is due, or named, and work through the queue
    Refresh(Refresh),
    /// Look at the queue of refresh work, or change it
    Queue(Queue),
    /// Say how much is stored, and how it was used
    Stats,
    /// Write index.yaml, metrics.yaml and the meta.yaml of each library anew
    Index,
    /// Store credentials, and say whether they are found and good
    Auth(Auth),
    /// Look at everything that could be wrong, and say what to do about it
    Doctor(Doctor),
    /// Print completions for a shell
    Completions(Completions),
}

/// `larder run`
#[derive(Debug, PartialEq, Args)]
pub(crate) struct Run {
    /// The document's name [default: a digest of the command, the folder and --env]
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<Key>,
    /// How long the output is fresh [default: as its class says, else 30d]
    #[arg(long, value_name = "D")]
    pub(crate) ttl: Option<Span>,
    /// How long after that an old copy is given at once, and refreshed by a process of its own
    #[arg(long, value_name = "D")]
    pub(crate) stale: Option<Span>,
    /// How long after --ttl an old copy is given when the command fails
    #[arg(long, value_name = "D")]
    pub(crate) stale_if_error: Option<Span>,
    /// How long to wait for a new copy while there is an old one that may be given
    #[arg(long, value_name = "D")]
    pub(crate) soft_timeout: Option<Span>,
    /// The document's class [default: by its key]
    #[arg(long, value_name = "NAME")]
    pub(crate) class: Option<String>,
    /// End with 5 when the copy given is stale
    #[arg(long)]
    pub(crate) fail_on_stale: bool,
    /// The most that waiting and running may take together [default: no bound]
    #[arg(long, value_name = "D")]
    pub(crate) timeout: Option<Bound>,
    /// How long a failure is also told to those who ask later [default: 0, with an old copy to fall back on 30s doubling]
    #[arg(long, value_name = "D")]
    pub(crate) fail_ttl: Option<Span>,
    /// Run also when there is a fresh copy
    #[arg(long, conflicts_with = "offline")]
    pub(crate) refresh: bool,
    /// Never run; give any copy still kept, fresh or stale
    #[arg(long)]
    pub(crate) offline: bool,
    /// An environment variable that the output depends on
    #[arg(long, value_name = "NAME")]
    pub(crate) env: Vec<OsString>,
    /// A file or folder that the output depends on: when anything in it changes, the command runs again
    #[arg(long, value_name = "PATH")]
    pub(crate) depends: Vec<PathBuf>,
    /// A tag to invalidate it by
    #[arg(long, value_name = "T", value_parser = tag)]
    pub(crate) tag: Vec<Tag>,
    /// What the stored copy survives
    #[arg(long, value_name = "D", value_enum, default_value_t = Survives::Full)]
    pub(crate) durability: Survives,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    pub(crate) command: Vec<OsString>,
}

/// `larder get`
#[derive(Debug, PartialEq, Args)]
pub(crate) struct Get {
    /// The document's name
    pub(crate) key: Key,
    /// Give any copy still kept, fresh or stale
    #[arg(long, conflicts_with_all = ["refresh", "max_age"])]
    pub(crate) offline: bool,
    /// Ask the source also when there is a fresh copy
    #[arg(long)]
    pub(crate) refresh: bool,
    /// The most that waiting and the source may take together [default: as configured]
    #[arg(long, value_name = "D")]
    pub(crate) timeout: Option<Bound>,
    /// How long to wait for a new copy while there is an old one that may be given
    #[arg(long, value_name = "D")]
    pub(crate) soft_timeout: Option<Span>,
    /// End with 5 when the copy given is stale
    #[arg(long)]
    pub(crate) fail_on_stale: bool,
    /// Take no copy older than this
    #[arg(long, value_name = "D")]
    pub(crate) max_age: Option<Span>,
}

/// `larder put`
#[derive(Debug, PartialEq, Args)]
pub(crate) struct Put {
    /// The document's name
    pub(crate) key: Key,
    /// Read it from this file [default: standard input]
    #[arg(long, value_name = "FILE")]
    pub(crate) from: Option<PathBuf>,
    /// How long it is fresh [default: as its class says, else 30d]
    #[arg(long, value_name = "D")]
    pub(crate) ttl: Option<Span>,
    /// How long after that it may be given while it is refreshed
    #[arg(long, value_name = "D")]
    pub(crate) stale: Option<Span>,
    /// How long after --ttl it may be given when its source fails
    #[arg(long, value_name = "D")]
    pub(crate) stale_if_error: Option<Span>,
    /// Its class [default: by its key]
    #[arg(long, value_name = "NAME")]
    pub(crate) class: Option<String>,
    /// A tag to invalidate it by
    #[arg(long, value_name = "T", value_parser = tag)]
    pub(crate) tag: Vec<Tag>,
    /// What it survives
    #[arg(long, value_name = "D", value_enum, default_value_t = Survives::Full)]
    pub(crate) durability: Survives,
}

/// `larder list`
#[derive(Debug, PartialEq, Args)]
pub(crate) struct List {
    /// Only keys below this one, with its closing slash
    #[arg(default_value = "", hide_default_value = true)]
    pub(crate) prefix: larder_storage::Prefix,
}

/// `larder explain`
#[derive(Debug, PartialEq, Args)]
pub(crate) struct Explain {
    /// The document's name
    pub(crate) key: Key,
    /// Decide as at this moment: an RFC 3339 date, or a length of time from now
    #[arg(long, value_name = "TIME")]
    pub(crate) at: Option<Moment>,
    /// Decide as for a caller who takes nothing older than this
    #[arg(long, value_name = "D")]
    pub(crate) max_age: Option<Span>,
}

/// `larder config`
#[derive(Debug, PartialEq, Args)]
pub(crate) struct Config {
    #[command(subcommand)]
    pub(crate) what: ConfigVerb,
}

/// What to do with the configuration.
#[derive(Debug, PartialEq, Subcommand)]
pub(crate) enum ConfigVerb {
    /// Print each value, and where it comes from
    Show,
    /// Read it, and say what is wrong or odd
    Check,
    /// Let the ./larder.yaml that is here now run its commands
    Trust,
    /// Print its JSON Schema
    Schema,
}

/// `larder invalidate`
#[derive(Debug, PartialEq, Args)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["target", "tag", "all"]))]
pub(crate) struct Invalidate {
    /// A key, or with a closing slash all keys below it
    #[arg(value_name = "KEY|PREFIX/")]
    pub(crate) target: Option<Target>,
    /// Everything with this tag
    #[arg(long, value_name = "T", value_parser = tag)]
    pub(crate) tag: Vec<Tag>,
    /// Everything
    #[arg(long)]
    pub(crate) all: bool,
    /// Make it absent; otherwise it stays for --offline
    #[arg(long)]
    pub(crate) hard: bool,
}

/// `larder lock`
#[derive(Debug, PartialEq, Args)]
pub(crate) struct Lock {
    /// The lock's name
    pub(crate) name: String,
    /// Hold it together with others who ask so
    #[arg(long)]
    pub(crate) shared: bool,
    /// How long to wait for it [default: --lock-timeout]
    #[arg(long, value_name = "D")]
    pub(crate) timeout: Option<Bound>,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    pub(crate) command: Vec<OsString>,
}

/// `larder verify`
#[derive(Debug, PartialEq, Args)]
pub(crate) struct Verify {
    /// Set damaged files aside, so that they are fetched again
    #[arg(long)]
    pub(crate) repair: bool,
}

/// `larder gc`
#[derive(Debug, PartialEq, Args)]
pub(crate) struct Gc {
    /// The most that all documents may take together, such as 100MiB, or infinite [default: as configured]
    #[arg(long, value_name = "SIZE", value_parser = larder_config::bound_on_bytes)]
    pub(crate) bytes_max: Option<u64>,
    /// The most documents that there may be, or infinite [default: as configured]
    #[arg(long, value_name = "N", value_parser = larder_config::bound_on_count)]
    pub(crate) entries_max: Option<u64>,
}

/// `larder refresh`
#[derive(Debug, PartialEq, Args)]
pub(crate) struct Refresh {
    /// A key, or with a closing slash all keys below it [default: what is due]
    #[arg(value_name = "KEY|PREFIX/")]
    pub(crate) target: Option<Target>,
    /// Only what is overdue or near its end
    #[arg(long)]
    pub(crate) due: bool,
    /// The most tasks to begin [default: all]
    #[arg(long, value_name = "N")]
    pub(crate) max: Option<u64>,
    /// Go on until a signal comes, with what becomes due and what others add
    #[arg(long)]
    pub(crate) watch: bool,
    /// How many to fetch at a time
    #[arg(long, value_name = "N", default_value = "4")]
    pub(crate) jobs: std::num::NonZeroU8,
    /// The most that all of it may take [default: no bound]
    #[arg(long, value_name = "D")]
    pub(crate) timeout: Option<Span>,
}

/// `larder queue`
#[derive(Debug, PartialEq, Args)]
pub(crate) struct Queue {
    #[command(subcommand)]
    pub(crate) what: QueueVerb,
}

/// `larder auth`
#[derive(Debug, PartialEq, Args)]
pub(crate) struct Auth {
    #[command(subcommand)]
    pub(crate) what: AuthVerb,
}

/// What to do with credentials.
#[derive(Debug, PartialEq, Subcommand)]
pub(crate) enum AuthVerb {
    /// Store a credential, read from standard input or asked for on the terminal
    Set(Named),
    /// Say where credentials are found and what was last known of them, without asking any upstream
    Status(NamedOrAll),
    /// Say whether a credential is good, by asking whom the configuration names
    Check(Named),
    /// Remove a stored credential
    Remove(Named),
}

/// A credential. Its name is no type of its own: what is no name may be the credential itself, and clap repeats it.
#[derive(Debug, PartialEq, Args)]
pub(crate) struct Named {
    /// What it is called, as under `credentials` in the configuration
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
}

/// A credential, or all of them.
#[derive(Debug, PartialEq, Args)]
pub(crate) struct NamedOrAll {
    /// What it is called [default: all that are configured or stored]
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<String>,
}

/// What to do with the queue.
#[derive(Debug, PartialEq, Subcommand)]
pub(crate) enum QueueVerb {
    /// Print the tasks, the most urgent first, those that are not tried again last
    List,
    /// Add keys, durably
    Add(QueueAdd),
    /// Let tasks that have failed be tried again at once
    Retry(Selected),
    /// Remove tasks
    Clear(Selected),
}

/// `larder queue add`
#[derive(Debug, PartialEq, Args)]
pub(crate) struct QueueAdd {
    /// The keys; `-` alone for one on each line of standard input
    #[arg(required = true, value_name = "KEY|-")]
    pub(crate) keys: Vec<String>,
    /// How urgent: 1 to 10, 10 being the most
    #[arg(long, value_name = "N", default_value = "5")]
    pub(crate) priority: larder_queue::Priority,
    /// When it is due: an RFC 3339 date, or a length of time from now [default: now]
    #[arg(long, value_name = "TIME")]
    pub(crate) at: Option<Moment>,
    /// Why, for people
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
}

/// Which tasks.
#[derive(Debug, PartialEq, Args)]
#[command(group = clap::ArgGroup::new("which").required(true).args(["keys", "dead", "all"]))]
pub(crate) struct Selected {
    /// Those with these keys
    #[arg(value_name = "KEY")]
    pub(crate) keys: Vec<Key>,
    /// Those that are not tried again
    #[arg(long)]
    pub(crate) dead: bool,
    /// All
    #[arg(long)]
    pub(crate) all: bool,
}

/// `larder doctor`
#[derive(Debug, PartialEq, Args)]
pub(crate) struct Doctor {
    /// Ask nobody beyond this machine
    #[arg(long)]
    pub(crate) offline: bool,
}

/// `larder completions`
#[derive(Debug, PartialEq, Args)]
pub(crate) struct Completions {
    /// For which shell
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}

/// The two durabilities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Survives {
    /// Crashes and loss of power
    Full,
    /// Crashes
    Relaxed,
}

impl From<Survives> for Durability {
    fn from(survives: Survives) -> Self {
        match survives {
            Survives::Full => Self::Full,
            Survives::Relaxed => Self::Relaxed,
        }
    }
}

fn tag(text: &str) -> Result<Tag, larder_storage::MetadataError> {
    Tag::new(text)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_contradicts_itself_nowhere() {
        Arguments::command().debug_assert();
    }
}
