//! A header with a place for the secret.

use ureq::http::{HeaderName, HeaderValue};

use super::Error;

const PLACE: &str = "{}";

/// A header's name, and its value around the secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template {
    name: HeaderName,
    before: String,
    after: String,
}

impl Template {
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let (name, value) = text.split_once(':').ok_or(Error::NoHeader)?;
        let name: HeaderName = name.trim().parse().map_err(|_| Error::NoHeader)?;
        let value = value.trim();
        HeaderValue::from_str(value).map_err(|_| Error::NoHeader)?;
        let count = value.matches(PLACE).count();
        let (before, after) = value.split_once(PLACE).filter(|_| count == 1).ok_or(Error::NoPlace { count })?;
        Ok(Self { name, before: before.to_owned(), after: after.to_owned() })
    }

    pub(super) fn name(&self) -> &HeaderName {
        &self.name
    }

    /// In a buffer that does not grow.
    pub(super) fn fill(&self, secret: &str) -> String {
        let mut value = String::with_capacity(self.before.len() + secret.len() + self.after.len());
        value.push_str(&self.before);
        value.push_str(secret);
        value.push_str(&self.after);
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_goes_into_its_place() {
        let template = Template::parse("Authorization:  Token token={}, x=1 ").unwrap();
        assert_eq!((template.name().as_str(), &*template.fill("k")), ("authorization", "Token token=k, x=1"));
    }

    #[test]
    fn what_is_no_header_or_has_no_place_is_refused() {
        for text in ["", "Authorization", ": {}", "A b: {}", "X: {}\r\nY: z"] {
            assert_eq!(Template::parse(text), Err(Error::NoHeader), "{text:?}");
        }
        assert_eq!(Template::parse("X: y"), Err(Error::NoPlace { count: 0 }));
        assert_eq!(Template::parse("X: {} {}"), Err(Error::NoPlace { count: 2 }));
    }
}
