//! Reading YAML within bounds: the one module that knows the reader.

use std::cmp::Ordering;

use camino::Utf8Path;
use serde::de::{Deserialize, DeserializeOwned, Deserializer};
use serde_yaml::budget::BudgetBreach;
use serde_yaml::options::{DuplicateKeyPolicy, MergeKeyPolicy};
use serde_yaml::{Budget, Options};

use crate::error::{Error, Excess, YamlFault, nearest};
use crate::place::Place;

/// Lists and maps within each other; the configuration has four levels.
const DEPTH_MAX: usize = 16;
/// Keys, values, lists and maps: a thousand rules with all their values.
const NODES_MAX: usize = 30_000;

/// A value, and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct At<T> {
    pub(crate) value: T,
    pub(crate) line: u64,
    pub(crate) column: u64,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for At<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = serde_yaml::Spanned::deserialize(deserializer)?;
        let (line, column) = (spanned.referenced.line(), spanned.referenced.column());
        Ok(Self { value: spanned.value, line, column })
    }
}

// as keys of maps: what is equal is equal wherever it stands
impl<T: PartialEq> PartialEq for At<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: Eq> Eq for At<T> {}

impl<T: Ord> PartialOrd for At<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T: Ord> Ord for At<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.value.cmp(&other.value)
    }
}

impl<T> At<T> {
    pub(crate) fn place(&self, file: &Utf8Path) -> Place {
        Place::new(file, self.line, self.column)
    }
}

/// Reads one document. What it costs is bounded by the length of the text, never by what the text stands for.
pub(crate) fn read<T: DeserializeOwned>(text: &str, file: &Utf8Path) -> Result<T, Error> {
    serde_yaml::from_str_with_options(text, options()).map_err(|error| translate(error.without_snippet(), file))
}

fn options() -> Options {
    let mut budget = Budget::default();
    budget.max_anchors = 0;
    budget.max_aliases = 0;
    budget.max_merge_keys = 0;
    budget.max_depth = DEPTH_MAX;
    budget.flow_nesting_limit = DEPTH_MAX;
    budget.max_nodes = NODES_MAX;
    budget.max_events = 2 * NODES_MAX;
    budget.max_documents = 1;
    let mut options = Options::default();
    options.budget = Some(budget);
    // comments are of no use to anybody but people, and may be as long as they like
    options.emit_comments = false;
    options.duplicate_keys = DuplicateKeyPolicy::Error;
    options.merge_keys = MergeKeyPolicy::Error;
    options.strict_booleans = true;
    options.reject_unsupported_tags = true;
    options.with_snippet = false;
    options
}

fn translate(error: &serde_yaml::Error, file: &Utf8Path) -> Error {
    use serde_yaml::Error as Yaml;

    let location = error.location();
    let place = Place::new(file, location.map_or(1, |at| at.line()), location.map_or(1, |at| at.column()));
    match error {
        Yaml::Budget { breach, .. } => Error::Excess { place, excess: excess(breach) },
        Yaml::MergeKeyNotAllowed { .. } => Error::Excess { place, excess: Excess::References },
        Yaml::DuplicateMappingKey { key, .. } => {
            Error::DuplicateKey { place, key: key.clone().unwrap_or_else(|| "the key".to_owned()) }
        }
        Yaml::SerdeUnknownField { field, expected, .. } => {
            let known = expected.iter().map(|&name| name.to_owned()).collect();
            Error::UnknownField { place, key: field.clone(), known, nearest: nearest(field, expected.iter().copied()) }
        }
        Yaml::SerdeMissingField { field, .. } => Error::MissingField { place, key: (*field).to_owned() },
        Yaml::SerdeInvalidType { unexpected, expected, .. } => {
            // its kind without its value: it may be a credential that stands where its description belongs
            let kind = unexpected.split(['"', '`']).next().unwrap_or_default().trim_end();
            let text = format!("{kind}, where {expected} should be");
            Error::WrongKind { place, source: YamlFault { text } }
        }
        Yaml::InvalidBooleanStrict { .. } => wrong(place, "a switch is `true` or `false`"),
        Yaml::NullIntoString { .. } => wrong(place, "nothing, where a text should be"),
        Yaml::Unexpected { .. } | Yaml::InvalidScalar { .. } => wrong(place, &plain(error)),
        _ => Error::Yaml { place, source: YamlFault { text: plain(error) } },
    }
}

fn wrong(place: Place, text: &str) -> Error {
    Error::WrongKind { place, source: YamlFault { text: text.to_owned() } }
}

const fn excess(breach: &BudgetBreach) -> Excess {
    match breach {
        BudgetBreach::Aliases { .. }
        | BudgetBreach::Anchors { .. }
        | BudgetBreach::MergeKeys { .. }
        | BudgetBreach::AliasAnchorRatio { .. }
        | BudgetBreach::RecordedAnchorEvents { .. }
        | BudgetBreach::RecordedAnchorBytes { .. } => Excess::References,
        BudgetBreach::Depth { .. } => Excess::Depth,
        _ => Excess::Values,
    }
}

/// What the reader says, on one line and without the place, which is told already.
fn plain(error: &serde_yaml::Error) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    let line = line.split_once(": ").filter(|(head, _)| head.starts_with("error: line")).map_or(line, |(_, rest)| rest);
    let end = line.find(" at line ").unwrap_or(line.len());
    line.get(..end).unwrap_or(line).to_owned()
}

/// Where a value stands is no part of its form. A text may be written as a number too, as in `timeout: 90`.
impl<T: schemars::JsonSchema> schemars::JsonSchema for At<T> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        T::schema_name()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        if T::schema_name() == "string" {
            return schemars::json_schema!({"type": ["string", "number"]});
        }
        T::json_schema(generator)
    }
}
