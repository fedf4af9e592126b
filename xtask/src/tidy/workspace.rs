//! What tidy judges: the crates as cargo knows them, the files as git knows them.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};
use cargo_metadata::MetadataCommand;

use super::source::{LexError, Source};
use super::weights::{self, Weights};

/// Text files beyond this are data; their words are not judged.
const TEXT_BYTES_MAX: u64 = 4 << 20;

/// Why the workspace could not be looked at.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum LoadError {
    /// Cargo did not describe the workspace.
    #[error("cargo metadata failed; run it by hand to see what cargo objects to")]
    Metadata(#[source] cargo_metadata::Error),
    /// Git could not be started.
    #[error("git could not be run in {root}; tidy judges the files that git tracks, so it needs git")]
    Git {
        /// The workspace.
        root: Utf8PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Git refused.
    #[error("git ls-files failed in {root}: {message}; run tidy inside a clone")]
    List {
        /// The workspace.
        root: Utf8PathBuf,
        /// What git said.
        message: String,
    },
    /// Cargo did not tell what a crate depends on.
    #[error("cargo tree failed: {message}; run it by hand to see what cargo objects to")]
    Tree {
        /// What cargo said.
        message: String,
    },
    /// A tracked file cannot be read.
    #[error("{path} could not be read; restore it or remove it from git")]
    Read {
        /// The file.
        path: Utf8PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

/// What a dependency is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The code itself, or its build script.
    Normal,
    /// Tests, examples and benches only.
    Development,
}

/// An arrow from one crate to another of this workspace.
#[derive(Clone, Debug)]
pub(super) struct Edge {
    pub(super) to: String,
    pub(super) purpose: Purpose,
}

/// A member of the workspace.
#[derive(Clone, Debug)]
pub(super) struct Crate {
    pub(super) name: String,
    /// Relative to the workspace, without a slash at its end.
    pub(super) folder: Utf8PathBuf,
    pub(super) published: bool,
    /// Names of its libraries, programs and tests.
    pub(super) targets: Vec<String>,
    pub(super) edges: Vec<Edge>,
}

impl Crate {
    pub(super) fn manifest(&self) -> Utf8PathBuf {
        self.folder.join("Cargo.toml")
    }
}

/// A file that git tracks or would track.
#[derive(Debug)]
pub(super) struct File {
    /// Relative to the workspace.
    pub(super) path: Utf8PathBuf,
    /// Empty for files that are not text.
    pub(super) text: String,
    /// For Rust files only.
    pub(super) source: Option<Result<Source, LexError>>,
}

impl File {
    pub(super) fn new(path: impl Into<Utf8PathBuf>, text: impl Into<String>) -> Self {
        let (path, text) = (path.into(), text.into());
        let source = (path.extension() == Some("rs")).then(|| Source::read(&text));
        Self { path, text, source }
    }

    /// Its lines, numbered from 1.
    pub(super) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.text.lines())
    }
}

/// All that tidy judges.
#[derive(Debug)]
pub(super) struct Workspace {
    pub(super) crates: Vec<Crate>,
    pub(super) files: Vec<File>,
    pub(super) weights: Weights,
    /// Every file and every folder that holds one.
    paths: BTreeSet<Utf8PathBuf>,
}

impl Workspace {
    pub(super) fn new(crates: Vec<Crate>, files: Vec<File>) -> Self {
        let paths = files.iter().flat_map(|file| file.path.ancestors()).map(Utf8Path::to_owned).collect();
        Self { crates, files, weights: Weights::new(), paths }
    }

    /// Reads the workspace around the current folder.
    pub(super) fn load() -> Result<Self, LoadError> {
        let metadata = MetadataCommand::new().no_deps().exec().map_err(LoadError::Metadata)?;
        let root = &metadata.workspace_root;
        let crates = metadata.packages.iter().map(|package| crate_of(root, package)).collect();
        let mut files = Vec::new();
        for path in tracked(root)? {
            if let Some(text) = read_text(&root.join(&path))? {
                files.push(File::new(path, text));
            }
        }
        Ok(Self { weights: weights::load(root)?, ..Self::new(crates, files) })
    }

    /// Whether a tracked file or a folder with one has this path, relative to the workspace.
    pub(super) fn exists(&self, path: &Utf8Path) -> bool {
        self.paths.contains(path)
    }

    pub(super) fn file(&self, path: &Utf8Path) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }

    pub(super) fn is_member(&self, name: &str) -> bool {
        self.crates.iter().any(|member| member.name == name)
    }

    /// The readable Rust sources below `folder`.
    pub(super) fn sources_in<'a>(&'a self, folder: &'a Utf8Path) -> impl Iterator<Item = &'a Source> {
        self.files
            .iter()
            .filter(move |file| file.path.starts_with(folder))
            .filter_map(|file| file.source.as_ref().and_then(|source| source.as_ref().ok()))
    }
}

fn crate_of(root: &Utf8Path, package: &cargo_metadata::Package) -> Crate {
    let folder = package.manifest_path.parent().unwrap_or(root);
    let edges = package.dependencies.iter().filter(|dependency| dependency.path.is_some()).map(|dependency| Edge {
        to: dependency.name.clone(),
        purpose: match dependency.kind {
            cargo_metadata::DependencyKind::Development => Purpose::Development,
            _ => Purpose::Normal,
        },
    });
    Crate {
        name: package.name.to_string(),
        folder: folder.strip_prefix(root).unwrap_or(folder).to_owned(),
        // `publish = false` is an empty list of places to publish to
        published: package.publish.as_ref().is_none_or(|places| !places.is_empty()),
        targets: package.targets.iter().map(|target| target.name.clone()).collect(),
        edges: edges.collect(),
    }
}

/// What a clone would hold once the current work is added.
fn tracked(root: &Utf8Path) -> Result<BTreeSet<Utf8PathBuf>, LoadError> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .map_err(|source| LoadError::Git { root: root.to_owned(), source })?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(LoadError::List { root: root.to_owned(), message });
    }
    let names = output.stdout.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    Ok(names.map(|name| Utf8PathBuf::from(String::from_utf8_lossy(name).into_owned())).collect())
}

/// The text of a regular file, empty if it is not text; `None` for what is not a file (a link, or removed since).
fn read_text(path: &Utf8Path) -> Result<Option<String>, LoadError> {
    if !path.symlink_metadata().is_ok_and(|metadata| metadata.is_file()) {
        return Ok(None);
    }
    let failed = |source| LoadError::Read { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(TEXT_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > TEXT_BYTES_MAX {
        return Ok(Some(String::new()));
    }
    Ok(Some(String::from_utf8(bytes).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_exists_when_a_file_below_it_does() {
        let workspace = Workspace::new(Vec::new(), vec![File::new("docs/deep/format.md", "")]);
        assert!(workspace.exists(Utf8Path::new("docs/deep")));
        assert!(workspace.exists(Utf8Path::new("docs/deep/format.md")));
        assert!(!workspace.exists(Utf8Path::new("docs/format.md")));
    }

    #[test]
    fn this_very_workspace_loads_with_its_own_crate_in_it() {
        let workspace = Workspace::load().unwrap();
        let own = workspace.crates.iter().find(|member| member.name == "xtask").unwrap();
        assert_eq!((own.folder.as_str(), own.published), ("xtask", false));
        assert!(own.edges.iter().any(|edge| edge.to == "larder-system" && edge.purpose == Purpose::Normal));
        assert!(workspace.file(Utf8Path::new("xtask/src/main.rs")).is_some());
    }
}
