//! Chance from a seed (SplitMix64), so that a test runs again as it ran.

/// What is added to the state for each number.
pub(crate) const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// A sequence of numbers.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mixed(self.0)
    }

    /// Uniform in 0..1.
    pub(crate) const fn fraction(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(STEP);
        unit(self.0)
    }

    /// Each order of the items is equally likely (Fisher and Yates).
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = self.next() % (last as u64 + 1);
            items.swap(last, usize::try_from(other).expect("below a length"));
        }
    }
}

/// The number of a state: uniform in 0..1.
pub(crate) const fn unit(state: u64) -> f64 {
    (mixed(state) >> 11) as f64 / (1u64 << 53) as f64
}

const fn mixed(state: u64) -> u64 {
    let mut z = state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
