//! `larder config`: what is configured, and where each value comes from.

use std::fmt::Write as _;

use larder_config::{Config, Setting};
use serde::Serialize;

use super::{Loaded, NAME, Standing, trust};
use crate::args::{Config as Terms, ConfigVerb, Global};
use crate::exit::{Exit, Failed};
use crate::output::Output;
use crate::text::plain;

/// There is nothing to trust.
#[derive(Debug, thiserror::Error)]
#[error("there is no ./{NAME} here: change to the folder that has it")]
struct Nothing;

impl From<trust::Error> for Failed {
    fn from(error: trust::Error) -> Self {
        let exit = if matches!(error, trust::Error::Homeless) { Exit::USAGE } else { Exit::INPUT_OUTPUT };
        Self::new(exit, error)
    }
}

/// What `config show --json` prints.
#[derive(Serialize)]
struct Answer<'a> {
    file: Option<&'a str>,
    trusted: bool,
    settings: &'a [Setting],
    advice: Vec<String>,
}

pub(crate) fn run(global: &Global, terms: &Terms, output: Output) -> Result<Exit, Failed> {
    match terms.what {
        ConfigVerb::Schema => {
            let mut text = serde_json::to_string_pretty(&Config::schema()).unwrap_or_default();
            text.push('\n');
            output.data(text.as_bytes())?;
        }
        ConfigVerb::Trust => {
            let bytes = Config::bytes(NAME.into())
                .map_err(super::Error::from)?
                .ok_or_else(|| Failed::new(Exit::USAGE, Nothing))?;
            // what cannot be used is not worth trust
            Config::parse_bytes(&bytes, NAME.into()).map_err(super::Error::from)?;
            trust::trust(&bytes)?;
            output.note(&format!("./{NAME} may run its commands here, until it changes"));
        }
        ConfigVerb::Show => show(&Loaded::find(global)?, output)?,
        ConfigVerb::Check => {
            let loaded = Loaded::find(global)?;
            for credential in loaded.config.credentials() {
                crate::credentials::judge_check(credential)?;
            }
            let advice = loaded.config.advice();
            for advice in advice {
                output.warn(&advice.to_string());
            }
            match &loaded.file {
                Some(file) => output.note(&format!("{file} can be used{}", standing(&loaded))),
                None => output.note("there is no configuration: everything is as built in"),
            }
        }
    }
    Ok(Exit::OK)
}

fn standing(loaded: &Loaded) -> &'static str {
    match loaded.standing {
        Standing::Found if loaded.config.defines_commands() => {
            ", but for its commands: it was found in the working folder and is not trusted (`larder config trust`)"
        }
        _ => "",
    }
}

fn show(loaded: &Loaded, output: Output) -> Result<(), Failed> {
    let settings = loaded.config.settings();
    if output.json {
        return output.object(&Answer {
            file: loaded.file.as_ref().map(|file| file.as_str()),
            trusted: loaded.standing != Standing::Found,
            settings,
            advice: loaded.config.advice().iter().map(ToString::to_string).collect(),
        });
    }
    let mut text = String::new();
    let width = settings.iter().map(|setting| setting.name.chars().count()).max().unwrap_or(0);
    for Setting { name, value, origin, .. } in settings {
        let _ = writeln!(text, "{:<width$}  {}  # {}", plain(name), plain(value), plain(&origin.to_string()));
    }
    output.data(text.as_bytes())?;
    if loaded.standing == Standing::Found && loaded.config.defines_commands() {
        output.warn(&format!("./{NAME} is not trusted: none of its commands is run (`larder config trust`)"));
    }
    Ok(())
}
