//! Values that travel with a request or response inside the process.

use std::any::{Any, TypeId, type_name};
use std::fmt;

/// At most one value of each type; never sent to the peer.
///
/// For what an interceptor found out and a handler wants to know: the authenticated user, for
/// instance. Allocates nothing while it is empty.
#[derive(Default)]
pub struct Extensions {
    /// A list, for there are rarely more than two or three.
    values: Vec<(TypeId, &'static str, Box<dyn Any + Send + Sync>)>,
}

impl Extensions {
    /// No values.
    pub const fn new() -> Self {
        Self { values: Vec::new() }
    }

    /// Puts a value in, and returns the one of the same type that was there.
    pub fn insert<T: Any + Send + Sync>(&mut self, value: T) -> Option<T> {
        let old = self.remove();
        self.values.push((TypeId::of::<T>(), type_name::<T>(), Box::new(value)));
        old
    }

    /// The value of type `T`.
    pub fn value<T: Any + Send + Sync>(&self) -> Option<&T> {
        self.values.iter().find_map(|(_, _, value)| value.downcast_ref())
    }

    /// The value of type `T`, to change it.
    pub fn value_mut<T: Any + Send + Sync>(&mut self) -> Option<&mut T> {
        self.values.iter_mut().find_map(|(_, _, value)| value.downcast_mut())
    }

    /// Takes the value of type `T` out.
    pub fn remove<T: Any + Send + Sync>(&mut self) -> Option<T> {
        let at = self.values.iter().position(|(id, ..)| *id == TypeId::of::<T>())?;
        let (_, _, value) = self.values.swap_remove(at);
        value.downcast().ok().map(|value| *value)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

impl fmt::Debug for Extensions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.values.iter().map(|(_, name, _)| name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_one_value_of_each_type() {
        let mut extensions = Extensions::new();
        assert_eq!(extensions.insert(1_u32), None);
        assert_eq!(extensions.insert("text"), None);
        assert_eq!(extensions.insert(2_u32), Some(1));
        *extensions.value_mut::<u32>().expect("just inserted") += 1;
        assert_eq!(extensions.value::<u32>(), Some(&3));
        assert_eq!(extensions.value::<u64>(), None);
        assert_eq!(extensions.remove::<&str>(), Some("text"));
        assert_eq!(extensions.remove::<u32>(), Some(3));
        assert!(extensions.is_empty());
    }
}
