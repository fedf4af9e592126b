//! Why a file is no configuration: what, where, and what to do about it.

use std::fmt;
use std::io;
use std::str::Utf8Error;

use camino::{Utf8Path, Utf8PathBuf};
use larder_credentials::{form, name};
use larder_staleness::PatternError;

use crate::place::Place;
use crate::setting::Origin;
use crate::template::TemplateError;
use crate::value::ValueError;

/// Why a file is no configuration. Its text names the place and the remedy; where something else is the cause, that is the
/// source of the error and not repeated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The system does not let us read it.
    #[error("cannot read {file}: check the path and its permissions")]
    Unreadable {
        /// The file.
        file: Utf8PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// It is a folder, a pipe or a device, which may have no end or keep a reader waiting.
    #[error("{file} is no regular file: name the file itself")]
    NotRegular {
        /// What was named.
        file: Utf8PathBuf,
    },
    /// Nobody writes so much by hand.
    #[error("{file} is larger than {bytes_max} bytes, the most that a configuration may have: is it the right file?")]
    TooLarge {
        /// The file.
        file: Utf8PathBuf,
        /// How large it may be.
        bytes_max: u64,
    },
    /// It is no text.
    #[error("{place}: this is not UTF-8: save the file with that encoding")]
    NotUtf8 {
        /// Behind the last character that is.
        place: Place,
        /// What is wrong with the bytes.
        #[source]
        source: Utf8Error,
    },
    /// It is no YAML, or uses what a configuration has no need of.
    #[error("{place}: this cannot be read as YAML: correct the line, or quote the text")]
    Yaml {
        /// Where reading stopped.
        place: Place,
        /// What the reader says.
        #[source]
        source: YamlFault,
    },
    /// It costs more to read than any configuration does.
    #[error("{place}: {excess}")]
    Excess {
        /// Where it became too much.
        place: Place,
        /// What there was too much of.
        excess: Excess,
    },
    /// One map has the same key twice, and only one of them could count.
    #[error("{place}: `{}` is there twice: remove one of the two", .key.escape_debug())]
    DuplicateKey {
        /// The second of them.
        place: Place,
        /// The key.
        key: String,
    },
    /// There is no such key here.
    #[error("{place}: unknown key `{}`: {}", .key.escape_debug(), suggestion(.nearest.as_deref(), .known))]
    UnknownField {
        /// The key, or the map it is in.
        place: Place,
        /// The key.
        key: String,
        /// The keys that may stand here.
        known: Vec<String>,
        /// The one of them that was meant, most likely.
        nearest: Option<String>,
    },
    /// A key that must be there is not.
    #[error("{place}: `{key}` is missing: add it")]
    MissingField {
        /// What lacks it.
        place: Place,
        /// The key.
        key: String,
    },
    /// Something else belongs here: a list, a map, a number.
    #[error("{place}: this is not what belongs here: write what the schema of the configuration says")]
    WrongKind {
        /// The value.
        place: Place,
        /// What was expected.
        #[source]
        source: YamlFault,
    },
    /// Nothing says how the file is to be understood.
    #[error("{file} does not say its version: write `version: 1` as its first line")]
    MissingVersion {
        /// The file.
        file: Utf8PathBuf,
    },
    /// It is for another larder.
    #[error("{place}: {}", about_version(.found))]
    UnknownVersion {
        /// The value of `version`.
        place: Place,
        /// What it says.
        found: String,
    },
    /// A value cannot be what it says it is.
    #[error("{place}: {name} cannot be used")]
    Value {
        /// The value.
        place: Place,
        /// Its name, as in [`Setting::name`](crate::Setting::name).
        name: String,
        /// What is wrong with it.
        #[source]
        source: ValueError,
    },
    /// Two values exclude each other.
    #[error("{place}: {name} and {other} ({origin}) contradict each other: {remedy}")]
    Contradiction {
        /// The one further down in the file.
        place: Place,
        /// Its name.
        name: String,
        /// The name of the other.
        other: String,
        /// Where that comes from.
        origin: Box<Origin>,
        /// What to do.
        remedy: &'static str,
    },
    /// A rule names a class that does not exist.
    #[error("{place}: there is no class `{}`: {}", .class.escape_debug(), suggestion(.nearest.as_deref(), .known))]
    UnknownClass {
        /// The name in the rule.
        place: Place,
        /// The name.
        class: String,
        /// The classes that there are.
        known: Vec<String>,
        /// The one of them that was meant, most likely.
        nearest: Option<String>,
    },
    /// A class cannot have this name.
    #[error("{place}: `{}` is no name for a class: {remedy}", .name.escape_debug())]
    ClassName {
        /// The name.
        place: Place,
        /// The name.
        name: String,
        /// What to do.
        remedy: &'static str,
    },
    /// A pattern is none.
    #[error("{place}: {pattern:?} is no pattern on keys")]
    Pattern {
        /// The pattern.
        place: Place,
        /// What was written.
        pattern: String,
        /// What is wrong with it.
        #[source]
        source: PatternError,
    },
    /// A pattern asks for a segment that no key has.
    #[error("{place}: {pattern:?} matches no key, because no key has {segment}: remove it")]
    Unmatchable {
        /// The pattern.
        place: Place,
        /// What was written.
        pattern: String,
        /// What no key has.
        segment: &'static str,
    },
    /// A source runs nothing.
    #[error("{place}: a source needs a program to run: write it as the first word of `command`")]
    EmptyCommand {
        /// The command, or what should be it.
        place: Place,
    },
    /// A word of a command cannot be made for any key, or would let a key choose the program.
    #[error("{place}: the word {word:?} of the command cannot be used")]
    Template {
        /// The word.
        place: Place,
        /// What was written.
        word: String,
        /// What is wrong with it.
        #[source]
        source: TemplateError,
    },
    /// No variable of the environment has such a name.
    #[error("{place}: this is no name of a variable: write its name alone, like {name:?}, without `=` and a value")]
    EnvironmentName {
        /// The name.
        place: Place,
        /// What was written before the first `=`.
        name: String,
    },
    /// A credential cannot have this name. What was written is not repeated: it may be a credential.
    #[error("{place}: this cannot be the name of a credential")]
    CredentialName {
        /// The name.
        place: Place,
        /// What is wrong with it.
        #[source]
        source: name::Error,
    },
    /// A source asks for a credential that nothing is said about. What was written is not repeated: it may be a credential.
    #[error("{place}: there is no credential of this name: {}", credential_names(.nearest.as_deref(), .known))]
    UnknownCredential {
        /// The name.
        place: Place,
        /// The credentials that there are.
        known: Vec<String>,
        /// The one of them that was meant, most likely.
        nearest: Option<String>,
    },
    /// A source asks for a credential that has no variable to be given in.
    #[error(
        "{place}: the credential `{name}` has no `env`, and sources get credentials in variables: add `env: NAME` to it"
    )]
    NoVariable {
        /// Where it is asked for.
        place: Place,
        /// The credential.
        name: String,
    },
    /// In the place of the name of a variable stands something else, perhaps the credential itself.
    #[error(
        "{place}: here belongs the name of a variable, at most 64 of A-Z, 0-9 and `_`, and never the credential itself: write \
         a name such as DOCS_TOKEN, and set the variable outside this file"
    )]
    NotAVariable {
        /// What was written.
        place: Place,
    },
    /// Something is said about a command that there is not.
    #[error(
        "{place}: `{key}` is about the `command` that prints the credential, and there is none: add it, or remove this"
    )]
    WithoutCommand {
        /// What is said.
        place: Place,
        /// Its key.
        key: &'static str,
    },
    /// A set of characters is none.
    #[error("{place}: these are no characters for a credential")]
    Characters {
        /// What was written.
        place: Place,
        /// What is wrong with it.
        #[source]
        source: form::Error,
    },
    /// A check of a credential cannot be made.
    #[error("{place}: this check cannot be made: {what}")]
    Check {
        /// What was written.
        place: Place,
        /// What belongs there.
        what: &'static str,
    },
    /// A document cannot have such a tag.
    #[error("{place}: {tag:?} is no tag: a tag has 1 to 256 bytes and no NUL character")]
    Tag {
        /// The tag.
        place: Place,
        /// What was written.
        tag: String,
    },
    /// A list is longer than anything that is looked through for every key may be.
    #[error("{place}: more than {max} {what}: join some of them")]
    TooMany {
        /// The first one too many.
        place: Place,
        /// What there is too much of.
        what: &'static str,
        /// How many there may be.
        max: usize,
    },
}

