//! Bytes, and who is at their other end; part of `ferrpc`, whose users import that crate.
//!
//! ```text
//!   connect   a channel's byte streams      listen   a server's
//!   -----------------------------------------------------------
//!   credentials    who both ends prove to be, by TLS or without
//!   resolver       targets to addresses
//!   streams        TCP, unix sockets, pipes: the trait Io
//!   socket         the same for threads that block
//! ```
//!
//! It knows no call, no message and no HTTP/2. What is for users has its path in `ferrpc`
//! (`ferrpc::credentials`, `ferrpc::resolver`, `ferrpc::transport`, `ferrpc::client`,
//! `ferrpc::server`); the rest is for `ferrpc` and `ferrpc-blocking`, and may change with them.

mod base64;
pub mod clock;
pub mod connect;
pub mod credentials;
mod error;
pub mod listen;
pub mod resolver;
pub mod seed;
#[cfg(unix)]
pub mod socket;
pub mod streams;
#[cfg(feature = "_rustls")]
mod tls;
pub mod trace;
pub mod wait;
