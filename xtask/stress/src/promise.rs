//! The promises that are judged, as the report names them.

use serde::{Deserialize, Serialize};

/// One promise of larder, or one that it stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Promise {
    Whole,
    Kept,
    Order,
    Once,
    Shared,
    Waits,
    Exclusion,
    Successor,
    Works,
    Clean,
    Undamaged,
    Fence,
    Memory,
    Outage,
    Age,
    Task,
    Bounded,
    Counted,
    Secret,
    Inside,
    Refused,
}

impl Promise {
    /// All of them, in the order of the report.
    pub(crate) const ALL: [Self; 21] = [
        Self::Whole,
        Self::Kept,
        Self::Order,
        Self::Fence,
        Self::Memory,
        Self::Once,
        Self::Shared,
        Self::Waits,
        Self::Outage,
        Self::Age,
        Self::Exclusion,
        Self::Successor,
        Self::Works,
        Self::Clean,
        Self::Undamaged,
        Self::Inside,
        Self::Refused,
        Self::Task,
        Self::Bounded,
        Self::Counted,
        Self::Secret,
    ];

    pub(crate) const fn index(self) -> usize {
        self as usize
    }

    /// Its number among the promises of the design, or what it is part of.
    pub(crate) const fn number(self) -> &'static str {
        match self {
            Self::Whole => "P1",
            Self::Kept => "P2",
            Self::Once | Self::Shared => "P3",
            Self::Waits => "P4",
            Self::Outage | Self::Age => "P5",
            Self::Works | Self::Clean | Self::Successor => "P6",
            Self::Undamaged => "P7",
            Self::Secret => "P9",
            Self::Inside => "P8",
            Self::Refused => "config",
            Self::Bounded => "P10",
            Self::Counted => "P11",
            Self::Task => "queue",
            Self::Order => "order",
            Self::Fence => "fence",
            Self::Memory => "memory",
            Self::Exclusion => "locks",
        }
    }

    /// What it says.
    pub(crate) const fn statement(self) -> &'static str {
        match self {
            Self::Whole => "a read gives a document that was put, whole, under that very key",
            Self::Kept => "an acknowledged document is there, whoever is killed",
            Self::Order => "a read never goes back behind what was acknowledged or seen",
            Self::Once => "one fetch for all who ask, and one more for each crash",
            Self::Shared => "everyone who waited gets that answer, whole, also a failure",
            Self::Waits => "every wait ends at its bound and names the holder",
            Self::Outage => "in an outage everyone gets the last good copy, labelled, for one call a step",
            Self::Age => "a stale copy tells its true age, whatever has failed since",
            Self::Exclusion => "one holder at a time, also beside killed and frozen ones",
            Self::Successor => "a dead holder's lock is free at once",
            Self::Works => "every operation works, whoever was killed before it",
            Self::Clean => "no temporary file, no lock and no process stays behind",
            Self::Undamaged => "nothing is damaged, and nothing is set aside",
            Self::Inside => "nothing is read or written outside of the root, whatever is planted in it",
            Self::Refused => "a configuration that was made to hurt is refused",
            Self::Fence => "nothing fetched before an invalidation is given out after it",
            Self::Task => "an acknowledged task is done or there, by one at a time while claims stand",
            Self::Bounded => "what is stored stays within its bounds, whoever is killed",
            Self::Counted => "what was counted is counted once, whoever is killed",
            Self::Secret => "no secret is anywhere but where it was put and with those who ask for it",
            Self::Memory => "what another process has put or taken is known to the memory tier",
        }
    }
}
