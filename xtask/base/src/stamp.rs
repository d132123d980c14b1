//! Stamps: a file that is written after its step succeeded, with a mark of what the step was made
//! from. Nothing is installed needlessly, and a step cut short is done again.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::path::Path;

use anyhow::{Context, Result};

/// A mark of these inputs.
pub fn mark(inputs: impl Hash) -> String {
    let mut hasher = DefaultHasher::new();
    inputs.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

/// Whether the step was done with this mark.
pub fn fresh(stamp: &Path, mark: &str) -> bool {
    fs::read_to_string(stamp).is_ok_and(|found| found == mark)
}

/// The step is done.
pub fn done(stamp: &Path, mark: &str) -> Result<()> {
    fs::write(stamp, mark).with_context(|| format!("cannot write {}", stamp.display()))
}
