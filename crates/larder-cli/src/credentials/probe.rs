//! Whom `larder auth check` asks.

use std::sync::Arc;

use larder_config::Check;
use larder_credentials::check::Probe;

type Wrong = Box<dyn std::error::Error + Send + Sync>;

/// The request that the configuration describes.
#[cfg(feature = "http")]
pub(super) fn of(check: &Check) -> Result<Arc<dyn Probe>, Wrong> {
    use larder_credentials::check::http::{HttpProbe, Method};
    let method = if check.method == "HEAD" { Method::Head } else { Method::Get };
    Ok(Arc::new(HttpProbe::new(&check.url)?.method(method).header(&check.header)?))
}

/// This command was built without.
#[cfg(not(feature = "http"))]
pub(super) fn of(check: &Check) -> Result<Arc<dyn Probe>, Wrong> {
    Err(format!("{} cannot be asked: this larder was built without the feature `http`", check.url).into())
}
