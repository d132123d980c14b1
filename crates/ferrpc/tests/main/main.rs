//! The tests of this crate that see it from outside, in one program: each file is a module, and
//! `cargo test -p ferrpc --test main NAME` runs the tests whose path has NAME in it.

mod beside_others;
mod call_credentials;
mod caller;
#[cfg(feature = "tls")]
mod certificates;
mod client_addresses;
mod client_blocking;
mod client_calls;
mod client_connection;
mod client_credit;
mod client_driven;
mod client_edges;
mod client_farewells;
mod client_idle;
mod client_keepalive;
mod client_proxy;
mod client_raw;
mod client_server;
mod client_streams;
mod gate;
mod paces;
mod server_addresses;
mod server_calls;
mod server_drains;
mod server_edges;
mod server_handlers;
mod server_life;
mod server_locks;
mod server_lookout;
mod server_memory;
mod server_missing;
mod support;
mod tls;
mod tls_attacks;
mod tls_blocking;
mod tls_refusals;
mod tls_renegotiation;
mod tls_signer;
mod tls_version_1;
#[cfg(feature = "tls")]
mod warnings;
