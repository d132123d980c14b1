//! Numbers for jitter, from a seed (SplitMix64).

/// What is added to the state for each number.
pub(crate) const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// The number of a state: uniform in 0..1.
pub(crate) const fn unit(state: u64) -> f64 {
    let mut z = state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^= z >> 31;
    (z >> 11) as f64 / (1u64 << 53) as f64
}
