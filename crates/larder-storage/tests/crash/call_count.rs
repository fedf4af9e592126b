//! x
pub(crate) fn count(_: &larder_testkit::child::Args) {}
