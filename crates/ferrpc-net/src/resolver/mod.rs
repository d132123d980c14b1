//! From what a user calls a server to where it can be reached.

mod lookup;
mod special;
mod target;

pub(crate) use lookup::may_change;
pub use lookup::resolve;
#[cfg(unix)]
pub use lookup::resolve_blocking;
pub use lookup::{Address, ResolveError};
pub(crate) use special::{completed, unescaped, zoned};
pub use target::{Scheme, Target, TargetError};
