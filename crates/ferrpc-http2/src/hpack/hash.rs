//! The hash by which the encoder finds fields.
//!
//! Neither seeded nor secret: a hit is always compared byte for byte, so a forged collision costs
//! its author a comparison and nothing else.

/// Any odd number with well mixed bits; this is the fractional part of the golden ratio.
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

/// The hash of `bytes`, chained onto `seed`: a field's is that of its value, seeded with its
/// name's. Const, so that the static table's is made at compile time.
pub(super) const fn hash(bytes: &[u8], seed: u32) -> u32 {
    let mut state = (seed as u64 ^ ((bytes.len() as u64) << 32)).wrapping_mul(MULTIPLIER);
    let mut rest = bytes;
    while let Some((chunk, after)) = rest.split_first_chunk::<8>() {
        state = mix(state, u64::from_le_bytes(*chunk));
        rest = after;
    }
    if let Some(chunk) = bytes.last_chunk::<8>() {
        // Overlaps the last whole chunk, which is cheaper than reading the rest bytewise.
        if !rest.is_empty() {
            state = mix(state, u64::from_le_bytes(*chunk));
        }
    } else {
        let mut word = 0;
        while let Some((&byte, after)) = rest.split_first() {
            word = word << 8 | byte as u64;
            rest = after;
        }
        state = mix(state, word);
    }
    (state >> 32) as u32
}

const fn mix(state: u64, word: u64) -> u64 {
    let product = (state ^ word).wrapping_mul(MULTIPLIER);
    product ^ (product >> 32)
}
