//! The configuration: which file it is, and whether its commands may be run.

mod trust;
pub(crate) mod verb;

use std::path::PathBuf;

use camino::{Utf8Path, Utf8PathBuf};
use larder::Policy;
use larder_config::{Config, Credential, Source};
use larder_lock::{Bound, Origin, Wait};
use larder_storage::{Bounds, Key, Options};

use crate::args::Global;
use crate::exit::{Exit, Failed};
use crate::place;
use crate::root::variable;

/// The variable that names the file.
pub(crate) const VARIABLE: &str = "LARDER_CONFIG";
/// What the file is called, in a working folder and in the user's folder.
pub(crate) const NAME: &str = "larder.yaml";

/// The configuration, and where it comes from.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    pub(crate) config: Config,
    /// The file; `None` where there is none.
    file: Option<Utf8PathBuf>,
    standing: Standing,
}

/// Why a file's commands may be run, or may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// There is no file.
    BuiltIn,
    /// Somebody has named it, with the flag or the variable.
    Named,
    /// It is the user's own.
    Users,
    /// It was found in the working folder, where its very content was trusted.
    Trusted,
    /// It was found in the working folder.
    Found,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum Error {
    /// The file that was named is not there.
    #[error("{path} does not exist, as named by {by}: name another file, or leave that out")]
    Missing {
        /// It.
        path: Utf8PathBuf,
        /// What named it.
        by: &'static str,
    },
    /// Its path is no text.
    #[error("the path of the configuration, {}, is not UTF-8: move it, and name it with --config", path.display())]
    NotText {
        /// It.
        path: PathBuf,
    },
    /// It cannot be read, or what it says makes no sense.
    #[error(transparent)]
    Config(#[from] larder_config::Error),
    /// It names a class that there is not.
    #[error(transparent)]
    Class(#[from] larder_staleness::UnknownClass),
    /// Nobody has looked at what it does with credentials.
    #[error(
        "{file} says where credentials are found and who is given them, and was found in the working folder, where anybody may \
         have put it: look at it, and run `larder config trust` there, or name it with --config"
    )]
    UntrustedCredentials {
        /// The file.
        file: Utf8PathBuf,
    },
    /// Nobody has looked at its commands.
    #[error(
        "{file} would run {program:?} for this key, and was found in the working folder, where anybody may have put it: look \
         at it, and run `larder config trust` there, or name it with --config"
    )]
    Untrusted {
        /// The file.
        file: Utf8PathBuf,
        /// The program.
        program: String,
    },
}

impl Error {
    /// The file that it is about, where that has a name.
    pub(crate) fn file(&self) -> Option<&Utf8Path> {
        match self {
            Self::Missing { path, .. } => Some(path),
            Self::Config(error) => Some(error.file()),
            Self::Untrusted { file, .. } | Self::UntrustedCredentials { file } => Some(file),
            Self::NotText { .. } | Self::Class(_) => None,
        }
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        let exit = match error {
            Error::Config(larder_config::Error::Unreadable { .. }) => Exit::INPUT_OUTPUT,
            _ => Exit::USAGE,
        };
        Self::new(exit, error)
    }
}

impl Loaded {
    /// The one that the flag or the variable names; else the working folder's; else the user's; else the built-in one.
    pub(crate) fn find(global: &Global) -> Result<Self, Error> {
        let named = match &global.config {
            Some(path) => Some((path.clone(), "--config")),
            None => variable(VARIABLE).map(|path| (PathBuf::from(path), VARIABLE)),
        };
        if let Some((path, by)) = named {
            let path = text(path)?;
            let Some(bytes) = Config::bytes(&path)? else { return Err(Error::Missing { path, by }) };
            return Self::parse(&bytes, path, Standing::Named);
        }
        let path = Utf8PathBuf::from(NAME);
        if let Some(bytes) = Config::bytes(&path)? {
            let standing = if trust::is_trusted(&bytes) { Standing::Trusted } else { Standing::Found };
            return Self::parse(&bytes, path, standing);
        }
        Self::users()
    }

    /// The user's, else the built-in one.
    fn users() -> Result<Self, Error> {
        if let Some(folder) = place::config_folder() {
            let path = text(folder.join("larder").join(NAME))?;
            if let Some(bytes) = Config::bytes(&path)? {
                return Self::parse(&bytes, path, Standing::Users);
            }
        }
        Ok(Self { config: Config::built_in(), file: None, standing: Standing::BuiltIn })
    }

