//! Chance for machines that have none of their own: jitter, and what PINGs carry.

use std::hash::{BuildHasher, Hasher, RandomState};

/// A number that nobody else can guess, another one each time: std's hash keys are random for each of
/// its makers.
pub fn seed() -> u64 {
    RandomState::new().build_hasher().finish()
}
