//! The outcome of a call.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use bytes::Bytes;

use crate::metadata::DETAILS_KEY;
use crate::{Metadata, details};

/// gRPC's status codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Code {
    /// The call succeeded.
    Ok = 0,
    /// The call was cancelled, typically by its caller.
    Cancelled = 1,
    /// An error that fits nowhere else.
    Unknown = 2,
    /// The caller gave an argument that is wrong whatever the state of the system.
    InvalidArgument = 3,
    /// The deadline passed before the call ended.
    DeadlineExceeded = 4,
    /// Something asked for does not exist.
    NotFound = 5,
    /// Something to be made exists already.
    AlreadyExists = 6,
    /// The caller is known and may not do this.
    PermissionDenied = 7,
    /// Something is used up: a quota, memory, a size limit.
    ResourceExhausted = 8,
    /// The system is not in the state the call needs.
    FailedPrecondition = 9,
    /// The call was aborted, for instance by a conflict.
    Aborted = 10,
    /// Past the valid range.
    OutOfRange = 11,
    /// The method does not exist or is not supported here.
    Unimplemented = 12,
    /// Something that must hold does not.
    Internal = 13,
    /// The service cannot be reached now; trying again may help.
    Unavailable = 14,
    /// Data is lost or corrupt beyond repair.
    DataLoss = 15,
    /// The caller is not known.
    Unauthenticated = 16,
}

/// How a call ended: a code, a message for people, details for programs, and the trailing
/// metadata that came or goes with it.
#[derive(Clone)]
pub struct Status {
    code: Code,
    message: Cow<'static, str>,
    /// `grpc-status-details-bin`, empty if there is none.
    details: Bytes,
    /// Boxed: most statuses have none, and a status travels in every result.
    metadata: Option<Box<Metadata>>,
}

/// A number or name that is no status code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownCode(Box<str>);

/// Why bytes are not the details of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DetailsError {
    /// They are no serialised `google.rpc.Status`.
    Malformed,
    /// Its code is OK or no code at all.
    Code(i32),
}

impl Status {
    /// A status with a message.
    pub fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), details: Bytes::new(), metadata: None }
    }

    /// Success.
    pub const fn ok() -> Self {
        Self { code: Code::Ok, message: Cow::Borrowed(""), details: Bytes::new(), metadata: None }
    }

    /// The status that a serialised `google.rpc.Status` describes, with it as its details.
    pub fn from_details(details: impl Into<Bytes>) -> Result<Self, DetailsError> {
        let details = details.into();
        let read = details::read(&details).ok_or(DetailsError::Malformed)?;
        let code = match Code::try_from(read.code) {
            Ok(Code::Ok) | Err(_) => return Err(DetailsError::Code(read.code)),
            Ok(code) => code,
        };
        let message = String::from_utf8_lossy(read.message).into_owned();
        Ok(Self::new(code, message).with_details(details))
    }

    /// The same status with details: a serialised `google.rpc.Status` whose code is this one's.
    /// They travel as `grpc-status-details-bin`, whatever they are, unless the status is OK; values
    /// that the metadata has for that key are removed.
    pub fn with_details(mut self, details: impl Into<Bytes>) -> Self {
        if let Some(metadata) = &mut self.metadata {
            metadata.remove(DETAILS_KEY);
        }
        self.details = details.into();
        self
    }

    /// The same status with trailing metadata.
    pub fn with_metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = if metadata.is_empty() { None } else { Some(Box::new(metadata)) };
        self
    }

    /// The code.
    pub const fn code(&self) -> Code {
        self.code
    }

    /// The message.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The details, as they were given or received: a serialised `google.rpc.Status`, unless the
    /// peer's program chose otherwise; empty if there are none. What was received is also in the
    /// metadata, under `grpc-status-details-bin`.
    pub fn details(&self) -> &Bytes {
        &self.details
    }

    /// The trailing metadata.
    pub fn metadata(&self) -> &Metadata {
        static EMPTY: Metadata = Metadata::new();
        self.metadata.as_deref().unwrap_or(&EMPTY)
    }

    /// The trailing metadata, to change it.
    pub fn metadata_mut(&mut self) -> &mut Metadata {
        self.metadata.get_or_insert_default()
    }

    /// Whether the call succeeded.
    pub fn is_ok(&self) -> bool {
        self.code == Code::Ok
    }
}

