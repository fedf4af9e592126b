//! Somebody who keeps a secret, or one who does not.

use std::io::Write as _;
use std::process::{Command, Stdio};

use camino::{Utf8Path, Utf8PathBuf};
use larder_credentials::{Answer, Chain, Name, Secret, Store};

use crate::failure::{Doing as _, Failure};
use crate::sabotage::Sabotage;

/// The variable in which a command is given it.
const VARIABLE: &str = "CANARY_KEPT";

/// A secret, where it is stored, and what is logged of it.
#[derive(Debug)]
pub(crate) struct Keeping {
    store: Store,
    name: Name,
    log: Utf8PathBuf,
    apart: Utf8PathBuf,
    sabotage: Option<Sabotage>,
}

impl Keeping {
    pub(crate) fn open(arena: &Utf8Path, number: u32, sabotage: Option<Sabotage>) -> Result<Self, Failure> {
        let name = format!("kept-{}", number % 4).parse().doing("name a secret")?;
        Ok(Self {
            store: Store::at(arena.join("config/larder/credentials.json")),
            name,
            log: arena.join(format!("searched/keeper-{number}.log")),
            apart: arena.join("apart"),
            sabotage,
        })
    }

    /// Stores it, and logs that.
    pub(crate) fn store(&self, text: &str) -> Result<(), Failure> {
        let secret = Secret::new(text).doing("take a secret")?;
        self.store.set(&self.name, &secret).doing("store a secret")?;
        match self.sabotage {
            Some(Sabotage::SecretInLog) => self.log(&format!("stored {} as {:?}", self.name, secret.expose())),
            _ => self.log(&format!("stored {} as {secret:?}", self.name)),
        }
    }

    pub(crate) fn find(&self) -> Result<Option<String>, Failure> {
        let answer = self.answer()?;
        self.log(&format!("{answer:?}"))?;
        Ok(answer.found().map(|found| found.secret.expose().to_owned()))
    }

    fn answer(&self) -> Result<Answer, Failure> {
        Chain::new().environment(|_| None).store(self.store.clone()).find(&self.name).doing("find a secret")
    }

    /// Starts a command, which gets the secret if it asks for it; what it says comes back.
    pub(crate) fn run(&self, asks: bool) -> Result<String, Failure> {
        let program = std::env::current_exe().doing("find this program")?;
        let mut command = Command::new(program);
        command.arg("witness").arg(&self.apart).env_clear().stdin(Stdio::null()).stderr(Stdio::null());
        if (asks || self.sabotage == Some(Sabotage::SecretForAll))
            && let Some(found) = self.answer()?.found()
        {
            command.env(VARIABLE, found.secret.expose());
        }
        let output = command.output().doing("run a command")?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    #[expect(clippy::disallowed_methods, reason = "a log beside what is judged")]
    fn log(&self, line: &str) -> Result<(), Failure> {
        let mut log = std::fs::File::options().append(true).create(true).open(&self.log).doing("open the log")?;
        writeln!(log, "{line}").doing("write to the log")
    }
}
