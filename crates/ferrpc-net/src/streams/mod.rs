//! Byte streams.

mod in_process;
mod io;
mod refusal;
mod tcp;
#[cfg(unix)]
mod unix;

pub use in_process::{StreamIo, in_process};
pub use io::{AuthContext, Io};
pub(crate) use refusal::Stage;
pub use refusal::{Fault, Refusal, Secured};
pub use tcp::TcpIo;
#[cfg(unix)]
pub(crate) use tcp::address_text;
#[cfg(unix)]
pub use unix::UnixIo;
#[cfg(unix)]
pub(crate) use unix::named_end;
