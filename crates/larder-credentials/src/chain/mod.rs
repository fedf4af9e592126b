//! Where a credential is looked for, one place after the other.

mod answer;
mod command;

use std::ffi::OsString;
use std::fmt;
use std::sync::Arc;

use crate::keyring::Keyring;
use crate::{Name, Secret, Store, secret, store};

pub use answer::{Answer, Found, Link, Looked, Tried};
pub use command::{Command, NoProgram, OUTPUT_BYTES_MAX, TIMEOUT};

/// Tells the value of an environment variable.
type Environment = Arc<dyn Fn(&str) -> Option<OsString> + Send + Sync>;

/// The places where a credential is looked for, in the order in which they are added.
///
/// The usual order: what was given, environment variables, a command, the keyring, the file; then, where the upstream
/// allows it, nothing at all. The first place that has a secret ends the search. A place that fails is told in the answer
/// and passed over, unless passing it over would hide a danger: see [`Error`].
///
/// Nothing is ever put into the environment of this process, and nothing is made by looking.
///
/// ```
/// use larder_credentials::{Answer, Chain, Link, Looked, Store};
///
/// # let scratch = larder_testkit::Scratch::new("chain-doc");
/// let file = scratch.utf8_path().join("credentials.json");
/// let chain = Chain::new()
///     .environment(|name| (name == "DOCS_TOKEN_OLD").then(|| "sk-1234".into()))
///     .variable("DOCS_TOKEN")
///     .variable("DOCS_TOKEN_OLD")
///     .store(Store::at(file));
/// let found = chain.find(&"docs".parse()?)?.found().unwrap();
/// assert_eq!(found.link, Link::Environment { variable: "DOCS_TOKEN_OLD".to_owned() });
/// assert_eq!(found.tried[0].looked, Looked::Absent);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
#[must_use = "a chain does nothing until it is asked"]
pub struct Chain {
    places: Vec<Place>,
    anonymous: bool,
    environment: Environment,
}

/// A place, with what is needed to look there.
#[derive(Clone, Debug)]
enum Place {
    Explicit(Secret),
    Variable(String),
    Command(Command),
    Keyring(String, Arc<dyn Keyring>),
    Store(Store),
}

/// Why a search ended before its end: what is wrong must be put right, not passed over.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A variable is set to something that is no secret.
    #[error("the environment variable {variable} is set, but not to a secret: set it again, or unset it")]
    Variable {
        /// Which variable.
        variable: String,
        /// What is wrong with its value.
        #[source]
        source: secret::Error,
    },
    /// Others may use the file, it is another user's, something else is in its place, or a later version wrote it.
    #[error("the file of secrets is refused")]
    Store(#[source] store::Error),
}

/// What one place gives.
enum Look {
    Found(Secret),
    Nothing(Looked),
}

impl Default for Chain {
    fn default() -> Self {
        Self::new()
    }
}

impl Chain {
    /// No place yet, and none needed either: it finds nothing.
    pub fn new() -> Self {
        Self { places: Vec::new(), anonymous: false, environment: Arc::new(|name| std::env::var_os(name)) }
    }

    /// Reads environment variables by this function instead of the process's own: for tests, and for programs that were
    /// given an environment.
    pub fn environment(mut self, value: impl Fn(&str) -> Option<OsString> + Send + Sync + 'static) -> Self {
        self.environment = Arc::new(value);
        self
    }

    /// What the caller has already, from standard input (see [`Secret::read`]) or from a person. Never take it from the
    /// command line: every user of the machine can read that.
    pub fn explicit(mut self, secret: Secret) -> Self {
        self.places.push(Place::Explicit(secret));
        self
    }

    /// An environment variable. One that is set to nothing counts as absent, and the answer says so.
    pub fn variable(mut self, variable: impl Into<String>) -> Self {
        self.places.push(Place::Variable(variable.into()));
        self
    }

