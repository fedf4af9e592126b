//! Words of a command with places for parts of a key.

use larder_staleness::Pattern;

/// How many pieces a word may be made of.
const PARTS_MAX: usize = 64;

/// A word: literal text, and places for parts of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Variable(Variable),
}

/// A part of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Variable {
    /// All of it.
    Key,
    /// What follows the pattern's literal beginning.
    Path,
    /// A segment, counted from 1.
    Segment(usize),
}

/// Why a word cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// It stands for nothing.
    #[error(
        "there is no `{{{name}}}`: use {{key}}, {{path}}, or a segment such as {{1}}; double the braces that are meant so"
    )]
    UnknownVariable {
        /// What stands between the braces.
        name: String,
    },
    /// No key that matches the pattern has it.
    #[error("no key that the pattern matches has a value for `{{{name}}}`: remove it, or widen the pattern")]
    NeverAValue {
        /// What stands between the braces.
        name: String,
    },
    /// A brace without its other half.
    #[error("a brace has no other half: close it, or double it if it is meant so")]
    Unbalanced,
    /// It has a character that no argument of a program can have.
    #[error("it has a NUL character, which no argument can have: remove it")]
    Nul,
    /// It would make far more of a key than any command takes.
    #[error("it has more than {max} places for parts of a key: remove some")]
    TooMany {
        /// How many it may have.
        max: usize,
    },
    /// The key would choose what is run.
    #[error("the program must not depend on the key: write its name, and give it the key as an argument")]
    Program,
}

impl Template {
    /// Reads a word for keys that match `pattern`.
    pub(crate) fn parse(text: &str, pattern: &Pattern) -> Result<Self, TemplateError> {
        if text.contains('\0') {
            return Err(TemplateError::Nul);
        }
        let (mut parts, mut literal, mut rest) = (Vec::new(), String::new(), text);
        while let Some(at) = rest.find(['{', '}']) {
            let (before, from) = rest.split_at(at);
            literal.push_str(before);
            if let Some(after) = from.strip_prefix("{{").or_else(|| from.strip_prefix("}}")) {
                literal.push_str(from.get(..1).unwrap_or_default());
                rest = after;
                continue;
            }
            let Some((name, after)) = from.strip_prefix('{').and_then(|from| from.split_once('}')) else {
                return Err(TemplateError::Unbalanced);
            };
            if !literal.is_empty() {
                parts.push(Part::Literal(std::mem::take(&mut literal)));
            }
            parts.push(Part::Variable(variable(name, pattern)?));
            if parts.len() > PARTS_MAX {
                return Err(TemplateError::TooMany { max: PARTS_MAX });
            }
            rest = after;
        }
        literal.push_str(rest);
        if !literal.is_empty() || parts.is_empty() {
            parts.push(Part::Literal(literal));
        }
        Ok(Self { parts })
    }

    /// The text, if it is the same for all keys.
    pub(crate) fn literal(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [Part::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// Whether the word begins as it was written, whatever the key.
    pub(crate) fn begins_with_text(&self) -> bool {
        matches!(self.parts.first(), Some(Part::Literal(_)))
    }

    /// The word for a key; the variable that has no value, if one has none.
    pub(crate) fn expand(&self, pattern: &Pattern, key: &str) -> Result<String, Variable> {
        let mut word = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(text) => word.push_str(text),
                Part::Variable(variable) => word.push_str(variable.of(pattern, key).ok_or(*variable)?),
            }
        }
        Ok(word)
    }
}

fn variable(name: &str, pattern: &Pattern) -> Result<Variable, TemplateError> {
    let never = || TemplateError::NeverAValue { name: name.to_owned() };
    let is_endless = pattern.as_str().split('/').any(|segment| segment == "**");
    let most = pattern.as_str().split('/').count();
    match name {
        "key" => Ok(Variable::Key),
        "path" if pattern.is_literal() => Err(never()),
        "path" => Ok(Variable::Path),
        _ => {
            let is_number = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
            let number = name.parse::<usize>().ok().filter(|_| is_number);
            match number {
                None => Err(TemplateError::UnknownVariable { name: name.to_owned() }),
                Some(0) => Err(never()),
                Some(number) if number > most && !is_endless => Err(never()),
                Some(number) => Ok(Variable::Segment(number)),
            }
        }
    }
}

impl Variable {
    /// As it is written.
    pub(crate) fn name(self) -> String {
        match self {
            Self::Key => "{key}".to_owned(),
            Self::Path => "{path}".to_owned(),
            Self::Segment(number) => format!("{{{number}}}"),
        }
    }

    fn of<'a>(self, pattern: &Pattern, key: &'a str) -> Option<&'a str> {
        let value = match self {
            Self::Key => Some(key),
            Self::Path => key.strip_prefix(pattern.literal_prefix()),
            Self::Segment(number) => key.split('/').nth(number.saturating_sub(1)),
        };
        value.filter(|value| !value.is_empty())
    }
}
