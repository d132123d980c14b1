//! What is wrong with a file, or worth a warning.

use std::fmt;

/// One fault or warning, with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The import path of the file.
    pub file: String,
    /// Where in the file, if it is about a place.
    pub place: Option<Place>,
    /// What is wrong: a sentence, in protoc's words.
    pub message: String,
    /// What may help.
    pub help: Option<String>,
    /// Whether it ends the compilation.
    pub severity: Severity,
}

/// A place in a file. Columns count bytes, and tabs to the next multiple of eight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// From 1.
    pub line: u32,
    /// From 1.
    pub column: u32,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// There will be no descriptors.
    Error,
    /// The descriptors are good.
    Warning,
    /// A warning that should not become an error, however strict one is.
    Notice,
}

impl Place {
    pub(crate) fn from_zero((line, column): (u32, u32)) -> Option<Self> {
        Some(Self { line: line.checked_add(1)?, column: column.saturating_add(1) })
    }
}

/// `file:line:column: message`, as protoc prints it.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(Place { line, column }) = self.place {
            write!(f, ":{line}:{column}")?;
        }
        let kind = match self.severity {
            Severity::Error => "",
            Severity::Warning | Severity::Notice => "warning: ",
        };
        write!(f, ": {kind}{}", self.message)
    }
}
