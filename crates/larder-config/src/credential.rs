//! A credential as it is configured: where it is found and what form it has, never what it is.

use std::time::Duration;

use larder_credentials::{Form, Name};

use crate::place::Place;

/// A credential that sources may ask for.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Credential {
    /// What it is called.
    pub name: Name,
    /// The variable of the environment that has it, and in which sources get it.
    pub variable: Option<String>,
    /// What prints it.
    pub command: Option<Command>,
    /// Whether the keyring of the system is asked.
    pub keyring: bool,
    /// What form it has.
    pub form: Form,
    /// Whether sources that ask for it run without it when there is none.
    pub optional: bool,
    /// Whether it is looked for at all.
    pub enabled: bool,
    /// Who tells whether it is good.
    pub check: Option<Check>,
    /// Where it is configured.
    pub place: Place,
}

/// A program that prints a credential.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Command {
    /// The program, and its arguments.
    pub words: Vec<String>,
    /// The variables that it gets, by name, beside those that every program needs.
    pub env: Vec<String>,
    /// How long it may take.
    pub timeout: Duration,
}

/// An HTTP request that is answered with success if the credential is good.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Check {
    /// Where.
    pub url: String,
    /// GET or HEAD.
    pub method: String,
    /// The header, with `{}` in the place of the credential.
    pub header: String,
    /// How long the answer may take.
    pub timeout: Duration,
    /// Where it is configured.
    pub place: Place,
}
