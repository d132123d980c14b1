//! TLS from files that are watched.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::{ChannelCredentials, ServerCredentials};
use crate::error::CredentialsError;
use crate::tls::{
    ClientAuth, ClientTls, Identity, Provided, Roots, ServerTls, SourceError, TlsSource,
};

/// Files that certificates and keys are read from, again when they change.
///
/// They are looked at when a handshake begins, at most once in an interval: nothing runs meanwhile.
/// A change that cannot be used (half written, a key that does not fit) is logged, and the last
/// that could be stays.
#[derive(Clone, Debug, Default)]
#[must_use = "nothing is read until these are made into credentials"]
pub struct TlsFiles {
    identity: Option<(PathBuf, PathBuf)>,
    roots: Option<PathBuf>,
    optional: bool,
    interval: Option<Duration>,
}

impl TlsFiles {
    /// No files yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// PEM files with the chain of certificates and with its private key.
    pub fn identity(mut self, chain: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.identity = Some((chain.into(), key.into()));
        self
    }

    /// A PEM file with the roots that are trusted. A server with one wants certificates of its
    /// callers.
    pub fn roots(mut self, roots: impl Into<PathBuf>) -> Self {
        self.roots = Some(roots.into());
        self
    }

    /// Server: callers may come without a certificate.
    pub const fn optional_client_auth(mut self) -> Self {
        self.optional = true;
        self
    }

    /// How long after a look at the files there is no other. By default ten seconds.
    pub const fn interval(mut self, interval: Duration) -> Self {
        self.interval = Some(interval);
        self
    }

    /// Credentials for a server.
    ///
    /// # Errors
    /// If the files cannot be used now.
    pub fn into_server(self) -> Result<ServerCredentials, CredentialsError> {
        let (first, watch) = Watch::new(self, server_of)?;
        Ok(ServerCredentials::tls_from(first, watch))
    }

    /// Credentials for a channel.
    ///
    /// # Errors
    /// If the files cannot be used now.
    pub fn into_channel(self) -> Result<ChannelCredentials, CredentialsError> {
        let (first, watch) = Watch::new(self, client_of)?;
        Ok(ChannelCredentials::tls_from(first, watch))
    }
}

fn server_of(files: &TlsFiles) -> Result<ServerTls, CredentialsError> {
    let Some((chain, key)) = &files.identity else {
        return Err(CredentialsError::new("a server needs files with a certificate and its key"));
    };
    let mut builder = ServerTls::builder(Identity::from_pem(read(chain)?, read(key)?)?);
    if let Some(roots) = &files.roots {
        let roots = Roots::from_pem(read(roots)?)?;
        builder = builder.client_auth(match files.optional {
            true => ClientAuth::Optional(roots),
            false => ClientAuth::Required(roots),
        });
    }
    builder.build()
}

fn client_of(files: &TlsFiles) -> Result<ClientTls, CredentialsError> {
    let mut builder = ClientTls::builder();
    if let Some((chain, key)) = &files.identity {
        builder = builder.identity(Identity::from_pem(read(chain)?, read(key)?)?);
    }
    if let Some(roots) = &files.roots {
        builder = builder.roots(Roots::from_pem(read(roots)?)?);
    }
    builder.build()
}

fn read(path: &Path) -> Result<Vec<u8>, CredentialsError> {
    std::fs::read(path)
        .map_err(|error| CredentialsError::new(format!("cannot read {}: {error}", path.display())))
}

/// Files, and what they were when they were read.
struct Watch<T> {
    files: TlsFiles,
    make: fn(&TlsFiles) -> Result<T, CredentialsError>,
    seen: Arc<Mutex<Seen>>,
}

struct Seen {
    marks: Vec<Mark>,
    /// When the files were looked at last; `None`: when they were read first.
    looked: Option<Instant>,
}

/// What changes when a file is written or replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mark {
    modified: Option<SystemTime>,
    length: u64,
    inode: u64,
}

impl<T> Watch<T> {
    fn new(
        files: TlsFiles,
        make: fn(&TlsFiles) -> Result<T, CredentialsError>,
    ) -> Result<(T, Self), CredentialsError> {
        // Before they are read: a change meanwhile is seen later.
        let marks = marks(&files);
        let first = make(&files)?;
        let seen = Arc::new(Mutex::new(Seen { marks, looked: None }));
        Ok((first, Self { files, make, seen }))
    }
}

impl<T: Send + 'static> TlsSource<T> for Watch<T> {
    fn provide(&self) -> Provided<T> {
        let interval = self.files.interval.unwrap_or(INTERVAL);
        let now = Instant::now();
        {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            if seen.looked.is_some_and(|looked| now < looked + interval) {
                return Box::pin(std::future::ready(Ok(None)));
            }
            seen.looked = Some(now);
        }
        let (files, make, seen) = (self.files.clone(), self.make, Arc::clone(&self.seen));
        let look = move || {
            let marks = marks(&files);
            if seen.lock().unwrap_or_else(PoisonError::into_inner).marks == marks {
                return Ok(None);
            }
            let new = make(&files).map_err(SourceError::from)?;
            // Only now: what could not be used is tried again, it may be half written.
            seen.lock().unwrap_or_else(PoisonError::into_inner).marks = marks;
            tracing::info!(?files, "certificates were read again");
            Ok(Some(new))
        };
        Box::pin(async move {
            match tokio::runtime::Handle::try_current() {
                Ok(runtime) => runtime.spawn_blocking(look).await?,
                // A thread without a runtime may be blocked.
                Err(_) => look(),
            }
        })
    }
}

fn marks(files: &TlsFiles) -> Vec<Mark> {
    let identity = files.identity.iter().flat_map(|(chain, key)| [chain, key]);
    identity.chain(&files.roots).map(|path| mark(path)).collect()
}

fn mark(path: &Path) -> Mark {
    let looked: io::Result<_> = std::fs::metadata(path);
    match looked {
        Ok(file) => {
            Mark { modified: file.modified().ok(), length: file.len(), inode: inode(&file) }
        }
        Err(_) => Mark { modified: None, length: 0, inode: 0 },
    }
}

#[cfg(unix)]
fn inode(file: &std::fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(file)
}

#[cfg(not(unix))]
const fn inode(_: &std::fs::Metadata) -> u64 {
    0
}

/// Certificates are renewed hours before they expire; a look costs three system calls.
const INTERVAL: Duration = Duration::from_secs(10);
