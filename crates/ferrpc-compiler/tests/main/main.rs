//! The tests of this crate that see it from outside, in one program: each file is a module, and
//! `cargo test -p ferrpc-compiler --test main NAME` runs the tests whose path has NAME in it.

mod cases;
mod mutated;
mod robust;