impl Error {
    /// The file that it is about, as it was named when it was read.
    pub fn file(&self) -> &Utf8Path {
        match self {
            Self::Unreadable { file, .. }
            | Self::NotRegular { file, .. }
            | Self::TooLarge { file, .. }
            | Self::MissingVersion { file, .. } => file,
            Self::NotUtf8 { place, .. }
            | Self::Yaml { place, .. }
            | Self::Excess { place, .. }
            | Self::DuplicateKey { place, .. }
            | Self::UnknownField { place, .. }
            | Self::MissingField { place, .. }
            | Self::WrongKind { place, .. }
            | Self::UnknownVersion { place, .. }
            | Self::Value { place, .. }
            | Self::Contradiction { place, .. }
            | Self::UnknownClass { place, .. }
            | Self::ClassName { place, .. }
            | Self::Pattern { place, .. }
            | Self::Unmatchable { place, .. }
            | Self::EmptyCommand { place, .. }
            | Self::Template { place, .. }
            | Self::EnvironmentName { place, .. }
            | Self::CredentialName { place, .. }
            | Self::UnknownCredential { place, .. }
            | Self::NoVariable { place, .. }
            | Self::NotAVariable { place, .. }
            | Self::WithoutCommand { place, .. }
            | Self::Characters { place, .. }
            | Self::Check { place, .. }
            | Self::Tag { place, .. }
            | Self::TooMany { place, .. } => &place.file,
        }
    }
}

