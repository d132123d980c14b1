//! Where files come from.

use std::collections::HashMap;
use std::hash::BuildHasher;

/// What an import path leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// The text of a `.proto` file; bytes, since comments may hold anything.
    Text(Vec<u8>),
    /// The bytes of a `FileDescriptorProto` in which all names are full ones.
    Descriptor(Vec<u8>),
}

/// Files by their import paths.
pub trait SourceTree {
    /// Opens a file; the error is a sentence that is shown with the path.
    fn open(&self, path: &str) -> Result<Source, String>;
}

impl<T: AsRef<[u8]>, S: BuildHasher> SourceTree for HashMap<&str, T, S> {
    fn open(&self, path: &str) -> Result<Source, String> {
        match self.get(path) {
            Some(text) => Ok(Source::Text(text.as_ref().to_vec())),
            None => Err(NOT_FOUND.to_owned()),
        }
    }
}

const NOT_FOUND: &str = "File not found.";
