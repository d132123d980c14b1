//! Options: from names and values as they were written to fields of options messages.

pub(crate) mod aggregate;
pub(crate) mod canonical;
mod interpret;
pub(crate) mod lifetimes;
pub(crate) mod notes;
mod value;
pub(crate) mod visit;