/// A constructor for each code of a failure.
macro_rules! failures {
    ($($(#[$doc:meta])* $name:ident, $code:ident;)*) => {
        impl Status {
            $($(#[$doc])*
            pub fn $name(message: impl Into<Cow<'static, str>>) -> Self {
                Self::new(Code::$code, message)
            })*
        }
    };
}

failures! {
    /// A status with [`Code::Cancelled`].
    cancelled, Cancelled;
    /// A status with [`Code::Unknown`].
    unknown, Unknown;
    /// A status with [`Code::InvalidArgument`].
    invalid_argument, InvalidArgument;
    /// A status with [`Code::DeadlineExceeded`].
    deadline_exceeded, DeadlineExceeded;
    /// A status with [`Code::NotFound`].
    not_found, NotFound;
    /// A status with [`Code::AlreadyExists`].
    already_exists, AlreadyExists;
    /// A status with [`Code::PermissionDenied`].
    permission_denied, PermissionDenied;
    /// A status with [`Code::ResourceExhausted`].
    resource_exhausted, ResourceExhausted;
    /// A status with [`Code::FailedPrecondition`].
    failed_precondition, FailedPrecondition;
    /// A status with [`Code::Aborted`].
    aborted, Aborted;
    /// A status with [`Code::OutOfRange`].
    out_of_range, OutOfRange;
    /// A status with [`Code::Unimplemented`].
    unimplemented, Unimplemented;
    /// A status with [`Code::Internal`].
    internal, Internal;
    /// A status with [`Code::Unavailable`].
    unavailable, Unavailable;
    /// A status with [`Code::DataLoss`].
    data_loss, DataLoss;
    /// A status with [`Code::Unauthenticated`].
    unauthenticated, Unauthenticated;
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Status");
        out.field("code", &self.code).field("message", &self.message);
        if !self.details.is_empty() {
            out.field("details", &self.details);
        }
        if let Some(metadata) = &self.metadata {
            out.field("metadata", metadata);
        }
        out.finish()
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for Status {}

impl Code {
    /// The code of a number.
    pub const fn from_number(number: u32) -> Option<Self> {
        Some(match number {
            0 => Self::Ok,
            1 => Self::Cancelled,
            2 => Self::Unknown,
            3 => Self::InvalidArgument,
            4 => Self::DeadlineExceeded,
            5 => Self::NotFound,
            6 => Self::AlreadyExists,
            7 => Self::PermissionDenied,
            8 => Self::ResourceExhausted,
            9 => Self::FailedPrecondition,
            10 => Self::Aborted,
            11 => Self::OutOfRange,
            12 => Self::Unimplemented,
            13 => Self::Internal,
            14 => Self::Unavailable,
            15 => Self::DataLoss,
            16 => Self::Unauthenticated,
            _ => return None,
        })
    }

    /// All codes, in the order of their numbers.
    pub const ALL: [Self; 17] = [
        Self::Ok,
        Self::Cancelled,
        Self::Unknown,
        Self::InvalidArgument,
        Self::DeadlineExceeded,
        Self::NotFound,
        Self::AlreadyExists,
        Self::PermissionDenied,
        Self::ResourceExhausted,
        Self::FailedPrecondition,
        Self::Aborted,
        Self::OutOfRange,
        Self::Unimplemented,
        Self::Internal,
        Self::Unavailable,
        Self::DataLoss,
        Self::Unauthenticated,
    ];

    /// The number.
    pub const fn number(self) -> u32 {
        self as u32
    }

    /// Reads `grpc-status`: leading zeros are passed over, and what is no code is UNKNOWN.
    pub(crate) fn from_wire(value: &[u8]) -> Self {
        number(value).and_then(Self::from_number).unwrap_or(Self::Unknown)
    }

    /// The value of `grpc-status`.
    pub(crate) const fn wire(self) -> &'static [u8] {
        const NUMBERS: [&[u8]; 17] = [
            b"0", b"1", b"2", b"3", b"4", b"5", b"6", b"7", b"8", b"9", b"10", b"11", b"12", b"13",
            b"14", b"15", b"16",
        ];
        NUMBERS[self as usize]
    }

    /// The name that gRPC's documents use, for instance `NOT_FOUND`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Cancelled => "CANCELLED",
            Self::Unknown => "UNKNOWN",
            Self::InvalidArgument => "INVALID_ARGUMENT",
            Self::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Self::NotFound => "NOT_FOUND",
            Self::AlreadyExists => "ALREADY_EXISTS",
            Self::PermissionDenied => "PERMISSION_DENIED",
            Self::ResourceExhausted => "RESOURCE_EXHAUSTED",
            Self::FailedPrecondition => "FAILED_PRECONDITION",
            Self::Aborted => "ABORTED",
            Self::OutOfRange => "OUT_OF_RANGE",
            Self::Unimplemented => "UNIMPLEMENTED",
            Self::Internal => "INTERNAL",
            Self::Unavailable => "UNAVAILABLE",
            Self::DataLoss => "DATA_LOSS",
            Self::Unauthenticated => "UNAUTHENTICATED",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Reads decimal digits and nothing else; saturates.
fn number(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u32, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| u32::from(digit - b'0'))?;
        Some(number.saturating_mul(10).saturating_add(digit))
    })
}

impl FromStr for Code {
    type Err = UnknownCode;

    /// Takes a name in any case ("NOT_FOUND", "not_found") or a number, as service configs do.
    fn from_str(text: &str) -> Result<Self, UnknownCode> {
        match number(text.as_bytes()) {
            Some(number) => Self::from_number(number),
            None => Self::ALL.into_iter().find(|code| code.name().eq_ignore_ascii_case(text)),
        }
        .ok_or_else(|| UnknownCode(text.into()))
    }
}

impl TryFrom<u32> for Code {
    type Error = UnknownCode;

    fn try_from(number: u32) -> Result<Self, UnknownCode> {
        Self::from_number(number).ok_or_else(|| UnknownCode(number.to_string().into()))
    }
}

impl TryFrom<i32> for Code {
    type Error = UnknownCode;

    fn try_from(number: i32) -> Result<Self, UnknownCode> {
        let code = u32::try_from(number).ok().and_then(Self::from_number);
        code.ok_or_else(|| UnknownCode(number.to_string().into()))
    }
}

impl From<Code> for u32 {
    fn from(code: Code) -> Self {
        code.number()
    }
}

impl From<Code> for i32 {
    fn from(code: Code) -> Self {
        code as Self
    }
}

impl fmt::Display for UnknownCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no status code: neither a name such as NOT_FOUND nor 0 to 16", self.0)
    }
}

impl std::error::Error for UnknownCode {}

impl fmt::Display for DetailsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("status details are no serialised google.rpc.Status"),
            Self::Code(code) => {
                write!(f, "status details have code {code}, which is not that of a failure")
            }
        }
    }
}

impl std::error::Error for DetailsError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors;

    #[test]
    fn received() {
        for [value, name] in vectors::words(include_str!("../../../testdata/grpc/statuses.txt")) {
            assert_eq!(Code::from_wire(value.as_bytes()).name(), name, "{value}");
        }
        assert_eq!(Code::from_wire(b"\xff"), Code::Unknown);
    }

    #[test]
    fn sent() {
        for code in Code::ALL {
            assert_eq!(code.wire(), code.number().to_string().as_bytes());
        }
    }
}
