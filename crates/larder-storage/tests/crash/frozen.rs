//! x
pub(crate) fn freeze(_: &larder_testkit::child::Args) {}
