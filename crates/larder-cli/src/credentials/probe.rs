//! Whom `larder auth check` asks.

use std::sync::Arc;

use larder_config::Check;
use larder_credentials::check::Probe;

type Wrong = Box<dyn std::error::Error + Send + Sync>;

/// The request that the configuration describes.
#[cfg(feature = "http")]
pub(super) fn of(check: &Check) -> Result<Arc<dyn Probe>, Wrong> {
    todo!("{check:?}")
}

/// This command was built without.
#[cfg(not(feature = "http"))]
pub(super) fn of(_check: &Check) -> Result<Arc<dyn Probe>, Wrong> {
    Err("this larder was built without the feature `http`".into())
}
