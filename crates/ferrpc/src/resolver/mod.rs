//! From what a user calls a server to where it can be reached.

mod lookup;
mod target;

pub(crate) use lookup::resolve;
pub use lookup::{Address, ResolveError};
pub use target::{Scheme, Target, TargetError};
