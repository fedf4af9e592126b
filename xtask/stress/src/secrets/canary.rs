//! The canaries of a spell: texts that look like credentials and are nowhere else, and where each of them may be.

use camino::Utf8Path;
use larder_testkit::Seed;
use serde::{Deserialize, Serialize};

use crate::failure::{Doing as _, Failure};

/// The file that tells witnesses what to look for. It lies where nobody searches.
const FILE: &str = "canaries.json";

/// How a secret comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Way {
    /// In a variable that a source asks for.
    Variable,
    /// In a variable that nobody asks for.
    Unasked,
    /// In a variable, in a form that it should not have.
    Malformed,
    /// Printed by a command.
    Command,
    /// Said by that command on its standard error.
    Said,
    /// Stored by `larder auth set`.
    Stored,
    /// Stored in its place.
    Rotated,
    /// Refused by `larder auth set`: it is in the second of two lines.
    Refused,
    /// On a command line, where it should not be.
    Argument,
    /// Kept by workers, through the library.
    Kept,
}

impl Way {
    pub(crate) const ALL: [Self; 10] = [
        Self::Variable,
        Self::Unasked,
        Self::Malformed,
        Self::Command,
        Self::Said,
        Self::Stored,
        Self::Rotated,
        Self::Refused,
        Self::Argument,
        Self::Kept,
    ];

    /// The variable in which a command is given it, or may find it.
    pub(crate) const fn variable(self) -> &'static str {
        match self {
            Self::Variable => "CANARY_VARIABLE",
            Self::Unasked => "CANARY_UNASKED",
            Self::Malformed => "CANARY_MALFORMED",
            Self::Command | Self::Said => "CANARY_COMMAND",
            Self::Stored | Self::Rotated | Self::Refused => "CANARY_STORED",
            Self::Argument => "CANARY_ARGUMENT",
            Self::Kept => "CANARY_KEPT",
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Variable => "variable",
            Self::Unasked => "unasked",
            Self::Malformed => "malformed",
            Self::Command => "command",
            Self::Said => "said",
            Self::Stored => "stored",
            Self::Rotated => "rotated",
            Self::Refused => "refused",
            Self::Argument => "argument",
            Self::Kept => "kept",
        }
    }
}

/// One canary.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Canary {
    pub(crate) way: Way,
    /// The secret.
    pub(crate) text: String,
    /// What of it is searched for: a part that nothing else has, so that half a secret is found, too.
    pub(crate) mark: String,
}

/// One for each way.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Canaries {
    all: Vec<Canary>,
}

impl Canaries {
    /// New ones, which no other spell has.
    pub(crate) fn hatch(seed: &mut Seed) -> Self {
        let hatch = |way: Way| {
            let mark = format!("{:016x}", seed.draw());
            Canary { way, text: format!("canary-{}-{mark}", way.name()), mark }
        };
        Self { all: Way::ALL.map(hatch).into() }
    }

    pub(crate) fn text(&self, way: Way) -> &str {
        self.all.iter().find(|canary| canary.way == way).map_or("", |canary| &canary.text)
    }

    /// The ways of those that are in these bytes.
    pub(crate) fn seen_in(&self, bytes: &[u8]) -> Vec<Way> {
        let is_in = |canary: &&Canary| bytes.windows(canary.mark.len()).any(|window| window == canary.mark.as_bytes());
        self.all.iter().filter(is_in).map(|canary| canary.way).collect()
    }

    pub(crate) fn write(&self, folder: &Utf8Path) -> Result<(), Failure> {
        let text = serde_json::to_string(self).doing("write the canaries")?;
        super::write(&folder.join(FILE), &text)
    }

    pub(crate) fn read(folder: &Utf8Path) -> Result<Self, Failure> {
        let text = std::fs::read_to_string(folder.join(FILE)).doing("read the canaries")?;
        serde_json::from_str(&text).doing("read the canaries")
    }
}
