//! Classes of documents: named policies, and which of them is whose.

use std::collections::BTreeMap;
use std::fmt;

use crate::pattern::Pattern;
use crate::policy::Policy;
use crate::time::DAY;

/// Named policies, rules that choose among them by the key, and the one for all others.
///
/// Three are there from the beginning: `stable` (30 days), `active` (14 days) and `critical` (7 days).
///
/// ```
/// use larder_staleness::{Chosen, Classes, DAY, Policy};
///
/// let mut classes = Classes::default();
/// classes.add_rule("**/*auth*/**".parse()?, "critical")?;
/// let days = |chosen: Chosen<'_>| chosen.policy.fresh.as_secs() / DAY.as_secs();
///
/// assert_eq!(days(classes.choose(None, "docs/oauth2/scopes")?), 7);
/// assert_eq!(days(classes.choose(Some("active"), "docs/oauth2/scopes")?), 14); // the explicit type wins
/// assert_eq!(days(classes.choose(None, "docs/react")?), 30); // the default
/// assert!(classes.choose(Some("criticle"), "docs/react").is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Classes {
    named: BTreeMap<String, Policy>,
    rules: Vec<(Pattern, String)>,
    default: Policy,
}

/// The class of a document, and where that comes from.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Chosen<'a> {
    /// Its name.
    pub name: &'a str,
    /// How long its documents may be used.
    pub policy: &'a Policy,
    /// Why it is this one.
    pub why: Why<'a>,
}

/// Why a document is of its class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why<'a> {
    /// The caller said so.
    Explicit,
    /// The first pattern that matches its key.
    Pattern(&'a Pattern),
    /// Nothing else was said.
    Default,
}

/// There is no class of that name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownClass {
    /// The name.
    pub name: String,
    /// Those that there are.
    pub known: Vec<String>,
}

impl fmt::Display for UnknownClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there is no class {:?}: use one of {}", self.name, self.known.join(", "))
    }
}

impl std::error::Error for UnknownClass {}

impl Default for Classes {
    fn default() -> Self {
        let named = [("stable", 30), ("active", 14), ("critical", 7)];
        let named = named.map(|(name, days)| (name.to_owned(), Policy::fresh_for(DAY * days)));
        Self { named: named.into(), rules: Vec::new(), default: Policy::default() }
    }
}

impl Classes {
    /// The name of the policy for what has no class.
    pub const DEFAULT: &'static str = "default";

    /// Adds a class, or replaces the one of that name; [`DEFAULT`](Self::DEFAULT) is the one for all that has no other.
    pub fn define(&mut self, name: &str, policy: Policy) {
        if name == Self::DEFAULT {
            self.default = policy;
        } else {
            self.named.insert(name.to_owned(), policy);
        }
    }

    /// The policy of that name.
    pub fn get(&self, name: &str) -> Option<&Policy> {
        if name == Self::DEFAULT { Some(&self.default) } else { self.named.get(name) }
    }

    /// Lets keys that match be of that class, unless an earlier rule has them.
    ///
    /// # Errors
    /// There is no such class.
    pub fn add_rule(&mut self, pattern: Pattern, class: &str) -> Result<(), UnknownClass> {
        if self.get(class).is_none() {
            return Err(self.unknown(class));
        }
        self.rules.push((pattern, class.to_owned()));
        Ok(())
    }

    /// The policy for what has no class.
    pub const fn default_policy(&self) -> &Policy {
        &self.default
    }

    /// The names of all classes, the default's first.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(Self::DEFAULT).chain(self.named.keys().map(String::as_str))
    }

    /// The class of a document: the one that is named, else that of the first pattern that matches its key, else the default.
    ///
    /// # Errors
    /// The named class does not exist.
    pub fn choose(&self, explicit: Option<&str>, key: &str) -> Result<Chosen<'_>, UnknownClass> {
        if let Some(name) = explicit {
            let found = self.named.get_key_value(name).map(|(name, policy)| (name.as_str(), policy));
            let found = found.or_else(|| (name == Self::DEFAULT).then_some((Self::DEFAULT, &self.default)));
            let (name, policy) = found.ok_or_else(|| self.unknown(name))?;
            return Ok(Chosen { name, policy, why: Why::Explicit });
        }
        Ok(self.of_key(key))
    }

    /// The class of a document whose caller names none.
    pub fn of_key(&self, key: &str) -> Chosen<'_> {
        let rule = self.rules.iter().find(|(pattern, _)| pattern.matches(key));
        match rule.and_then(|(pattern, name)| Some((pattern, name, self.get(name)?))) {
            Some((pattern, name, policy)) => Chosen { name, policy, why: Why::Pattern(pattern) },
            None => Chosen { name: Self::DEFAULT, policy: &self.default, why: Why::Default },
        }
    }

    fn unknown(&self, name: &str) -> UnknownClass {
        UnknownClass { name: name.to_owned(), known: self.names().map(str::to_owned).collect() }
    }
}
