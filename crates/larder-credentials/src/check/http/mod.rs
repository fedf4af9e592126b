//! Asking over HTTP: one cheap request with the secret in a header.

mod answer;
mod error;
mod template;

use std::net::IpAddr;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use larder_system::{Clock as _, SystemClock};
use ureq::Agent;
use ureq::http::{HeaderValue, Uri};
use zeroize::Zeroizing;

use super::{Probe, Probed};
use crate::Secret;
use template::Template;

pub use error::Error;

/// The header that carries the secret unless told otherwise.
pub const HEADER: &str = "Authorization: Bearer {}";

/// How much of an answer's head is read: more is no answer of an upstream.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// How much later than its own bound the library may give up.
const GRACE: Duration = Duration::from_millis(500);

/// Which request is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Method {
    /// `GET`; the body of the answer is not read.
    #[default]
    Get,
    /// `HEAD`.
    Head,
}

/// Asks an upstream over HTTP whether it takes a secret.
///
/// | answer | means |
/// |---|---|
/// | 2xx | accepted |
/// | 401, 403 | refused; expired when `WWW-Authenticate` has `error="invalid_token"` and a description that says so |
/// | 429; 403 with `Retry-After` or `X-RateLimit-Remaining: 0` | rate-limited, until `Retry-After` or `RateLimit-Reset` |
/// | 5xx, any other, none | unreachable: it says nothing about the secret |
///
/// No redirect is followed, so that the secret goes to the address that was given and nowhere else. It goes over `https`,
/// or to this very machine. The certificate authorities are Mozilla's, built in.
///
/// # Platform
/// For `https` the proxy of the environment is used (`ALL_PROXY`, `HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`, also in small
/// letters), which sees the address alone; for `http`, which stays on this machine, none is.
///
/// ```
/// use larder_credentials::check::Probe;
/// use larder_credentials::check::http::{Error, HttpProbe, Method};
///
/// let probe = HttpProbe::new("https://docs.example/api/whoami")?.method(Method::Head).header("X-Api-Key: {}")?;
/// assert_eq!(probe.label(), "https://docs.example/api/whoami");
/// assert!(matches!(HttpProbe::new("http://docs.example/"), Err(Error::InTheClear { .. })));
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct HttpProbe {
    uri: Uri,
    label: String,
    method: Method,
    template: Template,
}

impl HttpProbe {
    /// Asks at this address.
    ///
    /// # Errors
    /// It is no address of `https` or `http`, has a name or password in it, or would send the secret in the clear to
    /// another machine.
    pub fn new(url: &str) -> Result<Self, Error> {
        let uri: Uri = url.parse().map_err(|_| Error::NoUrl)?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else { return Err(Error::NoUrl) };
        if authority.as_str().contains('@') {
            return Err(Error::UserInUrl);
        }
        match scheme {
            "https" => {}
            "http" if is_this_machine(authority.host()) => {}
            "http" => return Err(Error::InTheClear { host: authority.host().to_owned() }),
            _ => return Err(Error::NoUrl),
        }
        let label = format!("{scheme}://{authority}{}", uri.path());
        Ok(Self { uri, label, method: Method::default(), template: Template::parse(HEADER)? })
    }

    /// With this method; `GET` unless set.
    #[must_use]
    pub const fn method(mut self, method: Method) -> Self {
        self.method = method;
        self
    }

    /// With the secret in this header, in the place of `{}`; `Authorization: Bearer {}` unless set.
    ///
    /// # Errors
    /// It is no header, or has not exactly one `{}` in its value.
    pub fn header(mut self, template: &str) -> Result<Self, Error> {
        self.template = Template::parse(template)?;
        Ok(self)
    }
}

impl Probe for HttpProbe {
    fn label(&self) -> String {
        self.label.clone()
    }

    fn identity(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for part in [
            &format!("{:?}", self.method),
            &self.uri.to_string(),
            self.template.name().as_str(),
            &self.template.fill("{}"),
        ] {
            hasher.update(part.as_bytes()).update(b"\0");
        }
        format!("{:.16} {}", hasher.finalize().to_hex(), self.label)
    }

    fn probe(&self, secret: &Secret, deadline: Duration) -> Probed {
        let value = Zeroizing::new(self.template.fill(secret.expose()));
        let Ok(mut value) = HeaderValue::from_bytes(value.as_bytes()) else {
            return Probed::Unreachable { cause: "the secret cannot be put into a header".to_owned() };
        };
        value.set_sensitive(true);
        let mut config = Agent::config_builder();
        if self.uri.scheme_str() == Some("http") {
            // it would have the secret in the clear
            config = config.proxy(None);
        }
        let config = config
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_response_header_size(HEAD_BYTES_MAX)
            .max_idle_connections(0)
            .timeout_global(Some(deadline))
            .user_agent(concat!("larder-credentials/", env!("CARGO_PKG_VERSION")))
            .build();
        let agent = Agent::new_with_config(config);
        let request = match self.method {
            Method::Get => agent.get(&self.uri),
            Method::Head => agent.head(&self.uri),
        };
        let request = request.header(self.template.name(), value);
        // the library bounds each read of what a proxy says, not all of them together
        let (tell, told) = sync_channel(1);
        let ask = move || {
            let probed = match request.call() {
                Ok(response) => answer::read(response.status().as_u16(), response.headers(), SystemClock::new().wall()),
                Err(error) => Probed::Unreachable { cause: cause_of(&error) },
            };
            // nobody listens any more when the time is over
            let _ = tell.send(probed);
        };
        if let Err(error) = std::thread::Builder::new().name("credential probe".to_owned()).spawn(ask) {
            return Probed::Unreachable { cause: format!("no thread to ask with: {error}") };
        }
        let late = || Probed::Unreachable { cause: "it did not answer in time".to_owned() };
        told.recv_timeout(deadline.saturating_add(GRACE)).unwrap_or_else(|_| late())
    }
}

fn is_this_machine(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// In words of our own where the library's might repeat what was sent.
fn cause_of(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Timeout(_) => "it did not answer in time".to_owned(),
        ureq::Error::HostNotFound => "its host is not found".to_owned(),
        ureq::Error::ConnectionFailed => "no connection".to_owned(),
        ureq::Error::ConnectProxyFailed(_) | ureq::Error::InvalidProxyUrl => {
            "the proxy of the environment does not connect".to_owned()
        }
        ureq::Error::Io(error) => error.to_string(),
        ureq::Error::Rustls(error) => format!("no secure connection: {error}"),
        ureq::Error::Tls(reason) => format!("no secure connection: {reason}"),
        _ => "its answer is no HTTP".to_owned(),
    }
}
