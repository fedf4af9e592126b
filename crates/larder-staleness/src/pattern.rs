//! Patterns on keys.

use std::fmt;
use std::str::FromStr;

/// The longest pattern, in bytes: that of a key.
const BYTES_MAX: usize = 1_024;

/// A pattern on keys: `*` stands for any text within a segment, `?` for one character, `**` as a segment for any number of
/// segments, none among them, and everything else for itself.
///
/// `docs/**` is what is below `docs`, and `docs` too. Upper and lower case differ, as in keys.
///
/// ```
/// use larder_staleness::Pattern;
///
/// let pattern: Pattern = "docs/**/*.md".parse()?;
/// assert!(pattern.matches("docs/react/hooks.md") && pattern.matches("docs/a.md"));
/// assert!(!pattern.matches("docs/react/hooks.txt"));
/// assert_eq!(pattern.literal_prefix(), "docs/");
/// assert!("docs//x".parse::<Pattern>().is_err());
/// # Ok::<(), larder_staleness::PatternError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pattern {
    text: String,
}

/// Why a text is no pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PatternError {
    /// It is empty, or has an empty segment: no key has one.
    EmptySegment,
    /// It has more than 1,024 bytes: no key has.
    TooLong,
    /// `**` stands beside other text in its segment.
    PartialDoubleStar,
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EmptySegment => {
                "a pattern has segments between its slashes, and no key has an empty one: remove a slash"
            }
            Self::TooLong => "a pattern is no longer than a key, 1,024 bytes: shorten it with `**`",
            Self::PartialDoubleStar => "`**` is a segment of its own: write `*` within one, or a slash on each side",
        })
    }
}

impl std::error::Error for PatternError {}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        if text.len() > BYTES_MAX {
            return Err(PatternError::TooLong);
        }
        for segment in text.split('/') {
            match segment {
                "" => return Err(PatternError::EmptySegment),
                "**" => {}
                other if other.contains("**") => return Err(PatternError::PartialDoubleStar),
                _ => {}
            }
        }
        Ok(Self { text: text.to_owned() })
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Pattern {
    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the key is one of those it stands for. Takes no longer than the product of the two lengths.
    pub fn matches(&self, key: &str) -> bool {
        let pattern: Vec<&str> = self.text.split('/').collect();
        let key: Vec<&str> = key.split('/').collect();
        wild(&pattern, &key, |piece| *piece == "**", |piece, segment| matches_segment(piece, segment))
    }

    /// The segments before the first that has a wildcard, with their slashes. All keys that it matches begin so, but for
    /// one: `docs/**` matches `docs` too, which lacks the slash.
    pub fn literal_prefix(&self) -> &str {
        let Some(wild) = self.text.find(['*', '?']) else { return &self.text };
        let end = self.text.get(..wild).and_then(|before| before.rfind('/')).map_or(0, |slash| slash + 1);
        self.text.get(..end).unwrap_or_default()
    }

    /// Whether it has a wildcard at all.
    pub fn is_literal(&self) -> bool {
        !self.text.contains(['*', '?'])
    }
}

fn matches_segment(pattern: &str, segment: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let segment: Vec<char> = segment.chars().collect();
    wild(&pattern, &segment, |piece| *piece == '*', |piece, letter| *piece == '?' || piece == letter)
}

/// Matches with one kind of piece that stands for any number of items. When an item does not match, only the last such
/// piece has to take one more: what an earlier one could take, that one can take too.
fn wild<P, I>(pattern: &[P], items: &[I], is_star: impl Fn(&P) -> bool, is_match: impl Fn(&P, &I) -> bool) -> bool {
    let (mut at, mut seen) = (0, 0);
    let mut last_star: Option<(usize, usize)> = None;
    while let Some(item) = items.get(seen) {
        match pattern.get(at) {
            Some(piece) if is_star(piece) => {
                last_star = Some((at, seen));
                at += 1;
            }
            Some(piece) if is_match(piece, item) => {
                at += 1;
                seen += 1;
            }
            _ => {
                let Some((star, taken)) = last_star else { return false };
                last_star = Some((star, taken + 1));
                (at, seen) = (star + 1, taken + 1);
            }
        }
    }
    pattern.get(at..).unwrap_or_default().iter().all(is_star)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, yes: &[&str], no: &[&str]) {
        let pattern: Pattern = pattern.parse().unwrap();
        for key in yes {
            assert!(pattern.matches(key), "{pattern} must match {key}");
        }
        for key in no {
            assert!(!pattern.matches(key), "{pattern} must not match {key}");
        }
    }

    #[test]
    fn a_star_stays_in_its_segment() {
        check("a/*/c", &["a/b/c", "a/bb/c"], &["a/c", "a/b/b/c", "a/b/c/d"]);
        check("*auth*", &["oauth2", "auth"], &["a/auth", "aut"]);
        check("v?", &["v1", "vü"], &["v", "v10"]);
    }

    #[test]
    fn two_stars_are_any_number_of_segments() {
        check("**", &["a", "a/b/c"], &[]);
        check("docs/**", &["docs", "docs/a", "docs/a/b"], &["doc", "docsx/a"]);
        check("**/x/**/y", &["x/y", "a/x/b/c/y", "x/x/y/y"], &["x", "y/x", "x/y/z"]);
    }

    #[test]
    fn a_pattern_that_asks_for_much_looking_back_is_answered_at_once() {
        let stars = vec!["**/a"; 200].join("/");
        let key = format!("{}b", "a/".repeat(400));
        check(&stars, &[], &[&key]);
    }

    #[test]
    fn the_literal_prefix_ends_with_a_segment() {
        let prefix = |text: &str| text.parse::<Pattern>().unwrap().literal_prefix().to_owned();
        assert_eq!((prefix("a/b*/c").as_str(), prefix("*").as_str(), prefix("a/b").as_str()), ("a/", "", "a/b"));
    }

    #[test]
    fn what_no_key_can_be_is_refused() {
        for (text, error) in [
            ("", PatternError::EmptySegment),
            ("a//b", PatternError::EmptySegment),
            ("/a", PatternError::EmptySegment),
            ("a/", PatternError::EmptySegment),
            ("a/b**", PatternError::PartialDoubleStar),
        ] {
            assert_eq!(text.parse::<Pattern>(), Err(error), "{text}");
        }
        assert_eq!("x".repeat(1_025).parse::<Pattern>(), Err(PatternError::TooLong));
    }
}
