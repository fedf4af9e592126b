//! The command line.

use std::str::FromStr;
use std::time::Duration;

use camino::Utf8PathBuf;
use clap::{Parser, Subcommand, ValueEnum};
use larder_lock::Bound;

/// Runs many processes against every promise of larder, and judges what they see.
///
/// Exit codes: 0 no violation (with --sabotage: not caught), 1 violations (with --sabotage: caught), 2 wrong usage or
/// could not run, 128+n ended by signal n.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask stress", bin_name = "cargo xtask stress")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) part: Option<Part>,
    /// How long it judges: 20s, 10m, 1h
    #[arg(long, value_name = "TIME", default_value = "40s")]
    pub(crate) duration: Length,
    /// How many processes make the storm; locks and herd have theirs in proportion
    #[arg(long, value_name = "N", default_value_t = 24, value_parser = clap::value_parser!(u32).range(4..=512))]
    pub(crate) processes: u32,
    /// The seed of all choices, as an earlier run has printed it
    #[arg(long, value_name = "SEED", value_parser = seed)]
    pub(crate) seed: Option<u64>,
    /// Also write the report as JSON
    #[arg(long, value_name = "FILE.json")]
    pub(crate) report: Option<Utf8PathBuf>,
    /// Only one scene
    #[arg(long, value_name = "SCENE")]
    pub(crate) only: Option<Scene>,
    /// The `larder` command to try; without it the one beside this program, if there is one
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) larder: Option<Utf8PathBuf>,
    /// Where the run makes its folder; kept when something was found
    #[arg(long, value_name = "FOLDER")]
    pub(crate) folder: Option<Utf8PathBuf>,
    /// Print the names of the broken parts that judges are tried on, one on a line
    #[arg(long)]
    pub(crate) list_sabotage: bool,
    /// Let all workers use this broken part, and stop when it is caught
    #[arg(long, value_name = "NAME")]
    pub(crate) sabotage: Option<String>,
}

/// Other parts that this program plays, for itself.
#[derive(Debug, Subcommand)]
pub(crate) enum Part {
    /// One process of a scene
    #[command(hide = true)]
    Worker { order: String },
    /// The command that the herd runs: one call of the upstream
    #[command(hide = true)]
    Upstream { arena: Utf8PathBuf, corpus: Utf8PathBuf, round: u32, key: String },
    /// A command that tells which secrets it can see
    #[command(hide = true)]
    Witness { apart: Utf8PathBuf },
}

/// A part of the stress that can run alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scene {
    /// Writers, readers, fetchers on shared stores
    Storm,
    /// Many who ask for one absent document
    Herd,
    /// Holders that die and freeze
    Locks,
    /// An upstream that fails and hangs, with stale copies in hand
    Outage,
    /// Tasks that are added, claimed and done, by workers that die and freeze
    Queue,
    /// Writers far beyond the bounds of a cache
    Bounds,
    /// Credentials, and a search for them in all that is said and left
    Secrets,
    /// Keys from hell, in a root that others damage and plant links in
    Hostile,
}

/// How long a run lasts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Length(pub(crate) Duration);

impl FromStr for Length {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse::<Bound>() {
            Ok(Bound::UpTo(duration)) => Ok(Self(duration)),
            _ => Err("use a time such as 20s, 10m or 1h".to_owned()),
        }
    }
}

fn seed(text: &str) -> Result<u64, String> {
    let read = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    read.map_err(|_| "use a number, or 0x and hexadecimal digits".to_owned())
}
