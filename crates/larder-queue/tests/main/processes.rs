pub(crate) fn work(_: &str, _: &larder_testkit::child::Args) {}
