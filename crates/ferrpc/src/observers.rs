//! Telling those who observe a server or a channel.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Who observes: nobody, as a rule.
pub struct Observers<T: ?Sized>(Option<Arc<T>>);

impl<T: ?Sized> Observers<T> {
    /// One, or nobody.
    pub const fn new(observer: Option<Arc<T>>) -> Self {
        Self(observer)
    }

    /// Whether there is somebody.
    pub const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Tells them something; `what` is not run where there is nobody. A panic in it is logged, and
    /// does no other harm.
    pub fn tell(&self, what: impl FnOnce(&T)) {
        if let Some(observer) = &self.0
            && catch_unwind(AssertUnwindSafe(|| what(observer))).is_err()
        {
            tracing::error!("an observer panicked");
        }
    }
}

impl<T: ?Sized> Clone for Observers<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: ?Sized> fmt::Debug for Observers<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_empty() { "Observers(nobody)" } else { "Observers(somebody)" })
    }
}
