//! What can go wrong between a `.proto` file and Rust.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why generation failed.
///
/// Its text is one sentence a line, each with `file:line:column` where the fault has one. `Debug`
/// gives the same text, so that a `build.rs` whose `main` returns it prints something readable.
#[non_exhaustive]
pub enum Error {
    /// A `.proto` file is wrong, or could not be found or read.
    Proto {
        /// The file, as far as it is known: its path on disk.
        file: Option<PathBuf>,
        /// All that was found, ready to print.
        message: String,
        /// The error of the front end.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The descriptor set is not one, or lacks something.
    Descriptors {
        /// What is wrong with it.
        message: String,
    },
    /// The message library refused, or made something that is not Rust.
    Messages {
        /// What it said.
        message: String,
    },
    /// An option of the builder does not make sense.
    Option {
        /// Which, and what to write instead.
        message: String,
    },
    /// A file could not be written.
    Write {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Error {
    pub(crate) fn descriptors(message: impl fmt::Display) -> Self {
        Self::Descriptors { message: message.to_string() }
    }

    pub(crate) fn messages(message: impl fmt::Display) -> Self {
        Self::Messages { message: message.to_string() }
    }

    pub(crate) fn option(message: impl fmt::Display) -> Self {
        Self::Option { message: message.to_string() }
    }

    pub(crate) fn write(path: &Path, source: io::Error) -> Self {
        Self::Write { path: path.to_owned(), source }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Proto { message, .. } => f.write_str(message),
            Self::Descriptors { message } => {
                write!(f, "The descriptor set cannot be used: {message}.")
            }
            Self::Messages { message } => {
                write!(f, "The messages could not be generated: {message}.")
            }
            Self::Option { message } => write!(f, "{message}."),
            Self::Write { path, source } => {
                write!(f, "{} could not be written: {source}.", path.display())
            }
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Proto { source, .. } => Some(source.as_ref()),
            Self::Write { source, .. } => Some(source),
            Self::Descriptors { .. } | Self::Messages { .. } | Self::Option { .. } => None,
        }
    }
}
