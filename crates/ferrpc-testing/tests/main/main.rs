//! The tests of this crate that see it from outside, in one program: each file is a module, and
//! `cargo test -p ferrpc-testing --test main NAME` runs the tests whose path has NAME in it.

mod attacks;
mod floods;
mod generated;
mod interop;
