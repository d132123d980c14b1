//! Durations as protobuf's JSON has them: "1.5s".

use std::time::Duration;

/// Reads one; the error says what is wrong with it.
pub(super) fn parse(text: &str) -> Result<Duration, &'static str> {
    let number = text.strip_suffix('s').ok_or("Not a duration (no s suffix)")?;
    let (seconds, fraction) = match number.split_once('.') {
        None => (number, None),
        Some((seconds, fraction)) => (seconds, Some(fraction)),
    };
    let nanos = match fraction {
        None => 0,
        Some(digits) if digits.len() > 9 => {
            return Err("Not a duration (too many digits after decimal)");
        }
        Some(digits) if digits.is_empty() || !is_digits(digits) => {
            return Err("Not a duration (not a number of nanoseconds)");
        }
        Some(digits) => digits.bytes().chain(std::iter::repeat(b'0')).take(9).fold(0, append),
    };
    let negative = seconds.strip_prefix('-');
    let digits = negative.unwrap_or(seconds);
    if digits.is_empty() || !is_digits(digits) {
        return Err("Not a duration (not a number of seconds)");
    }
    let seconds = digits.parse().ok().filter(|seconds| *seconds <= MAX_SECONDS);
    match seconds {
        Some(seconds) if negative.is_none() => Ok(Duration::new(seconds, nanos)),
        _ => Err("seconds must be in the range [0, 315576000000]"),
    }
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

fn append(number: u32, digit: u8) -> u32 {
    number * 10 + u32::from(digit - b'0')
}

/// Of google.protobuf.Duration: 10,000 years.
const MAX_SECONDS: u64 = 315_576_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_duration() {
        assert_eq!(parse("3s"), Ok(Duration::from_secs(3)));
        assert_eq!(parse("0.05s"), Ok(Duration::from_millis(50)));
        assert_eq!(parse("1.000000001s"), Ok(Duration::new(1, 1)));
        assert_eq!(parse("315576000000s"), Ok(Duration::from_secs(MAX_SECONDS)));
        for bad in ["", "3", "s", "-1s", "-0s", "+1s", ".5s", "5.s", "1.0000000001s", "1 s", "1e3s"]
        {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
        assert!(parse("315576000001s").is_err());
        assert!(parse("99999999999999999999s").is_err());
    }
}
