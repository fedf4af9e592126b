//! No table of locks can be read here.

use super::Row;

/// Nothing is known.
#[expect(clippy::unnecessary_wraps, reason = "the interface of the platform that has a table")]
pub(crate) const fn held() -> Option<Vec<Row>> {
    None
}
