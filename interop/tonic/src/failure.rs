//! Why a case failed, and the checks that find out.

use std::fmt::{self, Debug};

use tonic::{Code, Status};

pub struct Failure(String);

pub type Outcome = Result<(), Failure>;

impl Failure {
    pub fn new(reason: impl Into<String>) -> Self {
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
        Self(format!("RPC ended with {:?}: {:?}", status.code(), status.message()))
    }
}

pub fn check(condition: bool, reason: &str) -> Outcome {
    if condition { Ok(()) } else { Err(Failure::new(reason)) }
}

pub fn check_equal<T: PartialEq + Debug>(found: T, wanted: T, what: &str) -> Outcome {
    if found == wanted {
        return Ok(());
    }
    Err(Failure(format!("{what}: {found:?} instead of {wanted:?}")))
}

/// That the RPC ended with `code`, and with `message` if there is one.
pub fn check_status<T>(result: Result<T, Status>, code: Code, message: Option<&str>) -> Outcome {
    let Err(status) = result else {
        return Err(Failure(format!("status OK instead of {code:?}")));
    };
    if status.code() != code {
        let (found, text) = (status.code(), status.message());
        return Err(Failure(format!("{found:?} ({text:?}) instead of {code:?}")));
    }
    match message {
        Some(wanted) => check_equal(status.message(), wanted, "status message"),
        None => Ok(()),
    }
}
