//! A finding: how bad it is, what it is about, and what to do.

use std::fmt::Write as _;

use camino::{Utf8Path, Utf8PathBuf};
use larder_lock::Holder;
use serde::Serialize;

use crate::exit::Exit;
use crate::json::HolderObject;
use crate::text::plain;

/// How bad it is, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Severity {
    /// Something does not work, or a promise is broken.
    Error,
    /// It works, and not as well or as safely as it could.
    Warning,
    /// Worth knowing. It never changes the exit code.
    Note,
}

/// What a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Subject {
    Root,
    Format,
    FileSystem,
    Locks,
    Space,
    Bounds,
    Clock,
    Entries,
    Quarantine,
    Leftovers,
    Queue,
    Holders,
    Config,
    Environment,
    Credentials,
}

impl Subject {
    /// As it is written, in words and in JSON.
    fn name(self) -> String {
        serde_json::to_string(&self).unwrap_or_default().trim_matches('"').replace('_', " ")
    }
}

/// One thing to do about it.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Remedy {
    #[serde(rename = "do")]
    what: String,
    /// The very command, as a shell reads it.
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<String>,
}

/// Something that is wrong, or worth knowing.
#[derive(Serialize)]
pub(super) struct Finding {
    pub(super) severity: Severity,
    pub(super) subject: Subject,
    what: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<Utf8PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    holder: Option<HolderObject>,
    /// Alternatives, or steps in their order.
    remedies: Vec<Remedy>,
}

impl Finding {
    pub(super) fn error(subject: Subject, what: impl Into<String>) -> Self {
        Self::new(Severity::Error, subject, what.into())
    }

    pub(super) fn warning(subject: Subject, what: impl Into<String>) -> Self {
        Self::new(Severity::Warning, subject, what.into())
    }

    pub(super) fn note(subject: Subject, what: impl Into<String>) -> Self {
        Self::new(Severity::Note, subject, what.into())
    }

    fn new(severity: Severity, subject: Subject, what: String) -> Self {
        Self { severity, subject, what, path: None, key: None, holder: None, remedies: Vec::new() }
    }

    pub(super) fn at(mut self, path: impl AsRef<Utf8Path>) -> Self {
        self.path = Some(path.as_ref().to_owned());
        self
    }

    pub(super) fn of_key(mut self, key: Option<impl Into<String>>) -> Self {
        self.key = key.map(Into::into);
        self
    }

    pub(super) fn held_by(mut self, holder: &Holder) -> Self {
        self.holder = Some(HolderObject::from(holder));
        self
    }

    /// What to do, where no command does it.
    pub(super) fn remedy(mut self, what: impl Into<String>) -> Self {
        self.remedies.push(Remedy { what: what.into(), command: None });
        self
    }

    /// What to do, and the command that does it.
    pub(super) fn command(mut self, what: impl Into<String>, command: impl Into<String>) -> Self {
        self.remedies.push(Remedy { what: what.into(), command: Some(command.into()) });
        self
    }

    /// Whether another check says the same.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        (self.subject, &self.what, &self.path) == (other.subject, &other.what, &other.path)
    }

    /// The finding on a line, its remedies below it.
    pub(super) fn words(&self) -> String {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        };
        let mut text = format!("{severity}: {}: {}\n", self.subject.name(), plain(&self.what));
        for Remedy { what, command } in &self.remedies {
            let _ = match command {
                Some(command) => writeln!(text, "    {}: {}", plain(what), plain(command)),
                None => writeln!(text, "    {}", plain(what)),
            };
        }
        text
    }
}

/// What one check saw.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) findings: Vec<Finding>,
    /// What is as it should be, for those who want to hear that too.
    pub(super) facts: Vec<String>,
}

impl Seen {
    pub(super) fn add(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    pub(super) fn fact(&mut self, fact: impl Into<String>) {
        self.facts.push(fact.into());
    }
}

/// The code to end with. Warnings count, so that whoever runs this before relying on the cache hears of them.
pub(super) fn exit(findings: &[Finding]) -> Exit {
    let of = |severity| findings.iter().filter(move |finding| finding.severity == severity);
    if of(Severity::Error).next().is_some()
        && of(Severity::Error).all(|finding| finding.subject == Subject::Credentials)
    {
        return Exit::CREDENTIALS;
    }
    if findings.iter().any(|finding| finding.severity < Severity::Note) { Exit::FAILURE } else { Exit::OK }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(findings: &[(Severity, Subject)]) -> u8 {
        let findings = findings.iter().map(|(severity, subject)| Finding::new(*severity, *subject, String::new()));
        exit(&findings.collect::<Vec<_>>()).code()
    }

    #[test]
    fn errors_and_warnings_are_failures_and_notes_are_not() {
        assert_eq!(ends(&[]), 0);
        assert_eq!(ends(&[(Severity::Note, Subject::Root)]), 0);
        assert_eq!(ends(&[(Severity::Note, Subject::Root), (Severity::Warning, Subject::Root)]), 1);
        assert_eq!(ends(&[(Severity::Error, Subject::Root)]), 1);
    }

    #[test]
    fn errors_that_are_only_about_credentials_have_a_code_of_their_own() {
        let (secret, other) = (Subject::Credentials, Subject::Root);
        assert_eq!(ends(&[(Severity::Error, secret), (Severity::Warning, other)]), 4);
        assert_eq!(ends(&[(Severity::Error, secret), (Severity::Error, other)]), 1);
        assert_eq!(ends(&[(Severity::Warning, secret)]), 1);
    }

    #[test]
    fn a_finding_is_a_line_and_each_remedy_another_whatever_names_contain() {
        let finding = Finding::error(Subject::FileSystem, "bad\nname").remedy("think").command("do it", "rm 'a b'");
        assert_eq!(finding.words(), "error: file system: bad\\nname\n    think\n    do it: rm 'a b'\n");
    }
}
