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

/// The most bytes that a character takes on the wire; a space at either end takes two more.
pub(crate) fn encoded_length(character: char) -> usize {
    match character {
        ' '..='~' if character != '%' => 1,
        _ => 3 * character.len_utf8(),
    }
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::vectors;

    #[test]
    fn vectors() {
        for line in vectors::lines(include_str!("../../../testdata/grpc/messages.txt")) {
            let mut columns = line.split('\t');
            let (Some(wire), Some(kind), Some(message)) =
                (columns.next(), columns.next(), columns.next())
            else {
                panic!("{line:?} has no three columns");
            };
            let message = unescape(message);
            assert_eq!(decode(wire.as_bytes()), message, "{line}");
            match kind {
                "=" => assert_eq!(encode(&message), wire.as_bytes(), "{line}"),
                kind => assert_eq!(kind, "<"),
            }
        }
    }

    proptest! {
        #[test]
        fn round_trip(message in any::<String>()) {
            let wire = encode(&message);
            prop_assert!(wire.iter().all(|byte| (0x20..0x7f).contains(byte)));
            prop_assert_eq!(wire.trim_ascii(), &wire[..]);
            prop_assert_eq!(decode(&wire), &message[..]);
        }

        #[test]
        fn plain_text_is_not_copied(message in "[!-$&-~]([ -$&-~]*[!-$&-~])?") {
            let wire = encode(&message);
            prop_assert!(matches!(wire, Cow::Borrowed(_)));
            prop_assert!(matches!(decode(&wire), Cow::Borrowed(_)));
        }

        #[test]
        fn any_bytes_are_handled(value in "[%0-9a-fg\u{e9}]*", cut in 0usize..8) {
            let value = value.as_bytes();
            let _ = decode(&value[..value.len().saturating_sub(cut)]);
        }
    }

    fn unescape(quoted: &str) -> String {
        let mut quoted = quoted
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'))
            .expect("a quoted string")
            .chars();
        let mut out = String::new();
        while let Some(next) = quoted.next() {
            out.push(match next {
                '\\' => match quoted.next() {
                    Some('t') => '\t',
                    Some('n') => '\n',
                    Some('r') => '\r',
                    Some('u') => {
                        let digits: String = quoted.by_ref().take(4).collect();
                        u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32).expect("hex")
                    }
                    other => other.expect("a character"),
                },
                next => next,
            });
        }
        out
    }
}
