//! The tests of this crate that see it from outside, in one program: each file is a module, and
//! `cargo test -p ferrpc-core --test main NAME` runs the tests whose path has NAME in it.

mod backoff;
mod calls;
mod channel;
mod channel_world;
mod connection_calls;
mod encoding;
mod end_of_stream;
mod events;
mod full;
mod keepalive;
mod lifetime;
mod metadata;
mod mixtures;
mod mutations;
mod received_metadata;
mod requests;
mod resets;
mod responses;
mod retries;
mod retry_storms;
mod runs;
mod service_config;
mod simulation;
mod status;
mod status_shapes;
mod streaming;
mod subchannel;
