//! What a service config says of attempts.

use std::time::Duration;

use serde_json::Value;

use super::duration;
use super::object::{self, Errors, Object};
use crate::Code;

/// When a failed call is attempted again (gRFC A6).
#[derive(Clone, Debug, PartialEq)]
pub struct RetryPolicy {
    /// Attempts at most, the first one included: 2 to 5.
    pub max_attempts: u32,
    /// The wait before the second attempt, before it is spread by 20 % both ways.
    pub initial_backoff: Duration,
    /// The longest wait, before it is spread.
    pub max_backoff: Duration,
    /// Growth of the wait from attempt to attempt.
    pub multiplier: f64,
    /// The codes that an attempt must fail with.
    pub codes: CodeSet,
}

/// A set of status codes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CodeSet(u32);

/// When configured retries stop because too many calls fail (gRFC A6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryThrottling {
    /// Thousandths of tokens at first, and at most. A failure takes a whole token; at half of this, and
    /// below, nothing is attempted again.
    pub max_milli_tokens: u32,
    /// Thousandths of a token that a call which succeeds gives back.
    pub milli_tokens_per_success: u32,
}

impl CodeSet {
    /// The same set with one code more.
    #[must_use]
    pub const fn with(self, code: Code) -> Self {
        Self(self.0 | 1 << code.number())
    }

    /// Whether the code is one of them.
    pub const fn contains(self, code: Code) -> bool {
        self.0 & (1 << code.number()) != 0
    }

    /// Whether there are none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl RetryPolicy {
    pub(super) fn read(object: &Object<'_>, errors: &mut Errors) -> Option<Self> {
        let max_attempts = object.required("maxAttempts", errors).and_then(|value| {
            let count = object.read("maxAttempts", errors, object::count(value))?;
            let enough = if count >= 2 { Ok(count) } else { Err("must be at least 2") };
            object.read("maxAttempts", errors, enough)
        });
        let initial_backoff = backoff("initialBackoff", object, errors);
        let max_backoff = backoff("maxBackoff", object, errors);
        let multiplier = object.required("backoffMultiplier", errors).and_then(|value| {
            let value = object.read("backoffMultiplier", errors, object::fraction(value))?;
            object.read("backoffMultiplier", errors, positive(value, value > 0.0))
        });
        let codes = codes(object, errors);
        Some(Self {
            max_attempts: max_attempts?.min(MAX_ATTEMPTS),
            initial_backoff: initial_backoff?,
            max_backoff: max_backoff?,
            multiplier: multiplier?,
            codes: codes?,
        })
    }
}

fn backoff(name: &str, object: &Object<'_>, errors: &mut Errors) -> Option<Duration> {
    object.required(name, errors)?;
    let text = object.text(name, errors)?;
    let value = object.read(name, errors, duration::parse(text))?;
    object.read(name, errors, positive(value, !value.is_zero()))
}

fn positive<T>(value: T, is_positive: bool) -> Result<T, &'static str> {
    if is_positive { Ok(value) } else { Err("must be greater than 0") }
}

fn codes(object: &Object<'_>, errors: &mut Errors) -> Option<CodeSet> {
    let mut set = CodeSet::default();
    for (value, path) in object.array("retryableStatusCodes", errors) {
        match code(value) {
            Ok(code) => set = set.with(code),
            Err(problem) => errors.add(&path, problem),
        }
    }
    if set.is_empty() {
        errors.add(&object.path_of("retryableStatusCodes"), "must be non-empty");
        return None;
    }
    Some(set)
}

/// A status code by its number or its name.
fn code(value: &Value) -> Result<Code, &'static str> {
    let code = match value {
        Value::Number(number) => {
            let number = number.as_u64().and_then(|number| u32::try_from(number).ok());
            number.and_then(|number| Code::try_from(number).ok())
        }
        Value::String(name) => name.parse().ok().filter(|code: &Code| code.name() == name),
        _ => return Err("is not a string or a number"),
    };
    code.ok_or("failed to parse status code")
}

impl RetryThrottling {
    pub(super) fn read(object: &Object<'_>, errors: &mut Errors) -> Option<Self> {
        let tokens = object.required("maxTokens", errors).and_then(|value| {
            let tokens = object.read("maxTokens", errors, object::count(value))?;
            object.read("maxTokens", errors, positive(tokens, tokens > 0))
        });
        let ratio = object.required("tokenRatio", errors).and_then(|value| {
            let ratio = object.read("tokenRatio", errors, object::fraction(value))?;
            // Three decimal places count.
            let milli = (ratio * 1000.0 + ROUNDING).clamp(0.0, f64::from(u32::MAX)) as u32;
            object.read("tokenRatio", errors, positive(milli, milli > 0))
        });
        Some(Self {
            max_milli_tokens: tokens?.saturating_mul(1000),
            milli_tokens_per_success: ratio?,
        })
    }
}

/// More attempts than this are not made, whatever a config says (gRFC A6).
const MAX_ATTEMPTS: u32 = 5;

/// 0.001 is no power of two: what is a hair below a whole number is that number.
const ROUNDING: f64 = 1e-6;
