//! The file's form: what may stand where. The schema is made from these very types.

use std::collections::BTreeMap;

use camino::Utf8Path;
use schemars::{JsonSchema, SchemaGenerator};
use serde::Deserialize;

use crate::error::Error;
use crate::yaml::{self, At};

/// The version of the form.
pub(crate) const VERSION: &str = "1";

/// The configuration of larder.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    /// The version of this file's form: 1.
    pub(crate) version: Option<At<String>>,
    /// Bounds on what the cache may take, and how long.
    pub(crate) limits: Option<Limits>,
    /// Parts that can be switched off.
    pub(crate) switches: Option<Switches>,
    /// How long documents may be used that no class has.
    pub(crate) defaults: Option<Policy>,
    /// Named classes; `stable`, `active` and `critical` are there from the beginning.
    pub(crate) types: Option<BTreeMap<At<String>, Policy>>,
    /// Which documents are of which class: the first pattern that matches the key decides.
    pub(crate) classes: Option<Vec<Rule>>,
    /// The commands that fetch documents: the first pattern that matches the key decides.
    pub(crate) sources: Option<Vec<Source>>,
    /// The credentials that sources ask for, by name: where they are found, never what they are.
    pub(crate) credentials: Option<BTreeMap<At<String>, Credential>>,
    /// What existing configurations say about refreshing.
    pub(crate) refresh: Option<Refresh>,
    /// Files for people and other tools.
    pub(crate) views: Option<Views>,
}

/// Bounds on what the cache may take, and how long.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Limits {
    /// The largest document, such as 64MiB.
    pub(crate) body_bytes_max: Option<At<String>>,
    /// What all documents may take together on disk, such as 100MiB; those used longest ago go first. Or infinite.
    pub(crate) bytes_max: Option<At<String>>,
    /// How many documents there may be. Or infinite.
    pub(crate) entries_max: Option<At<String>>,
    /// Room for copies in memory.
    pub(crate) memory_bytes_max: Option<At<String>>,
    /// How long to wait for what somebody else has, such as 600s; 0, or infinite.
    pub(crate) lock_timeout: Option<At<String>>,
    /// How long waiting and fetching may take together.
    pub(crate) timeout: Option<At<String>>,
    /// How long somebody waits who has a stale copy that may be given out.
    pub(crate) soft_timeout: Option<At<String>>,
    /// How long an upstream that fails for the first time is left alone.
    pub(crate) backoff_first: Option<At<String>>,
    /// The most that doubling makes of that.
    pub(crate) backoff_cap: Option<At<String>>,
    /// The most that an upstream may ask to be left alone for.
    pub(crate) retry_after_max: Option<At<String>>,
}

/// Parts that can be switched off; reading goes on.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Switches {
    /// One fetch for all who ask.
    pub(crate) locking: Option<At<bool>>,
    /// Refreshing behind a caller's back.
    pub(crate) refresh: Option<At<bool>>,
    /// Storing, and reading what is stored.
    pub(crate) disk: Option<At<bool>>,
    /// Asking any upstream.
    pub(crate) network: Option<At<bool>>,
}

/// How long documents may be used.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Policy {
    /// How old a document may be and still be fresh, such as 7d.
    pub(crate) fresh: Option<At<String>>,
    /// How long after that it is given out while it is refreshed; 0 for not at all.
    pub(crate) stale_while_revalidate: Option<At<String>>,
    /// How long after its fresh time it is given out when its source fails.
    pub(crate) stale_if_error: Option<At<String>>,
    /// How long it is kept beyond all of these.
    pub(crate) keep: Option<At<String>>,
    /// How long it is known that the source does not have it.
    pub(crate) negative: Option<At<String>>,
    /// The most that is added to the fresh time by chance.
    pub(crate) jitter: Option<At<String>>,
    /// The least that the source or the history may make of the fresh time.
    pub(crate) fresh_min: Option<At<String>>,
    /// The most.
    pub(crate) fresh_max: Option<At<String>>,
    /// Whether what does not change is asked for less often.
    pub(crate) adaptive: Option<At<bool>>,
    /// When it is refreshed while it is fresh: a part of its fresh time such as 0.9, xfetch, or never.
    pub(crate) early: Option<At<String>>,
}

/// Documents of a class.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    /// A pattern on keys: `*` within a segment, `**` for any number of segments.
    #[serde(rename = "match")]
    pub(crate) pattern: At<String>,
    /// The class whose values count where this rule has none.
    pub(crate) class: Option<At<String>>,
    /// How old a document may be and still be fresh, such as 7d.
    pub(crate) fresh: Option<At<String>>,
    /// How long after that it is given out while it is refreshed; 0 for not at all.
    pub(crate) stale_while_revalidate: Option<At<String>>,
    /// How long after its fresh time it is given out when its source fails.
    pub(crate) stale_if_error: Option<At<String>>,
    /// How long it is kept beyond all of these.
    pub(crate) keep: Option<At<String>>,
    /// How long it is known that the source does not have it.
    pub(crate) negative: Option<At<String>>,
    /// The most that is added to the fresh time by chance.
    pub(crate) jitter: Option<At<String>>,
    /// The least that the source or the history may make of the fresh time.
    pub(crate) fresh_min: Option<At<String>>,
    /// The most.
    pub(crate) fresh_max: Option<At<String>>,
    /// Whether what does not change is asked for less often.
    pub(crate) adaptive: Option<At<bool>>,
    /// When it is refreshed while it is fresh: a part of its fresh time such as 0.9, xfetch, or never.
    pub(crate) early: Option<At<String>>,
}

