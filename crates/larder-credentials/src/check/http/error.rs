//! Why an upstream cannot be asked over HTTP in the way that was wanted.

/// Why there is no such probe. What was given is not repeated where it may have a secret in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It is no address.
    #[error("the address to ask at is none: give a whole one, such as https://docs.example/api/whoami")]
    NoUrl,
    /// There is a name or a password in the address.
    #[error("the address to ask at has a user in it: leave out what stands before the @")]
    UserInUrl,
    /// The secret would go over the network as it is.
    #[error("a secret is not sent to {host} over http, where anybody may read it: use https")]
    InTheClear {
        /// Where to.
        host: String,
    },
    /// It is no header.
    #[error("the header is none: give a name, a colon and a value, such as `{}`", super::HEADER)]
    NoHeader,
    /// It does not say where the secret goes.
    #[error("the header has {count} times `{{}}` in its value: the secret goes into exactly one")]
    NoPlace {
        /// How often.
        count: usize,
    },
}
