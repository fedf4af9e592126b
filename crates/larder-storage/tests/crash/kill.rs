//! x
pub(crate) fn die(_: &larder_testkit::child::Args) {}
