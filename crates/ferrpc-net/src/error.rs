//! Credentials that cannot be used.

use std::fmt;

/// Credentials that cannot be used: what is wrong with which part.
#[derive(Clone, Debug)]
pub struct CredentialsError {
    text: String,
}

impl CredentialsError {
    /// An error that says what is wrong, for a `ChannelCredentials::tls_or_error`.
    #[cfg(feature = "_rustls")]
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into() }
    }
}

impl fmt::Display for CredentialsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for CredentialsError {}
