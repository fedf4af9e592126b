//! Names for what `run` stores: a digest that tells nobody which command, folder or environment it stands for.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;

use camino::Utf8PathBuf;
use larder_storage::{Annex, Key, Store, annex};
use larder_system::{Open, Replace, read_to_limit};

use crate::terms::Variable;

/// The annex that the secret is kept in.
const FOLDER: &str = "secret";
/// The secret's file.
const FILE: &str = "key";
/// Its length in bytes; the file has it in hexadecimal, with a line break.
const SECRET_BYTES: usize = 32;
const FILE_BYTES: usize = 2 * SECRET_BYTES + 1;
/// How many hexadecimal digits of the digest name a document: 128 bits.
const NAME_DIGITS: usize = 32;
/// Tells these digests from any others that a root's secret may be used for; it changes with what is digested.
const DOMAIN: &[u8] = b"larder run 1";

/// Why there is no name.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum Error {
    /// The root cannot be used.
    #[error(transparent)]
    Annex(#[from] annex::Error),
    /// A system call failed.
    #[error("cannot {action} the root's secret {path}")]
    Failed {
        /// What was being done.
        action: &'static str,
        /// To which file.
        path: Utf8PathBuf,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// The file is not what it should be.
    #[error(
        "{path} is no secret of {SECRET_BYTES} bytes in hexadecimal: restore it, or remove it to have a new one made (what \
         `run` stored without --key is then run again)"
    )]
    Damaged {
        /// The file.
        path: Utf8PathBuf,
    },
    /// The folder that the command would run in has no name.
    #[error("cannot tell the working folder, which names what is stored: change to one that exists, or give --key")]
    Folder {
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
}

/// The secret of a root.
pub(crate) struct Secret([u8; SECRET_BYTES]);

impl Secret {
    /// The root's secret, if one was made. Makes nothing.
    pub(crate) fn find(store: &Store) -> Result<Option<Self>, Error> {
        match store.annex_if_present(FOLDER)? {
            Some(annex) => Self::read(&annex),
            None => Ok(None),
        }
    }

    /// The root's secret, made if there is none. All who make one at the same time agree.
    pub(crate) fn make(store: &Store) -> Result<Self, Error> {
        let annex = store.annex(FOLDER)?;
        let failed = |action, source| Error::Failed { action, path: annex.path_of(FILE), source };
        let mut secret = [0; SECRET_BYTES];
        getrandom::fill(&mut secret).map_err(|error| failed("draw", error.into()))?;
        let mut text = String::with_capacity(FILE_BYTES);
        for byte in secret {
            text.extend([byte >> 4, byte & 15].map(|digit| char::from_digit(digit.into(), 16).unwrap_or('0')));
        }
        text.push('\n');
        if let Some(file) = annex.publish(FILE, &[text.as_bytes()], Replace::No)? {
            // lost, all that it names would be run again
            let synced = annex.disk().sync(&file).and_then(|()| annex.disk().sync(annex.folder()));
            annex.disk().close(file);
            synced.map_err(|source| failed("sync", source))?;
            return Ok(Self(secret));
        }
        Self::read(&annex)?.ok_or_else(|| failed("read", std::io::ErrorKind::NotFound.into()))
    }

    fn read(annex: &Annex) -> Result<Option<Self>, Error> {
        let Some(file) = annex.open(FILE, Open::READ)? else { return Ok(None) };
        let mut text = Vec::with_capacity(FILE_BYTES + 1);
        let read = read_to_limit(annex.disk(), &file, &mut text, FILE_BYTES);
        annex.disk().close(file);
        match read {
            Ok(true) => {}
            Ok(false) => return Err(Error::Damaged { path: annex.path_of(FILE) }),
            Err(source) => return Err(Error::Failed { action: "read", path: annex.path_of(FILE), source }),
        }
        decode(&text).map(|secret| Some(Self(secret))).ok_or_else(|| Error::Damaged { path: annex.path_of(FILE) })
    }

