//! Credentials: their names, the places where they are looked for, and the sources that ask for them.

use std::collections::BTreeMap;
use std::time::Duration;

use larder_credentials::form::{Characters, Form, Length};
use larder_credentials::{Name, name};

use super::{Resolver, WORDS_MAX};
use crate::credential::{Check, Command, Credential};
use crate::error::{Error, nearest};
use crate::file;
use crate::place::Place;
use crate::setting::{Origin, Setting};
use crate::value::{self, ValueError};
use crate::yaml::At;

/// How many there may be.
const CREDENTIALS_MAX: usize = 100;
/// How long a command that prints one, and a check of one, may take unless it is said.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The longest name of a variable.
const NAME_BYTES_MAX: usize = 64;
const METHODS: [&str; 2] = ["GET", "HEAD"];
const HEADER: &str = "Authorization: Bearer {}";

impl Resolver<'_> {
    pub(super) fn credentials(
        &mut self,
        given: Option<&BTreeMap<At<String>, file::Credential>>,
    ) -> Result<Vec<Credential>, Error> {
        let mut credentials = Vec::new();
        for (at, given) in given.into_iter().flatten() {
            let place = at.place(self.file);
            if credentials.len() >= CREDENTIALS_MAX {
                return Err(Error::TooMany { place, what: "credentials", max: CREDENTIALS_MAX });
            }
            let name: Name = at
                .value
                .parse()
                .map_err(|source: name::Error| Error::CredentialName { place: place.clone(), source })?;
            let credential = self.credential(name, place, given)?;
            self.show(&credential, at);
            credentials.push(credential);
        }
        Ok(credentials)
    }

    fn credential(&mut self, name: Name, place: Place, given: &file::Credential) -> Result<Credential, Error> {
        let scope = format!("credentials.{name}");
        let is = |at: &Option<At<bool>>, otherwise| at.as_ref().map_or(otherwise, |at| at.value);
        let variable = given.env.as_ref().map(|at| self.variable(at)).transpose()?;
        let command = given.command.as_ref().map(|at| self.printing(&scope, at, given)).transpose()?;
        if let (None, Some(at)) = (&command, given.command_env.as_ref().and_then(|env| env.first())) {
            return Err(Error::WithoutCommand { place: at.place(self.file), key: "command_env" });
        }
        if let (None, Some(at)) = (&command, &given.command_timeout) {
            return Err(Error::WithoutCommand { place: at.place(self.file), key: "command_timeout" });
        }
        let form = self.form(&scope, given)?;
        let check = given.check.as_ref().map(|check| self.check(&scope, check)).transpose()?;
        Ok(Credential {
            name,
            variable,
            command,
            keyring: is(&given.keyring, false),
            form,
            optional: is(&given.optional, false),
            enabled: is(&given.enabled, true),
            check,
            place,
        })
    }

    /// The name of a variable. What was written is not repeated: it may be the credential itself, put in the wrong place.
    fn variable(&self, at: &At<String>) -> Result<String, Error> {
        let is_name = |text: &str| {
            // small letters are what tokens have and names of such variables have not
            text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
                && text.len() <= NAME_BYTES_MAX
                && !text.starts_with(|first: char| first.is_ascii_digit())
                && !text.is_empty()
        };
        if is_name(&at.value) { Ok(at.value.clone()) } else { Err(Error::NotAVariable { place: at.place(self.file) }) }
    }

    fn printing(&self, scope: &str, given: &At<Vec<At<String>>>, about: &file::Credential) -> Result<Command, Error> {
        match given.value.first() {
            None => return Err(Error::EmptyCommand { place: given.place(self.file) }),
            Some(program) if program.value.is_empty() => {
                return Err(Error::EmptyCommand { place: program.place(self.file) });
            }
            Some(_) => {}
        }
        if let Some(word) = given.value.get(WORDS_MAX) {
            return Err(Error::TooMany { place: word.place(self.file), what: "words in a command", max: WORDS_MAX });
        }
        let words = given.value.iter().map(|word| word.value.clone()).collect();
        let env = about.command_env.iter().flatten().map(|at| self.variable(at)).collect::<Result<_, _>>()?;
        let timeout = self.timeout(scope, "command_timeout", about.command_timeout.as_ref())?;
        Ok(Command { words, env, timeout })
    }

    fn timeout(&self, scope: &str, key: &str, given: Option<&At<String>>) -> Result<Duration, Error> {
        let some_time = |text: &str| {
            value::duration(text).and_then(|time| if time.is_zero() { Err(ValueError::Zero) } else { Ok(time) })
        };
        given.map_or(Ok(TIMEOUT), |at| self.scope(scope).value(key, at, some_time))
    }

    fn form(&self, scope: &str, given: &file::Credential) -> Result<Form, Error> {
        let characters = |at: &At<String>| {
            let fail = |source| Error::Characters { place: at.place(self.file), source };
            at.value.parse::<Characters>().map_err(fail)
        };
        let length = |at: &At<String>| {
            let range = self.scope(scope).value("length", at, value::length)?;
            let (least, most) = (*range.start(), *range.end());
            Ok(if least == most { Length::Exact(least) } else { Length::Range(range) })
        };
        Ok(Form {
            prefix: given.prefix.as_ref().map(|at| at.value.clone()),
            length: given.length.as_ref().map(length).transpose()?,
            characters: given.characters.as_ref().map(characters).transpose()?,
        })
    }

    fn check(&self, scope: &str, given: &file::Check) -> Result<Check, Error> {
        let place = given.url.place(self.file);
        let wrong = |at: &At<String>, what| Error::Check { place: at.place(self.file), what };
        if !["https://", "http://"].iter().any(|scheme| given.url.value.starts_with(scheme)) {
            return Err(wrong(&given.url, "`url` begins with https://, or with http:// for a server on this machine"));
        }
        let method = given.method.as_ref().map_or("GET", |at| at.value.as_str());
        if let Some(at) = given.method.as_ref().filter(|_| !METHODS.contains(&method)) {
            return Err(wrong(at, "`method` is GET or HEAD"));
        }
        let header = given.header.as_ref().map_or(HEADER, |at| at.value.as_str());
        if let Some(at) = given.header.as_ref()
            && (header.matches("{}").count() != 1 || !header.contains(": ") || header.contains(char::is_control))
        {
            return Err(wrong(
                at,
                "`header` is a name, a colon, a space and a value that has {} in the place of the credential",
            ));
        }
        let timeout = self.timeout(&format!("{scope}.check"), "timeout", given.timeout.as_ref())?;
        Ok(Check { url: given.url.value.clone(), method: method.to_owned(), header: header.to_owned(), timeout, place })
    }

    /// Its line among the settings: where it is looked for, in order.
    fn show(&mut self, credential: &Credential, at: &At<String>) {
        let Credential { name, variable, command, keyring, optional, enabled, .. } = credential;
        let mut links = Vec::new();
        links.extend(variable.as_ref().map(|variable| format!("variable {variable}")));
        links.extend(command.as_ref().and_then(|command| command.words.first()).map(|word| format!("command {word}")));
        links.extend(keyring.then(|| "keyring".to_owned()));
        links.push("file".to_owned());
        links.extend(optional.then(|| "optional".to_owned()));
        links.extend((!enabled).then(|| "switched off".to_owned()));
        let origin = Origin::File { file: self.file.to_owned(), line: at.line };
        self.settings.push(Setting { name: format!("credentials.{name}"), value: links.join(", "), origin });
    }

    /// The credentials that a source asks for.
    pub(super) fn asked_for(
        &self,
        given: Option<&[At<String>]>,
        credentials: &[Credential],
    ) -> Result<Vec<Name>, Error> {
        let mut names: Vec<Name> = Vec::new();
        for at in given.unwrap_or_default() {
            let place = at.place(self.file);
            let Some(known) = credentials.iter().find(|known| known.name.as_str() == at.value) else {
                let known: Vec<String> = credentials.iter().map(|known| known.name.to_string()).collect();
                let nearest = nearest(&at.value, known.iter().map(String::as_str));
                return Err(Error::UnknownCredential { place, known, nearest });
            };
            if known.variable.is_none() {
                return Err(Error::NoVariable { place, name: known.name.to_string() });
            }
            if !names.contains(&known.name) {
                names.push(known.name.clone());
            }
        }
        Ok(names)
    }
}