/// A command that fetches documents.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Source {
    /// A pattern on keys: `*` within a segment, `**` for any number of segments.
    #[serde(rename = "match")]
    pub(crate) pattern: At<String>,
    /// The program and its arguments. In an argument, {key} is the key, {path} what follows the pattern's literal beginning,
    /// {1}, {2} and so on are the key's segments; braces that are meant so are doubled.
    pub(crate) command: At<Vec<At<String>>>,
    /// The variables that the command gets, beside those that every program needs.
    pub(crate) env: Option<Vec<At<String>>>,
    /// The credentials that the command gets, by name, each in the variable that its `env` names.
    pub(crate) credentials: Option<Vec<At<String>>>,
    /// How long waiting and fetching may take together, in the place of the limit.
    pub(crate) timeout: Option<At<String>>,
    /// The tags of what it fetches.
    pub(crate) tags: Option<Vec<At<String>>>,
}

/// Where a credential is found, what form it has, and who tells whether it is good. Looked for in this order: the variable, the
/// command, the keyring, the file that `larder auth set` writes.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Credential {
    /// The name of the variable of the environment that has it, and in which sources get it.
    pub(crate) env: Option<At<String>>,
    /// A program that prints it, and its arguments.
    pub(crate) command: Option<At<Vec<At<String>>>>,
    /// The variables that the command gets, beside those that every program needs.
    pub(crate) command_env: Option<Vec<At<String>>>,
    /// How long the command may take; 10s.
    pub(crate) command_timeout: Option<At<String>>,
    /// Whether the keyring of the system is asked.
    pub(crate) keyring: Option<At<bool>>,
    /// What it begins with.
    pub(crate) prefix: Option<At<String>>,
    /// How many characters it has, such as 40 or 20-80.
    pub(crate) length: Option<At<String>>,
    /// Of which characters it is made behind its prefix: alphanumeric, hex, base64, base64url, printable, or a class such as
    /// A-Za-z0-9_-.
    pub(crate) characters: Option<At<String>>,
    /// Whether sources that ask for it run without it when there is none.
    pub(crate) optional: Option<At<bool>>,
    /// Whether it is looked for at all.
    pub(crate) enabled: Option<At<bool>>,
    /// Who tells whether it is good.
    pub(crate) check: Option<Check>,
}

/// An HTTP request that an upstream answers with success if the credential is good.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Check {
    /// Where: https, or http on this machine.
    pub(crate) url: At<String>,
    /// GET or HEAD; GET.
    pub(crate) method: Option<At<String>>,
    /// The header that has it, with {} in its place: Authorization: Bearer {}.
    pub(crate) header: Option<At<String>>,
    /// How long the answer may take; 10s.
    pub(crate) timeout: Option<At<String>>,
}

/// What existing configurations say about refreshing.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Refresh {
    /// Whether anything is refreshed behind a caller's back.
    pub(crate) enabled: Option<At<bool>>,
    /// The default's fresh time in days.
    pub(crate) default_max_age_days: Option<At<String>>,
    /// Whether a look at a document also looks whether it is due.
    pub(crate) check_on_access: Option<At<bool>>,
    /// Whether what is due is queued.
    pub(crate) auto_queue: Option<At<bool>>,
    /// Whether a program that starts works through the queue.
    pub(crate) auto_process_on_startup: Option<At<bool>>,
}

/// Files for people and other tools.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Views {
    /// Whether index.yaml and the libraries' meta.yaml are kept up to date by programs that stay; `larder index` writes them
    /// at any time.
    pub(crate) auto: Option<At<bool>>,
}

/// What every version of the file has.
#[derive(Debug, Deserialize)]
struct AnyVersion {
    version: Option<At<String>>,
}

impl Rule {
    /// The values of its own.
    pub(crate) fn policy(&self) -> Policy {
        let Self { pattern: _, class: _, fresh, stale_while_revalidate, stale_if_error, keep, negative, .. } = self;
        Policy {
            fresh: fresh.clone(),
            stale_while_revalidate: stale_while_revalidate.clone(),
            stale_if_error: stale_if_error.clone(),
            keep: keep.clone(),
            negative: negative.clone(),
            jitter: self.jitter.clone(),
            fresh_min: self.fresh_min.clone(),
            fresh_max: self.fresh_max.clone(),
            adaptive: self.adaptive.clone(),
            early: self.early.clone(),
        }
    }
}

/// Reads the file, if its version is one that is understood here.
pub(crate) fn read(text: &str, file: &Utf8Path) -> Result<File, Error> {
    // the version first, because a newer form may have keys that are none here
    let any: Option<AnyVersion> = yaml::read(text, file)?;
    let Some(version) = any.and_then(|any| any.version) else {
        return Err(Error::MissingVersion { file: file.to_owned() });
    };
    if version.value != VERSION {
        return Err(Error::UnknownVersion { place: version.place(file), found: version.value });
    }
    yaml::read(text, file)
}

/// The schema of the file. Durations and sizes are texts or whole numbers.
pub(crate) fn schema() -> serde_json::Value {
    let mut schema = SchemaGenerator::default().into_root_schema_for::<File>().to_value();
    if let Some(object) = schema.as_object_mut() {
        object.insert("required".to_owned(), serde_json::json!(["version"]));
    }
    schema
}
