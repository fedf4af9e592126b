//! Whether a credential is good, and what to do when it is not.

#[cfg(feature = "http")]
pub mod http;
mod memory;
mod probe;
mod remedy;
mod report;
mod verdict;

use std::sync::Arc;
use std::time::Duration;

use camino::Utf8PathBuf;
use larder_system::{Clock, SystemClock, SystemDisk};

use crate::{Answer, Chain, Form, Found, Link, Name, Tried, chain};
use memory::{About, Last, Memory, Refused};

pub use probe::{Probe, Probed};
pub use remedy::{Advice, Place, Remedy};
pub use report::{Origin, Report};
pub use verdict::Verdict;

/// How long a valid credential is taken for valid unless told otherwise.
pub const REMEMBERED_FOR: Duration = Duration::from_secs(15 * 60);

/// How long an upstream may take to answer unless told otherwise.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// What is checked: where the credential is looked for, which form it has, and who is asked whether it is taken.
///
/// ```
/// use larder_credentials::check::{Advice, Ask, Checker, Verdict};
/// use larder_credentials::Chain;
///
/// let chain = Chain::new().environment(|_| None).variable("DOCS_TOKEN");
/// let checker = Checker::new(chain, Advice::new("docs-tool"));
/// let report = checker.check(&"docs".parse()?, Ask::IfNotRemembered)?;
/// assert_eq!(report.verdict, Verdict::Missing);
/// assert!(report.to_string().contains("environment variable DOCS_TOKEN: absent"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a checker does nothing until it is asked"]
pub struct Checker {
    chain: Chain,
    advice: Advice,
    form: Option<Form>,
    probe: Option<Arc<dyn Probe>>,
    memory: Option<Utf8PathBuf>,
    remembered_for: Duration,
    deadline: Duration,
    clock: Arc<dyn Clock>,
}

/// When the upstream is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// When it is not remembered that it took this very credential.
    IfNotRemembered,
    /// In any case.
    Always,
    /// Never: for whoever is offline.
    Never,
}

impl Checker {
    /// Checks what this chain finds, and gives advice in the name of this program.
    pub fn new(chain: Chain, advice: Advice) -> Self {
        Self {
            chain,
            advice,
            form: None,
            probe: None,
            memory: None,
            remembered_for: REMEMBERED_FOR,
            deadline: DEADLINE,
            clock: Arc::new(SystemClock::new()),
        }
    }

    /// The form that it must have before anybody is asked.
    pub fn form(mut self, form: Form) -> Self {
        self.form = Some(form);
        self
    }

    /// Who is asked whether it is taken. Without, a credential of the right form is [`Verdict::Unchecked`].
    pub fn probe(mut self, probe: Arc<dyn Probe>) -> Self {
        self.probe = Some(probe);
        self
    }

    /// Remembers in this file whether a credential was taken: by its name, its fingerprint and the probe's label, never the
    /// secret. The file is made with mode 0600; one that is damaged, or that others may write, counts as absent.
    pub fn memory(mut self, path: impl Into<Utf8PathBuf>) -> Self {
        self.memory = Some(path.into());
        self
    }

    /// How long that counts; 15 minutes unless set. That it was not taken is remembered as long, for those who may not ask
    /// ([`Ask::Never`]): everybody else asks again.
    pub const fn remembered_for(mut self, time: Duration) -> Self {
        self.remembered_for = time;
        self
    }

    /// How long the upstream may take; 10 seconds unless set.
    pub const fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// By another clock.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Looks for the credential of this name and says what is known about it.
    ///
    /// # Errors
    /// The search met something that must be put right first.
    pub fn check(&self, name: &Name, ask: Ask) -> Result<Report, chain::Error> {
        self.check_found(name, ask).map(|(report, _)| report)
    }

    /// The same, and what was found, for whoever goes on to use it.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn check_found(&self, name: &Name, ask: Ask) -> Result<(Report, Option<Found>), chain::Error> {
        match self.chain.find(name)? {
            Answer::Found(found) => {
                let verdict = self.judge(name, &found, ask);
                let origin = Origin { link: found.link.clone(), fingerprint: found.secret.fingerprint() };
                Ok((self.report(name, verdict, Some(origin), found.tried.clone()), Some(found)))
            }
            Answer::Anonymous(tried) => Ok((self.report(name, Verdict::Anonymous, None, tried), None)),
            Answer::Missing(tried) => Ok((self.report(name, Verdict::Missing, None, tried), None)),
        }
    }

    fn report(&self, name: &Name, verdict: Verdict, found: Option<Origin>, tried: Vec<Tried>) -> Report {
        let places: Vec<Link> = self.chain.links().collect();
        let link = found.as_ref().map(|origin| &origin.link);
        let label = self.probe.as_ref().map(|probe| probe.label());
        let remedies = self.advice.remedies(name, &verdict, link, &places, label.as_deref());
        Report { name: name.clone(), verdict, found, tried, remedies }
    }

    fn judge(&self, name: &Name, found: &Found, ask: Ask) -> Verdict {
        if let Some(fault) = self.form.as_ref().and_then(|form| form.check(&found.secret).err()) {
            return Verdict::Malformed(fault);
        }
        let Some(probe) = &self.probe else { return Verdict::Unchecked };
        let label = probe.identity();
        let about = About { name, fingerprint: found.secret.fingerprint(), probe: &label };
        let memory = self
            .memory
            .as_ref()
            .map(|path| Memory::at(path.clone(), Arc::new(SystemDisk::new()), Arc::clone(&self.clock)));
        let last = memory.as_ref().filter(|_| ask != Ask::Always);
        match last.and_then(|memory| memory.recall(about, self.remembered_for)) {
            Some(Last { at, refused: None }) => return Verdict::Valid { at, remembered: true },
            // whoever may ask asks again: it may have been put right
            Some(Last { at, refused: Some(refused) }) if ask == Ask::Never => return refused.verdict(at),
            _ if ask == Ask::Never => return Verdict::Unchecked,
            _ => {}
        }
        let probed = probe.probe(&found.secret, self.deadline);
        let now = self.clock.wall();
        match probed {
            Probed::Accepted => {
                if let Some(memory) = memory {
                    memory.remember(about, None, self.remembered_for);
                }
                Verdict::Valid { at: now, remembered: false }
            }
            Probed::Refused { status, expired } => {
                let refused = Refused { status, expired };
                if let Some(memory) = memory {
                    memory.remember(about, Some(refused), self.remembered_for);
                }
                refused.verdict(now)
            }
            Probed::RateLimited { retry_after } => {
                Verdict::RateLimited { until: retry_after.and_then(|after| now.checked_add(after)) }
            }
            Probed::Unreachable { cause } => Verdict::Unreachable { cause },
        }
    }
}
