//! From what a user calls a server to where it can be reached.

pub use ferrpc_net::resolver::{Address, ResolveError, Scheme, Target, TargetError};
