//! What is wrong with a service config.

use std::error::Error;
use std::fmt;

/// Why a text is not a service config.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServiceConfigError {
    /// It is not JSON: why, with line and column.
    Json(String),
    /// Fields are wrong, in the order of their paths.
    Invalid(Vec<FieldError>),
}

/// A field of a service config that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FieldError {
    /// Where it stands: `methodConfig[0].retryPolicy.maxAttempts`. Empty for the whole.
    pub path: String,
    /// What is wrong with it.
    pub problem: String,
}

impl fmt::Display for ServiceConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(why) => write!(f, "JSON parsing failed: [{why}]"),
            Self::Invalid(fields) => {
                f.write_str("errors validating service config: [")?;
                for (index, field) in fields.iter().enumerate() {
                    let separator = if index == 0 { "" } else { "; " };
                    write!(f, "{separator}{field}")?;
                }
                f.write_str("]")
            }
        }
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "field:{} error:{}", self.path, self.problem)
    }
}

impl Error for ServiceConfigError {}
