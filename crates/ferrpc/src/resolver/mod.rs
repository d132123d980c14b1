//! From what a user calls a server to where it can be reached.

mod lookup;
mod target;

pub use lookup::{Address, ResolveError};
pub(crate) use lookup::{alternate, resolve};
pub use target::{Scheme, Target, TargetError};
