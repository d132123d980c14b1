//! The tests of this crate that see it from outside, in one program: each file is a module, and
//! `cargo test -p ferrpc-codegen --test main NAME` runs the tests whose path has NAME in it.

mod errors;
mod foreign_sets;
mod golden;
mod options;

/// A directory of the test that asks, and no other's; it goes with the value.
fn directory() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("can be created")
}
