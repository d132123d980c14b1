//! The percent-encoding of `grpc-message`.

use std::borrow::Cow;

/// Encodes a message for the wire.
///
/// Beyond what gRPC demands, a space at either end is encoded too: RFC 9113 (8.2.1) forbids field
/// values that begin or end with one, and strict peers reset the stream.
pub(crate) fn encode(message: &str) -> Cow<'_, [u8]> {
    let bytes = message.as_bytes();
    let is_plain = |index: usize, byte: u8| match byte {
        b'%' => false,
        b' ' => index != 0 && index + 1 != bytes.len(),
        _ => byte.is_ascii_graphic(),
    };
    let Some(first) = bytes.iter().enumerate().position(|(index, byte)| !is_plain(index, *byte))
    else {
        return Cow::Borrowed(bytes);
    };
    let mut out = Vec::with_capacity(bytes.len() + 16);
    out.extend_from_slice(&bytes[..first]);
    for (index, byte) in bytes.iter().enumerate().skip(first) {
        if is_plain(index, *byte) {
            out.push(*byte);
        } else {
            let digit = |nibble: u8| HEX[usize::from(nibble)];
            out.extend_from_slice(&[b'%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
    Cow::Owned(out)
}

/// Decodes a message from the wire. Never fails: a "%" without two hexadecimal digits stands for
/// itself, and what is not UTF-8 is replaced.
pub(crate) fn decode(value: &[u8]) -> Cow<'_, str> {
    let Some(first) = value.iter().position(|byte| *byte == b'%') else {
        return String::from_utf8_lossy(value);
    };
    let mut out = Vec::with_capacity(value.len());
    out.extend_from_slice(&value[..first]);
    let mut rest = &value[first..];
    while let [byte, tail @ ..] = rest {
        match rest {
            [b'%', high, low, tail @ ..]
                if let (Some(high), Some(low)) = (hex(*high), hex(*low)) =>
            {
                out.push(high << 4 | low);
                rest = tail;
            }
            _ => {
                out.push(*byte);
                rest = tail;
            }
        }
    }
    Cow::Owned(match String::from_utf8(out) {
        Ok(message) => message,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    })
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

const HEX: &[u8; 16] = b"0123456789ABCDEF";
