//! The base64 in which the values of `-bin` keys travel.
//!
//! gRPC emits it without padding and accepts it with or without.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Encodes `bytes`, unpadded, and hands the text to `take`. Short values need no allocation.
pub(crate) fn encode_with<R>(bytes: &[u8], take: impl FnOnce(&[u8]) -> R) -> R {
    let mut stack = [0; STACK_TEXT];
    match ENGINE.encode_slice(bytes, &mut stack) {
        Ok(length) => take(&stack[..length]),
        Err(_) => take(ENGINE.encode(bytes).as_bytes()),
    }
}

/// Decodes one value, padded or not; `None` if it is not base64.
pub(crate) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    ENGINE.decode(text).ok()
}

/// Whether [`decode`] succeeds, found without decoding.
pub(crate) fn is_valid(text: &[u8]) -> bool {
    let digits = without_padding(text);
    let padding = text.len() - digits.len();
    let allowed = match digits.len() % 4 {
        0 => 0,
        1 => return false,
        rest => 4 - rest,
    };
    padding <= allowed && digits.iter().fold(true, |ok, byte| ok & IS_DIGIT[*byte as usize])
}

/// `text` without the "=" at its end.
pub(crate) fn without_padding(text: &[u8]) -> &[u8] {
    let padding = text.iter().rev().take_while(|byte| **byte == b'=').count();
    &text[..text.len() - padding]
}

/// Trailing bits are not checked: gRPC's implementations differ there, and nothing is lost.
const ENGINE: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Room for values of 192 bytes: trace contexts, tokens and ids are shorter.
const STACK_TEXT: usize = 256;

const IS_DIGIT: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < table.len() {
        let digit = byte as u8;
        table[byte] = digit.is_ascii_alphanumeric() || digit == b'+' || digit == b'/';
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn round_trip(bytes in vec(any::<u8>(), 0..400)) {
            let text = encode_with(&bytes, <[u8]>::to_vec);
            prop_assert!(is_valid(&text));
            prop_assert_eq!(without_padding(&text), &text[..]);
            prop_assert_eq!(decode(&text), Some(bytes));
        }

        #[test]
        fn valid_is_what_decodes(text in "[A-Za-z0-9+/]{0,9}={0,3}[-_,A= \u{e9}]?") {
            prop_assert_eq!(is_valid(text.as_bytes()), decode(text.as_bytes()).is_some());
        }

        #[test]
        fn valid_bytes_are_what_decodes(text in vec(any::<u8>(), 0..6)) {
            prop_assert_eq!(is_valid(&text), decode(&text).is_some());
        }

        #[test]
        fn padding_says_nothing(text in "[A-Za-z0-9+/]{0,9}={0,2}") {
            let text = text.as_bytes();
            if is_valid(text) {
                prop_assert_eq!(decode(text), decode(without_padding(text)));
            }
        }
    }
}