    /// The key of what `command` prints in `folder`, as far as that depends on `variables`.
    pub(crate) fn name(&self, command: &[OsString], folder: &Path, variables: &[Variable]) -> Option<Key> {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        // every part with its length, so that no two lists of parts read the same
        let mut part = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        part(DOMAIN);
        part(&(command.len() as u64).to_le_bytes());
        for argument in command {
            part(argument.as_encoded_bytes());
        }
        part(folder.as_os_str().as_encoded_bytes());
        let mut variables: Vec<&Variable> = variables.iter().collect();
        variables.sort();
        variables.dedup();
        for variable in variables {
            part(variable.name().as_encoded_bytes());
            match std::env::var_os(variable.name()) {
                Some(value) => {
                    part(b"set");
                    part(value.as_encoded_bytes());
                }
                None => part(b"unset"),
            }
        }
        let digest = hasher.finalize().to_hex();
        Key::new(format!("run/{}", digest.get(..NAME_DIGITS)?)).ok()
    }
}

/// The folder that a command would run in.
pub(crate) fn working_folder() -> Result<std::path::PathBuf, Error> {
    std::env::current_dir().map_err(|source| Error::Folder { source })
}

fn decode(text: &[u8]) -> Option<[u8; SECRET_BYTES]> {
    let digits = text.strip_suffix(b"\n")?;
    if digits.len() != 2 * SECRET_BYTES {
        return None;
    }
    let mut secret = [0; SECRET_BYTES];
    for (byte, pair) in secret.iter_mut().zip(digits.chunks(2)) {
        let digit = |at: usize| pair.get(at).and_then(|digit| char::from(*digit).to_digit(16));
        *byte = u8::try_from(digit(0)? << 4 | digit(1)?).ok()?;
    }
    Some(secret)
}

/// The key without `--key`, if the root has a secret: without one, nothing was ever stored under such a key.
pub(crate) fn name(
    store: &Arc<Store>,
    command: &[OsString],
    variables: &[Variable],
    secret: impl FnOnce(&Store) -> Result<Option<Secret>, Error>,
) -> Result<Option<Key>, Error> {
    let Some(secret) = secret(store)? else { return Ok(None) };
    Ok(secret.name(command, &working_folder()?, variables))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(secret: u8, command: &[&str], folder: &str, variables: &[&str]) -> Key {
        let command: Vec<OsString> = command.iter().map(OsString::from).collect();
        let variables: Vec<Variable> = variables.iter().map(|name| Variable::new(name.as_ref()).unwrap()).collect();
        Secret([secret; SECRET_BYTES]).name(&command, folder.as_ref(), &variables).unwrap()
    }

    #[test]
    fn the_name_depends_on_each_part_and_on_where_one_ends() {
        let base = name(1, &["a", "b"], "/x", &[]);
        assert_eq!(base, name(1, &["a", "b"], "/x", &[]));
        let others = [
            name(2, &["a", "b"], "/x", &[]),
            name(1, &["ab"], "/x", &[]),
            name(1, &["a", "b", ""], "/x", &[]),
            name(1, &["b", "a"], "/x", &[]),
            name(1, &["", "ab"], "/x", &[]),
            name(1, &["a", ""], "b/x", &[]),
            name(1, &["a", "b"], "/y", &[]),
            name(1, &["a", "b"], "/x", &["LARDER_TEST_SURELY_UNSET"]),
            name(1, &["a", "b"], "/x", &["PATH"]),
        ];
        for (at, other) in others.iter().enumerate() {
            assert_ne!(*other, base);
            assert!(!others[..at].contains(other), "{at}");
        }
        assert_ne!(name(1, &["ab", "c"], "/x", &[]), name(1, &["a", "bc"], "/x", &[]));
    }

    #[test]
    fn the_order_of_variables_does_not_matter() {
        assert_eq!(name(1, &["a"], "/x", &["PATH", "HOME"]), name(1, &["a"], "/x", &["HOME", "PATH", "HOME"]));
    }

    #[test]
    fn only_a_whole_secret_is_one() {
        let whole = format!("{}\n", "0f".repeat(SECRET_BYTES));
        assert_eq!(decode(whole.as_bytes()), Some([0x0f; SECRET_BYTES]));
        assert_eq!(decode(whole.trim_end().as_bytes()), None);
        assert_eq!(decode(&whole.as_bytes()[2..]), None);
        assert_eq!(decode(&[0; FILE_BYTES]), None);
        assert_eq!(decode(whole.replace('f', "g").as_bytes()), None);
    }
}