/// What the YAML reader says: opaque, so that the reader is nobody else's concern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct YamlFault {
    pub(crate) text: String,
}

/// What a file may not have much of, so that reading it is quick and needs little memory, whoever wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Excess {
    /// Anchors, aliases or merges: a few bytes that stand for very many.
    References,
    /// Lists and maps within each other.
    Depth,
    /// Values.
    Values,
}

impl fmt::Display for Excess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::References => "anchors, aliases and merges are not read: write the value where it is used",
            Self::Depth => "lists and maps are nested deeper than any configuration: remove some levels",
            Self::Values => "more values than any configuration has: remove some",
        })
    }
}

fn suggestion(nearest: Option<&str>, known: &[String]) -> String {
    match nearest {
        Some(name) => format!("did you mean `{name}`?"),
        None => format!("use one of {}", known.join(", ")),
    }
}

fn credential_names(nearest: Option<&str>, known: &[String]) -> String {
    if known.is_empty() { "name it under `credentials`, with an `env`".to_owned() } else { suggestion(nearest, known) }
}

/// How much of a wrong version is repeated, in characters.
const SHOWN_MAX: usize = 40;

fn about_version(found: &str) -> String {
    match found.parse::<u64>() {
        Ok(number) if number > 1 => format!("version {number} is newer than this larder understands: update larder"),
        // whoever wrote a long one knows it by its beginning
        _ => {
            let beginning: String = found.chars().take(SHOWN_MAX).collect();
            format!("{beginning:?} is no version of this file: write `version: 1`")
        }
    }
}

/// The known name that is nearest to one that is not known, if it is near enough to be a slip of the fingers.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    // an absurdly long name is no slip, and comparing it would cost the product of the lengths
    const LENGTH_MAX: usize = 64;
    if name.len() > LENGTH_MAX {
        return None;
    }
    let letters = name.chars().count().max(3);
    let near = known.into_iter().map(|other| (strsim::damerau_levenshtein(name, other), other));
    let near = near.filter(|(distance, _)| *distance * 3 <= letters);
    near.min_by_key(|(distance, _)| *distance).map(|(_, other)| other.to_owned())
}
