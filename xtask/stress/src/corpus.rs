//! The payload: real Markdown, the README files of the dependencies in the local registry sources.

use camino::{Utf8Path, Utf8PathBuf};
use larder_system::{Disk as _, Open, SystemDisk, read_to_limit, write_all};

use crate::failure::{Doing as _, Failure};

/// How many documents are used, and how large one and all of them may be.
const DOCUMENTS_MAX: usize = 48;
const DOCUMENT_BYTES_MAX: usize = 48 * 1024;
const BYTES_MAX: usize = 768 * 1024;
/// Stands between documents in the file that workers read; no Markdown has it.
const SEPARATOR: char = '\u{1e}';

/// What is there when no registry source is.
const FALLBACK: &str = "# A larder\n\nA larder keeps food fresh. This text stands in for real documents: no README was \
                        found among the dependencies of this workspace.\n";

/// Texts to make documents of.
#[derive(Clone, Debug)]
pub(crate) struct Corpus {
    texts: Vec<String>,
    /// Where they come from, for the report.
    pub(crate) source: String,
}

impl Corpus {
    /// The README files of the workspace's dependencies, as far as they are on this machine.
    pub(crate) fn collect() -> Self {
        let (readmes, whose) = match readmes(&["--offline", "--filter-platform", &host()]) {
            readmes if readmes.is_empty() => (own_readmes(), "this workspace"),
            readmes => (readmes, "its dependencies"),
        };
        let mut texts = Vec::new();
        let mut bytes = 0;
        for text in readmes.iter().filter_map(|path| read(path).ok()) {
            let fits = text.len() <= DOCUMENT_BYTES_MAX && bytes + text.len() <= BYTES_MAX;
            if !text.is_empty() && fits && !text.contains(SEPARATOR) {
                bytes += text.len();
                texts.push(text);
            }
            if texts.len() == DOCUMENTS_MAX {
                break;
            }
        }
        if texts.is_empty() {
            return Self {
                texts: vec![FALLBACK.to_owned()],
                source: "a built-in text, no README being found".to_owned(),
            };
        }
        let source = format!("{} README files of {whose}, {} KiB", texts.len(), bytes / 1024);
        Self { texts, source }
    }

    /// The text of a number; every number has one.
    pub(crate) fn text(&self, number: u64) -> &str {
        let count = self.texts.len().max(1) as u64;
        let index = usize::try_from(number % count).unwrap_or(0);
        self.texts.get(index).map_or(FALLBACK, String::as_str)
    }

    /// Writes it down for workers.
    pub(crate) fn write(&self, path: &Utf8Path) -> Result<(), Failure> {
        let (disk, folder) = (SystemDisk::new(), path.parent().unwrap_or_else(|| Utf8Path::new(".")));
        let folder = disk.open_root(folder.as_std_path()).doing("open the folder of the documents")?;
        let name = path.file_name().unwrap_or("corpus");
        let file = disk.open(&folder, name.as_ref(), Open::CREATE_NEW).doing("write the documents")?;
        let whole = self.texts.join(&SEPARATOR.to_string());
        write_all(&disk, &file, &[whole.as_bytes()]).doing("write the documents")
    }

    /// What [`write`](Self::write) wrote.
    pub(crate) fn open(path: &Utf8Path) -> Result<Self, Failure> {
        let text = read(path).doing("read the documents")?;
        Ok(Self { texts: text.split(SEPARATOR).map(str::to_owned).collect(), source: String::new() })
    }
}

/// Of the dependencies. Empty when not all of them are on this machine: what is only tested with may never have been
/// fetched, and the stress fetches nothing.
fn readmes(options: &[&str]) -> Vec<Utf8PathBuf> {
    let packages = metadata(options).map(|metadata| metadata.packages).unwrap_or_default();
    let mut readmes: Vec<Utf8PathBuf> = packages
        .iter()
        .filter(|package| package.source.is_some())
        .filter_map(cargo_metadata::Package::readme)
        .collect();
    readmes.sort();
    readmes
}

/// Of the members of this workspace.
fn own_readmes() -> Vec<Utf8PathBuf> {
    let packages = metadata(&["--offline", "--no-deps"]).map(|metadata| metadata.packages).unwrap_or_default();
    packages.iter().filter_map(cargo_metadata::Package::readme).collect()
}

fn metadata(options: &[&str]) -> Result<cargo_metadata::Metadata, cargo_metadata::Error> {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let options = options.iter().map(|option| (*option).to_owned()).collect::<Vec<_>>();
    cargo_metadata::MetadataCommand::new().manifest_path(manifest).other_options(options).exec()
}

/// The platform that dependencies are chosen for, as the compiler names it.
fn host() -> String {
    let asked = std::process::Command::new("rustc").arg("-vV").output();
    let text = asked.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default().to_owned()
}

fn read(path: &Utf8Path) -> std::io::Result<String> {
    let disk = SystemDisk::new();
    let folder = disk.open_root(path.parent().unwrap_or_else(|| Utf8Path::new(".")).as_std_path())?;
    let file = disk.open(&folder, path.file_name().unwrap_or_default().as_ref(), Open::READ)?;
    let mut bytes = Vec::new();
    read_to_limit(&disk, &file, &mut bytes, BYTES_MAX + DOCUMENTS_MAX * 4)?;
    String::from_utf8(bytes).map_err(|_| std::io::ErrorKind::InvalidData.into())
}
