//! The tests of this crate that see it from outside, in one program: each file is a module, and
//! `cargo test -p ferrpc-http2 --test main NAME` runs the tests whose path has NAME in it.

mod conformance;
mod hpack_encoder;
mod hpack_limits;
mod hpack_vectors;
mod limits;
