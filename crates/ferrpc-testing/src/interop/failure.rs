//! Why a case failed, and the checks that find out.

use std::fmt::{self, Debug};

use ferrpc::{Code, MetadataError, Status};

/// Why a case failed.
#[derive(Debug)]
pub struct Failure(String);

pub(super) type Outcome = Result<(), Failure>;

impl Failure {
    pub(super) fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

/// One line, not too long.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = self.0.replace(['\r', '\n'], " ");
        f.write_str(&line.chars().take(300).collect::<String>())
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        Self(format!("the call ended with {status}"))
    }
}

impl From<MetadataError> for Failure {
    fn from(error: MetadataError) -> Self {
        Self(error.to_string())
    }
}

pub(super) fn check(condition: bool, reason: &str) -> Outcome {
    if condition { Ok(()) } else { Err(Failure::new(reason)) }
}

pub(super) fn check_equal<T: PartialEq + Debug>(found: T, wanted: T, what: &str) -> Outcome {
    if found == wanted {
        return Ok(());
    }
    Err(Failure(format!("{what}: {found:?} instead of {wanted:?}")))
}

/// That a call ended with `code`, and with `message` if there is one.
pub(super) fn check_status<T>(
    result: Result<T, Status>,
    code: Code,
    message: Option<&str>,
) -> Outcome {
    let Err(status) = result else {
        return Err(Failure(format!("status OK instead of {code}")));
    };
    if status.code() != code {
        return Err(Failure(format!("status {status} instead of {code}")));
    }
    match message {
        Some(wanted) => check_equal(status.message(), wanted, "status message"),
        None => Ok(()),
    }
}