    /// The one that says what credentials there are. One that was found and is not trusted neither says that, nor hides what
    /// the user's own says.
    pub(crate) fn find_for_credentials(global: &Global) -> Result<Self, Error> {
        let loaded = Self::find(global)?;
        loaded.check_trusted_with_credentials()?;
        if loaded.standing == Standing::Found { Self::users() } else { Ok(loaded) }
    }

    /// What is read is what is used: nobody can change it in between.
    fn parse(bytes: &[u8], path: Utf8PathBuf, standing: Standing) -> Result<Self, Error> {
        Ok(Self { config: Config::parse_bytes(bytes, &path)?, file: Some(path), standing })
    }

    /// The file; `None` where there is none.
    pub(crate) fn file(&self) -> Option<&Utf8Path> {
        self.file.as_deref()
    }

    /// How the file was come by, in words.
    pub(crate) const fn origin(&self) -> &'static str {
        match self.standing {
            Standing::BuiltIn => "built in",
            Standing::Named => "named by --config or LARDER_CONFIG",
            Standing::Users => "the user's own",
            Standing::Trusted => "found in the working folder and trusted",
            Standing::Found => "found in the working folder and not trusted",
        }
    }

    /// Whether its commands may be run.
    pub(crate) fn is_trusted(&self) -> bool {
        self.standing != Standing::Found
    }

    /// The source of a key, whether or not it may be asked.
    pub(crate) fn source_of(&self, key: &Key) -> Option<&Source> {
        self.config.source_of(key.as_str())
    }

    /// Whether the source's command may be run.
    pub(crate) fn check_trusted(&self, source: &Source) -> Result<(), Error> {
        match (&self.file, self.standing) {
            (Some(file), Standing::Found) => {
                let (file, program) = (file.clone(), source.program().to_owned());
                Err(Error::Untrusted { file, program })
            }
            _ => Ok(()),
        }
    }

    /// Whether the credentials that it names may be looked for, and given to those whom it names.
    pub(crate) fn check_trusted_with_credentials(&self) -> Result<(), Error> {
        match (&self.file, self.standing) {
            (Some(file), Standing::Found) if !self.config.credentials().is_empty() => {
                Err(Error::UntrustedCredentials { file: file.clone() })
            }
            _ => Ok(()),
        }
    }

    /// What the source's command is to be given of credentials.
    pub(crate) fn credentials_of(&self, source: &Source) -> Vec<Credential> {
        source.credentials.iter().filter_map(|name| self.config.credential(name.as_str())).cloned().collect()
    }

    /// How long a document may be used, by the class that is named, else by its key.
    pub(crate) fn policy(&self, class: Option<&str>, key: Option<&Key>) -> Result<Policy, Error> {
        let classes = self.config.classes();
        Ok(*match (class, key) {
            (None, None) => classes.default_policy(),
            (class, key) => classes.choose(class, key.map_or("", Key::as_str))?.policy,
        })
    }

    /// How long to wait for others.
    pub(crate) fn wait(&self) -> Wait {
        let bound = self.config.limits().lock_timeout.map_or(Bound::Infinite, Bound::from_duration);
        let origin = match &self.file {
            Some(file) => Origin::Config(format!("limits.lock_timeout, {file}")),
            None => Origin::Default,
        };
        Wait::new(bound).from(origin)
    }

    /// How the store is opened.
    pub(crate) fn options(&self) -> Options {
        let limits = self.config.limits();
        let bounds = Bounds { bytes: limits.bytes_max, entries: limits.entries_max };
        Options::new().body_bytes_max(limits.body_bytes_max).bounds(bounds)
    }

    /// Whether the refresh worker may fetch anything.
    pub(crate) fn may_fetch_behind(&self) -> bool {
        let switches = self.config.switches();
        switches.refresh && switches.network && switches.disk && self.config.refresh().enabled
    }

    /// Whether anything is refreshed behind a caller's back.
    pub(crate) fn may_refresh(&self) -> bool {
        let switches = self.config.switches();
        // without locks every caller would send a helper
        switches.refresh && switches.locking && self.config.refresh().enabled
    }
}

fn text(path: PathBuf) -> Result<Utf8PathBuf, Error> {
    Utf8PathBuf::from_path_buf(path).map_err(|path| Error::NotText { path })
}
