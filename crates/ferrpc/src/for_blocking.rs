//! What `ferrpc-blocking` needs of this crate, beside what is for users. It is for that crate alone,
//! and changes with it.

pub use crate::client::builder::Config;
pub use crate::client::maker::{CallMaker, Head, NewCall};
pub use crate::client::pump::check_size;
pub use crate::compression::{compress_now, decompress_now};
pub use crate::interceptor::EndHooks;
pub use crate::request::{CallEnd, CallOptions, RequestParts};
pub use crate::transport::backlog::Backlog;
