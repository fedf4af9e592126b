//! `format.yaml`: who may read a root, who may write it, and which it is.
//!
//! It is written in one canonical form, which is read line by line: a command that only reads parses no YAML. Any other
//! form, such as a person's edit, goes through the YAML engine.

use std::path::Path;

use camino::Utf8Path;
use larder_lock::Backend;
use larder_system::{Disk, Handle, Open, read_to_limit, retry};
use serde::Deserialize;

use super::{Error, FORMAT};
use crate::failure::Failure;

/// The root format that this version makes, and the newest it knows.
pub(crate) const VERSION: u32 = 1;
const BYTES_MAX: usize = 4_096;

/// What `format.yaml` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Format {
    pub(crate) version: u32,
    pub(crate) read_from: u32,
    pub(crate) write_from: u32,
    pub(crate) root: u128,
    pub(crate) locks: &'static str,
}

/// The file's fields; unknown ones are a newer version's business.
#[derive(Deserialize)]
struct Fields {
    format: u32,
    read_from: u32,
    write_from: u32,
    root: String,
    locks: String,
}

const ADVISORY: &str = "advisory";
const LEASE: &str = "lease";

/// The name that a chosen backend has in the file; `None` where the root's own is taken.
pub(crate) fn backend_name(backend: Backend) -> Option<&'static str> {
    match backend {
        Backend::Advisory => Some(ADVISORY),
        Backend::Lease { .. } => Some(LEASE),
        _ => None,
    }
}

impl Format {
    /// Of a new root.
    pub(crate) fn new(root: u128, backend: Backend) -> Self {
        let locks = backend_name(backend).unwrap_or(ADVISORY);
        Self { version: VERSION, read_from: VERSION, write_from: VERSION, root, locks }
    }

    pub(crate) fn backend(&self) -> Backend {
        if self.is_lease() { Backend::LEASE } else { Backend::Advisory }
    }

    /// Whether locks are leases, which can run out under their holder.
    pub(crate) fn is_lease(&self) -> bool {
        self.locks == LEASE
    }

    /// The canonical form.
    pub(crate) fn encode(&self) -> String {
        format!(
            "# A larder root: a shared cache of documents. docs/format.md of larder explains every file in it.\n\
             format: {}\nread_from: {}\nwrite_from: {}\nroot: {:032x}\nlocks: {}\n",
            self.version, self.read_from, self.write_from, self.root, self.locks
        )
    }

    /// Reads the file; `None` when there is none.
    pub(crate) fn read(disk: &dyn Disk, root: &Handle, path: &Utf8Path) -> Result<Option<Self>, Error> {
        let path = path.join(FORMAT);
        let failed = |action, error| Error::Failed(Failure::new(action, &path, error));
        let file = match retry(|| disk.open(root, Path::new(FORMAT), Open::READ)) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed("open", error)),
        };
        let mut bytes = Vec::with_capacity(512);
        let read = read_to_limit(disk, &file, &mut bytes, BYTES_MAX);
        disk.close(file);
        let whole = read.map_err(|error| failed("read", error))?;
        let malformed = |detail: String| Error::Malformed { path: path.clone(), detail };
        if !whole {
            return Err(malformed(format!("it is longer than {BYTES_MAX} bytes")));
        }
        let text = std::str::from_utf8(&bytes).map_err(|_| malformed("it is not UTF-8".to_owned()))?;
        Self::parse(text).map(Some).map_err(malformed)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let fields = match canonical(text) {
            Some(fields) => fields,
            None => serde_yaml::from_str::<Fields>(text).map_err(|error| error.to_string())?,
        };
        let root = u128::from_str_radix(&fields.root, 16).map_err(|_| "root is not a hexadecimal number".to_owned())?;
        let locks = match fields.locks.as_str() {
            ADVISORY => ADVISORY,
            LEASE => LEASE,
            // a newer version may know more kinds; whether that matters is for the version to say
            other if fields.format <= VERSION => {
                return Err(format!("locks: {other} is neither {ADVISORY} nor {LEASE}"));
            }
            _ => ADVISORY,
        };
        let Fields { format: version, read_from, write_from, .. } = fields;
        Ok(Self { version, read_from, write_from, root, locks })
    }

    /// Whether this version may do what needs knowledge of format `needed`.
    pub(crate) fn check(&self, path: &Utf8Path, access: &'static str, needed: u32) -> Result<(), Error> {
        if needed <= VERSION {
            return Ok(());
        }
        Err(Error::Newer { path: path.to_owned(), format: self.version, needed, access })
    }
}

/// The fields of a text exactly as [`Format::encode`] writes it.
fn canonical(text: &str) -> Option<Fields> {
    let mut lines = text.lines();
    if !lines.next()?.starts_with("# ") {
        return None;
    }
    let mut value = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(": ");
    let format = value("format")?.parse().ok()?;
    let read_from = value("read_from")?.parse().ok()?;
    let write_from = value("write_from")?.parse().ok()?;
    let root = value("root")?.to_owned();
    let locks = value("locks")?.to_owned();
    let plain = root.len() == 32 && locks.bytes().all(|byte| byte.is_ascii_lowercase());
    (plain && lines.next().is_none()).then_some(Fields { format, read_from, write_from, root, locks })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_canonical_form_comes_back() {
        let format = Format::new(0x1234_5678_9abc_def0_1234_5678_9abc_def0, Backend::LEASE);
        assert!(canonical(&format.encode()).is_some());
        assert_eq!(Format::parse(&format.encode()).unwrap(), format);
    }

    #[test]
    fn an_edited_file_is_still_yaml() {
        let text = "{write_from: 1, read_from: 1, root: 'ff', locks: advisory, format: 1, note: mine}";
        assert_eq!(Format::parse(text).unwrap().root, 255);
        assert!(Format::parse("format: 1").is_err());
        assert!(Format::parse("").is_err());
        assert!(Format::parse("{a: [").is_err());
    }

    #[test]
    fn newer_roots_are_refused_by_what_they_ask_for() {
        let format = Format { version: 3, read_from: 1, write_from: 3, root: 1, locks: ADVISORY };
        assert!(format.check(Utf8Path::new("r"), "read", format.read_from).is_ok());
        let error = format.check(Utf8Path::new("r"), "write", format.write_from).unwrap_err();
        assert!(error.to_string().contains("format 3"), "{error}");
    }
}
