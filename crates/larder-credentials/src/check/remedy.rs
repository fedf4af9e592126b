//! What to do about a credential, in steps that work as they are written.

use serde::Serialize;

use super::Verdict;
use super::verdict::Instant;
use crate::store::quoted;
use crate::{Link, Name};

/// The program that a person uses, so that advice can name its commands.
///
/// ```
/// use larder_credentials::check::Advice;
///
/// let advice = Advice::new("docs-tool").set_command("docs-tool auth set");
/// assert_eq!(advice.program(), "docs-tool");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advice {
    program: String,
    set_command: Option<String>,
    check_command: Option<String>,
}

/// Where a remedy is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Place {
    /// A person's shell.
    Shell,
    /// A continuous integration service.
    Ci,
    /// The keyring of the operating system.
    Keyring,
    /// A command: the program's own, or the one that prints the credential.
    Command,
}

/// One thing that can be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Remedy {
    /// Where.
    pub place: Place,
    /// What, in words and commands.
    pub text: String,
}

impl Advice {
    /// Advice in the name of this program.
    pub fn new(program: impl Into<String>) -> Self {
        Self { program: program.into(), set_command: None, check_command: None }
    }

    /// The command, without the credential's name at its end, that stores a secret from its standard input.
    #[must_use]
    pub fn set_command(mut self, command: impl Into<String>) -> Self {
        self.set_command = Some(command.into());
        self
    }

    /// The command, likewise, that asks the upstream.
    #[must_use]
    pub fn check_command(mut self, command: impl Into<String>) -> Self {
        self.check_command = Some(command.into());
        self
    }

    /// The program.
    pub fn program(&self) -> &str {
        &self.program
    }

    /// What can be done about this verdict: where the credential was found it is replaced; where none was found, each
    /// place of the chain is offered; where it is not the credential's fault, there is something to wait or look for.
    pub(super) fn remedies(
        &self,
        name: &Name,
        verdict: &Verdict,
        found: Option<&Link>,
        places: &[Link],
        probe: Option<&str>,
    ) -> Vec<Remedy> {
        if !verdict.is_bad() {
            return self.elsewhere(name, verdict, probe).into_iter().collect();
        }
        let mut remedies: Vec<Remedy> = Vec::new();
        let found: Vec<Link> = found.cloned().into_iter().collect();
        for link in if found.is_empty() { places } else { &found } {
            for remedy in self.at(name, link, !found.is_empty()) {
                // one variable is enough: the first is the one to set
                if !remedies.iter().any(|known| known.place == remedy.place) {
                    remedies.push(remedy);
                }
            }
        }
        remedies
    }

    /// What can be done where nothing is known about the credential.
    fn elsewhere(&self, name: &Name, verdict: &Verdict, probe: Option<&str>) -> Option<Remedy> {
        let again = self.check_command.as_ref().map(|command| format!(": `{command} {name}`")).unwrap_or_default();
        let text = match verdict {
            Verdict::RateLimited { until: Some(until) } => {
                format!("wait until {}, leave the credential as it is, and check again{again}", Instant(*until))
            }
            Verdict::RateLimited { until: None } => {
                format!("wait a few minutes, leave the credential as it is, and check again{again}")
            }
            Verdict::Unreachable { .. } => {
                let look = probe.filter(|label| label.starts_with("http")).map(|label| {
                    format!("see whether the upstream answers from here at all: `curl -sSI {}`; ", quoted(label))
                });
                let look = look.unwrap_or_else(|| "see whether the upstream answers from here at all; ".to_owned());
                format!("{look}set HTTPS_PROXY if this network needs a proxy, and check again{again}")
            }
            _ => return None,
        };
        Some(Remedy { place: Place::Shell, text })
    }

    fn at(&self, name: &Name, link: &Link, is_found: bool) -> Vec<Remedy> {
        let remedy = |place, text| Remedy { place, text };
        match link {
            Link::Environment { variable } => {
                vec![remedy(Place::Shell, in_shell(variable)), remedy(Place::Ci, in_ci(variable))]
            }
            Link::Keyring { service } => vec![remedy(Place::Keyring, in_keyring(service, name))],
            Link::Command { program } if is_found => {
                vec![remedy(Place::Command, format!("have `{program}` print a credential that is good"))]
            }
            Link::File { path } => vec![remedy(Place::Command, self.in_file(name, path.as_str()))],
            Link::Explicit => vec![remedy(Place::Command, format!("give {} another credential", self.program))],
            Link::Command { .. } => Vec::new(),
        }
    }

    fn in_file(&self, name: &Name, path: &str) -> String {
        match &self.set_command {
            Some(command) => {
                format!(
                    "run `{command} {name}`, paste the key and press Enter (then Ctrl-D if it still waits; Ctrl-Z on Windows)"
                )
            }
            None => format!("have {} store a credential `{name}` in {}", self.program, quoted(path)),
        }
    }
}

/// Read without an echo, so that the key stays out of the shell's history and off the screen.
#[cfg(not(windows))]
fn in_shell(variable: &str) -> String {
    format!("run `read -rs {variable} && export {variable}` in bash or zsh, paste the key and press Enter")
}

#[cfg(windows)]
fn in_shell(variable: &str) -> String {
    format!("run `$env:{variable} = Read-Host` in PowerShell, paste the key and press Enter")
}

fn in_ci(variable: &str) -> String {
    format!("add a secret named {variable} to the CI and pass it to the job as the variable {variable}")
}

/// The attributes are those that this crate's own keyring looks for.
#[cfg(not(any(windows, target_vendor = "apple")))]
fn in_keyring(service: &str, name: &Name) -> String {
    let label = quoted(&format!("{service} {name}"));
    let service = quoted(service);
    format!("run `secret-tool store --label={label} service {service} username {name}` and paste the key")
}

#[cfg(target_vendor = "apple")]
fn in_keyring(service: &str, name: &Name) -> String {
    format!("run `security add-generic-password -U -s {} -a {name} -w` and paste the key", quoted(service))
}

#[cfg(windows)]
fn in_keyring(service: &str, name: &Name) -> String {
    format!("run `cmdkey /generic:{name}.{service} /user:{name} /pass` and paste the key")
}
