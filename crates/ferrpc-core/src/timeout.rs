//! The value of `grpc-timeout`: at most eight digits and a unit.

use std::time::Duration;

/// A received `grpc-timeout` that has another form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadTimeout;

/// A timeout as it travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimeoutText {
    text: [u8; MAX_DIGITS + 1],
    start: u8,
}

/// Reads a timeout. Zero is legal: the call has expired. The longest, 99999999 hours, fits in a
/// `Duration`; adding it to a [`Time`](crate::Time) saturates.
pub(crate) fn parse(value: &[u8]) -> Result<Duration, BadTimeout> {
    let (unit, digits) = value.split_last().ok_or(BadTimeout)?;
    if digits.is_empty() || digits.len() > MAX_DIGITS || !digits.iter().all(u8::is_ascii_digit) {
        return Err(BadTimeout);
    }
    let number = digits.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0'));
    Ok(match unit {
        b'H' => Duration::from_secs(number * 3600),
        b'M' => Duration::from_secs(number * 60),
        b'S' => Duration::from_secs(number),
        b'm' => Duration::from_millis(number),
        b'u' => Duration::from_micros(number),
        b'n' => Duration::from_nanos(number),
        _ => return Err(BadTimeout),
    })
}

/// Writes a timeout in the finest unit that holds it, rounded up: a server never gives up before
/// its client. At least one nanosecond, because some peers refuse zero.
pub(crate) fn format(timeout: Duration) -> TimeoutText {
    let nanos = timeout.as_nanos().max(1);
    let (number, unit) = UNITS
        .iter()
        .map(|(unit, size)| (nanos.div_ceil(*size), *unit))
        .find(|(number, _)| *number <= MAX_NUMBER)
        .unwrap_or((MAX_NUMBER, b'H'));
    let mut number = number as u32;
    let mut text = [unit; MAX_DIGITS + 1];
    let mut start = MAX_DIGITS;
    while number != 0 {
        start -= 1;
        text[start] = b'0' + (number % 10) as u8;
        number /= 10;
    }
    TimeoutText { text, start: start as u8 }
}

impl TimeoutText {
    /// The value of the header.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.text[usize::from(self.start)..]
    }
}

const MAX_DIGITS: usize = 8;
const MAX_NUMBER: u128 = 99_999_999;

/// The units, finest first, and their sizes in nanoseconds.
const UNITS: [(u8, u128); 6] = [
    (b'n', 1),
    (b'u', 1_000),
    (b'm', 1_000_000),
    (b'S', 1_000_000_000),
    (b'M', 60 * 1_000_000_000),
    (b'H', 3600 * 1_000_000_000),
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::vectors;

    #[test]
    fn received() {
        for [value, expected] in vectors::words(include_str!("../../../testdata/grpc/timeouts.txt"))
        {
            let read = parse(value.as_bytes()).map(|timeout| timeout.as_nanos().to_string());
            assert_eq!(read.as_deref().unwrap_or("bad"), expected, "{value}");
        }
        assert_eq!(parse(b"1\xff"), Err(BadTimeout));
    }

    #[test]
    fn sent() {
        let file = include_str!("../../../testdata/grpc/timeouts_sent.txt");
        for [nanos, expected] in vectors::words(file) {
            let nanos: u128 = nanos.parse().expect("a number");
            let timeout = Duration::new(
                (nanos / 1_000_000_000).try_into().expect("fits"),
                (nanos % 1_000_000_000) as u32,
            );
            let text = format(timeout);
            assert_eq!(text.as_bytes(), expected.as_bytes(), "{nanos}");
        }
    }

    proptest! {
        #[test]
        fn never_shorter_and_at_most_a_unit_longer(nanos in 1u64.., shift in 0u32..64) {
            let timeout = Duration::from_nanos((nanos >> shift).max(1));
            let read = parse(format(timeout).as_bytes()).expect("what is sent can be read");
            prop_assert!(read >= timeout);
            // A unit is at most 1000 of the next finer one, so five digits stay exact.
            let longer = read - timeout;
            prop_assert!(longer <= timeout / 99_999);
        }

        #[test]
        fn any_bytes_are_handled(value in proptest::collection::vec(any::<u8>(), 0..12)) {
            let _ = parse(&value);
        }
    }
}
