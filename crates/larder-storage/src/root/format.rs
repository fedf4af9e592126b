//! `format.yaml`: who may read a root, who may write it, and which it is.
//!
//! It is YAML of the plainest kind, with a field on each line, and is read as that: a YAML engine would be a third of all that
//! this crate depends on, for five lines that it writes itself.

use std::path::Path;

use camino::Utf8Path;
use larder_lock::Backend;
use larder_system::{Disk, Handle, Open, read_to_limit, retry};

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
#[derive(Default)]
struct Fields<'a> {
    format: Option<&'a str>,
    read_from: Option<&'a str>,
    write_from: Option<&'a str>,
    root: Option<&'a str>,
    locks: Option<&'a str>,
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
        let fields = Fields::of(text)?;
        let there = |name: &str, value: Option<&'_ str>| {
            value.map(str::to_owned).ok_or_else(|| format!("it has no line \"{name}: …\""))
        };
        let number = |name: &str, value| {
            there(name, value)?.parse::<u32>().map_err(|_| format!("{name} is not a number below 2^32"))
        };
        let version = number("format", fields.format)?;
        let (read_from, write_from) =
            (number("read_from", fields.read_from)?, number("write_from", fields.write_from)?);
        let root = u128::from_str_radix(&there("root", fields.root)?, 16)
            .map_err(|_| "root is not a hexadecimal number".to_owned())?;
        let locks = match there("locks", fields.locks)?.as_str() {
            ADVISORY => ADVISORY,
            LEASE => LEASE,
            // a newer version may know more kinds; whether that matters is for the version to say
            other if version <= VERSION => {
                return Err(format!("locks: {other} is neither {ADVISORY} nor {LEASE}"));
            }
            _ => ADVISORY,
        };
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

impl<'a> Fields<'a> {
    /// The fields of a text with one on each line. Empty lines, comments, and whatever belongs to a field of a newer version are
    /// passed over.
    fn of(text: &'a str) -> Result<Self, String> {
        let mut fields = Self::default();
        for line in text.lines() {
            let Some((name, value)) = line.split_once(':') else { continue };
            let field = match name {
                "format" => &mut fields.format,
                "read_from" => &mut fields.read_from,
                "write_from" => &mut fields.write_from,
                "root" => &mut fields.root,
                "locks" => &mut fields.locks,
                _ => continue,
            };
            if field.replace(scalar(value)).is_some() {
                return Err(format!("it has {name} twice"));
            }
        }
        Ok(fields)
    }
}

/// A value without its comment and its quotes.
fn scalar(value: &str) -> &str {
    let value = value.split_once(" #").map_or(value, |(value, _)| value).trim();
    let unquoted = |quote: char| value.strip_prefix(quote)?.strip_suffix(quote);
    unquoted('"').or_else(|| unquoted('\'')).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_here_and_by_any_yaml_engine() {
        #[derive(serde::Deserialize)]
        struct Yaml {
            format: u32,
            read_from: u32,
            write_from: u32,
            root: String,
            locks: String,
        }
        let format = Format::new(0x1234_5678_9abc_def0_1234_5678_9abc_def0, Backend::LEASE);
        assert_eq!(Format::parse(&format.encode()).unwrap(), format);
        let yaml: Yaml = serde_yaml::from_str(&format.encode()).unwrap();
        assert_eq!((yaml.format, yaml.read_from, yaml.write_from), (1, 1, 1));
        assert_eq!((yaml.root, yaml.locks), (format!("{:032x}", format.root), LEASE.to_owned()));
    }

    #[test]
    fn an_edited_file_is_read_and_newer_fields_are_passed_over() {
        let text = "# mine\n\nwrite_from: 1  # see below\nread_from:   1\nnew:\n  format: 7\n  - x\nroot: 'ff'\nlocks: \"advisory\"\r\nformat: 1\n";
        let format = Format::parse(text).unwrap();
        assert_eq!((format.root, format.version, format.locks), (255, 1, ADVISORY));
    }

    #[test]
    fn what_is_missing_twice_or_no_number_is_named() {
        let whole = "format: 1\nread_from: 1\nwrite_from: 1\nroot: ff\nlocks: advisory\n";
        assert!(Format::parse(whole).is_ok());
        for (from, to, told) in [
            ("root: ff\n", "", "root"),
            ("format: 1\n", "format: 1\nformat: 2\n", "format twice"),
            ("read_from: 1", "read_from: -1", "read_from is not a number"),
            ("write_from: 1", "write_from:", "write_from is not a number"),
            ("ff", "xyz", "hexadecimal"),
            ("advisory", "none", "neither advisory nor lease"),
            (whole, "", "format"),
            (whole, "{format: 1, root: ff}", "format"),
        ] {
            let error = Format::parse(&whole.replace(from, to)).unwrap_err();
            assert!(error.contains(told), "{to}: {error}");
        }
    }

    #[test]
    fn newer_roots_are_refused_by_what_they_ask_for() {
        let format = Format { version: 3, read_from: 1, write_from: 3, root: 1, locks: ADVISORY };
        assert!(format.check(Utf8Path::new("r"), "read", format.read_from).is_ok());
        let error = format.check(Utf8Path::new("r"), "write", format.write_from).unwrap_err();
        assert!(error.to_string().contains("format 3"), "{error}");
    }
}