    /// What a command prints, such as one of a password store.
    pub fn command(mut self, command: Command) -> Self {
        self.places.push(Place::Command(command));
        self
    }

    /// A keyring: the secret that it has for this service and the credential's name.
    pub fn keyring(mut self, service: impl Into<String>, keyring: Arc<dyn Keyring>) -> Self {
        self.places.push(Place::Keyring(service.into(), keyring));
        self
    }

    /// A file of secrets.
    pub fn store(mut self, store: Store) -> Self {
        self.places.push(Place::Store(store));
        self
    }

    /// Answers [`Answer::Anonymous`] in place of [`Answer::Missing`]: the upstream serves those without a credential, too.
    pub fn anonymous(mut self) -> Self {
        self.anonymous = true;
        self
    }

    /// The places, in order.
    pub fn links(&self) -> impl Iterator<Item = Link> {
        self.places.iter().map(Place::link)
    }

    /// Looks for the credential of this name.
    ///
    /// It takes as long as its commands and keyrings may take, and never longer: each has its bound.
    ///
    /// # Errors
    /// A place was reached that must be put right first. Later places were not looked at.
    pub fn find(&self, name: &Name) -> Result<Answer, Error> {
        let mut tried = Vec::new();
        for place in &self.places {
            let link = place.link();
            match self.look(place, name)? {
                Look::Found(secret) => {
                    tracing::debug!(%name, %link, "found a credential");
                    return Ok(Answer::Found(Found { secret, link, tried }));
                }
                Look::Nothing(looked) => tried.push(Tried { link, looked }),
            }
        }
        Ok(if self.anonymous { Answer::Anonymous(tried) } else { Answer::Missing(tried) })
    }

    fn look(&self, place: &Place, name: &Name) -> Result<Look, Error> {
        let failed = |reason: String| Look::Nothing(Looked::Failed(reason));
        Ok(match place {
            Place::Explicit(secret) => Look::Found(secret.clone()),
            Place::Variable(variable) => return self.look_at_variable(variable),
            Place::Command(command) => match command.run(self.environment.as_ref()) {
                Ok(secret) => Look::Found(secret),
                Err(failure) => failed(with_causes(&failure)),
            },
            Place::Keyring(service, keyring) => match keyring.get(service, name.as_str()) {
                Ok(Some(secret)) => Look::Found(secret),
                Ok(None) => Look::Nothing(Looked::Absent),
                Err(error) => failed(with_causes(&error)),
            },
            Place::Store(store) => match store.get(name) {
                Ok(Some(stored)) => Look::Found(stored.secret),
                Ok(None) => Look::Nothing(Looked::Absent),
                Err(error) if error.is_refusal() => return Err(Error::Store(error)),
                Err(error) => failed(with_causes(&error)),
            },
        })
    }

    fn look_at_variable(&self, variable: &str) -> Result<Look, Error> {
        let Some(value) = (self.environment)(variable) else { return Ok(Look::Nothing(Looked::Absent)) };
        match Secret::new(value.into_encoded_bytes()) {
            Ok(secret) => Ok(Look::Found(secret)),
            Err(secret::Error::Empty) => Ok(Look::Nothing(Looked::Empty)),
            Err(source) => Err(Error::Variable { variable: variable.to_owned(), source }),
        }
    }
}

impl Place {
    fn link(&self) -> Link {
        match self {
            Self::Explicit(_) => Link::Explicit,
            Self::Variable(variable) => Link::Environment { variable: variable.clone() },
            Self::Command(command) => Link::Command { program: command.program().to_owned() },
            Self::Keyring(service, _) => Link::Keyring { service: service.clone() },
            Self::Store(store) => Link::File { path: store.path().to_owned() },
        }
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chain")
            .field("places", &self.places)
            .field("anonymous", &self.anonymous)
            .finish_non_exhaustive()
    }
}

/// An error and its causes in one line, for a place that was passed over.
fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    // a chain of causes has an end, but nobody promises that
    causes.take(8).fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
