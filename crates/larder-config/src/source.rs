//! A command that fetches documents, and its words for one key.

use std::time::Duration;

use larder_credentials::Name;
use larder_staleness::Pattern;

use crate::place::Place;
use crate::template::Template;

/// After this word, programs take nothing for a flag.
const END_OF_FLAGS: &str = "--";

/// A command that fetches the documents whose keys match a pattern.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Source {
    /// Which keys.
    pub pattern: Pattern,
    /// The variables of the environment that it gets, by name.
    pub env: Vec<String>,
    /// The credentials that it gets, by name; all of them are among [`Config::credentials`](crate::Config::credentials), and
    /// have a variable.
    pub credentials: Vec<Name>,
    /// How long waiting and fetching may take together; `None` for the limit of all.
    pub timeout: Option<Duration>,
    /// The tags of what it fetches.
    pub tags: Vec<String>,
    pub(crate) words: Vec<Template>,
    pub(crate) place: Place,
}

/// Why there is no command for a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// The key lacks a part that the command has a place for.
    #[error("{place}: {variable} has no value for {key:?}: narrow the pattern of this source, or leave {variable} out")]
    NoValue {
        /// The source.
        place: Place,
        /// The part.
        variable: String,
        /// The key.
        key: String,
    },
    /// A part of the key would be taken for a flag of the command.
    #[error(
        "{place}: for {key:?} the command would be given {word:?}, which it may take for a flag: write \"--\" before that word \
         of the command, if the program understands it"
    )]
    Flag {
        /// The source.
        place: Place,
        /// The word.
        word: String,
        /// The key.
        key: String,
    },
}

impl Source {
    /// The program and its arguments for a key.
    ///
    /// A part of a key that begins with a dash never becomes a flag: a word of the command that begins with it is refused,
    /// unless the command has the word `--` before.
    ///
    /// # Errors
    /// [`CommandError`]
    pub fn command(&self, key: &str) -> Result<Vec<String>, CommandError> {
        let mut words = Vec::with_capacity(self.words.len());
        let mut may_be_flags = true;
        for template in &self.words {
            let word = template.expand(&self.pattern, key).map_err(|variable| {
                let (place, key) = (self.place.clone(), key.to_owned());
                CommandError::NoValue { place, variable: variable.name(), key }
            })?;
            if may_be_flags && word.starts_with('-') && !template.begins_with_text() {
                return Err(CommandError::Flag { place: self.place.clone(), word, key: key.to_owned() });
            }
            may_be_flags &= template.literal() != Some(END_OF_FLAGS);
            words.push(word);
        }
        Ok(words)
    }

    /// Where it stands.
    pub const fn place(&self) -> &Place {
        &self.place
    }

    /// What it runs.
    pub fn program(&self) -> &str {
        self.words.first().and_then(Template::literal).unwrap_or_default()
    }
}
