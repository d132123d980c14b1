//! Integers (RFC 7541, 5.1).

use super::DecodeError;

/// Continuation bytes an integer may take: what 32 bits need. Longer ones are refused even where
/// they only carry zeros, which no encoder sends.
const MAX_CONTINUATION: usize = 5;

/// Reads the integer whose prefix is the low `prefix` bits of `input[0]`. Gives its value and the
/// bytes it takes, or `None` where the input ends within it.
#[inline]
pub(super) fn decode(input: &[u8], prefix: u32) -> Result<Option<(u32, usize)>, DecodeError> {
    let Some((&first, rest)) = input.split_first() else { return Ok(None) };
    let mask = (1u32 << prefix) - 1;
    let value = u32::from(first) & mask;
    if value < mask {
        return Ok(Some((value, 1)));
    }
    let mut value = u64::from(value);
    for (at, &byte) in rest.iter().take(MAX_CONTINUATION).enumerate() {
        value += u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            let value = u32::try_from(value).map_err(|_| DecodeError::IntegerOverflow)?;
            return Ok(Some((value, at + 2)));
        }
    }
    if rest.len() < MAX_CONTINUATION { Ok(None) } else { Err(DecodeError::IntegerOverflow) }
}

/// Appends `value` with a prefix of `prefix` bits, the bits above it taken from `pattern`.
#[inline]
pub(super) fn encode(mut value: usize, prefix: u32, pattern: u8, out: &mut Vec<u8>) {
    let mask = (1usize << prefix) - 1;
    if value < mask {
        out.push(pattern | value as u8);
        return;
    }
    out.push(pattern | mask as u8);
    value -= mask;
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
