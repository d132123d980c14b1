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
