//! Roots are read once for all channels of a process: parsing those of a system takes milliseconds.

use std::env;
use std::ffi::OsString;
use std::sync::Mutex;

use super::Roots;
use crate::error::CredentialsError;

/// What was read, and what the environment said of it then.
pub(super) struct Cache {
    last: Mutex<Option<(Key, Roots)>>,
}

/// The values of the variables that say where roots are.
type Key = [Option<OsString>; VARIABLES.len()];

impl Cache {
    pub(super) const fn new() -> Self {
        Self { last: Mutex::new(None) }
    }

    /// What was read before, as long as the environment names the same places, or else what
    /// `read` finds. Failures are not kept: the files may come.
    pub(super) fn roots(
        &self,
        read: impl FnOnce() -> Result<Roots, CredentialsError>,
    ) -> Result<Roots, CredentialsError> {
        self.roots_for(VARIABLES.map(env::var_os), read)
    }

    fn roots_for(
        &self,
        key: Key,
        read: impl FnOnce() -> Result<Roots, CredentialsError>,
    ) -> Result<Roots, CredentialsError> {
        // The lock is never waited for, since the thread that had it at a fork is not in the child;
        // it is had for so short a time that to read once more costs less than a scheme.
        if let Ok(last) = self.last.try_lock()
            && let Some((of, roots)) = &*last
            && *of == key
        {
            return Ok(roots.clone());
        }
        let roots = read()?;
        if let Ok(mut last) = self.last.try_lock() {
            *last = Some((key, roots.clone()));
        }
        Ok(roots)
    }
}

/// gRPC's name for a file of roots in all languages.
pub(super) const ROOTS_VARIABLE: &str = "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH";

/// What [`Roots::from_environment`] and [`Roots::system`] look at.
const VARIABLES: [&str; 3] = [ROOTS_VARIABLE, "SSL_CERT_FILE", "SSL_CERT_DIR"];

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn key(path: &str) -> Key {
        [Some(path.into()), None, None]
    }

    #[test]
    fn roots_are_read_once_for_each_environment() {
        let (cache, reads) = (Cache::new(), Cell::new(0));
        let read = || {
            reads.set(reads.get() + 1);
            Ok(Roots::none())
        };
        for _ in 0..3 {
            cache.roots_for(key("/a"), read).expect("read");
        }
        assert_eq!(reads.get(), 1);
        cache.roots_for(key("/b"), read).expect("read");
        assert_eq!(reads.get(), 2);
    }

    #[test]
    fn a_failure_is_tried_again() {
        let cache = Cache::new();
        let failed = cache.roots_for(key("/a"), || Err(CredentialsError::new("no file")));
        assert!(failed.is_err());
        cache.roots_for(key("/a"), || Ok(Roots::none())).expect("the file came");
        let unread = || -> Result<Roots, CredentialsError> { panic!("it was read") };
        cache.roots_for(key("/a"), unread).expect("kept");
    }

    #[test]
    fn a_lock_whose_thread_is_gone_keeps_nobody() {
        let (cache, reads) = (Cache::new(), Cell::new(0));
        // As in the child of a fork that found another thread in between.
        let _held = cache.last.lock().expect("not poisoned");
        for _ in 0..2 {
            let read = || {
                reads.set(reads.get() + 1);
                Ok(Roots::none())
            };
            cache.roots_for(key("/a"), read).expect("read");
        }
        assert_eq!(reads.get(), 2);
    }
}
