//! Whether a thread that is alone with its call looks for the answer before it sleeps.

/// Whether that pays: it is tried ever more rarely when not.
#[derive(Debug, Default)]
pub(super) struct Spinning {
    misses: u32,
    skip: u32,
}

impl Spinning {
    /// Whether to try it this time.
    pub(super) const fn begin(&mut self) -> bool {
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        true
    }

    /// How the try went: whether there was an answer, after so many looks.
    pub(super) const fn note(&mut self, hit: bool, looks: usize) {
        if !hit {
            self.skip = 1 << self.misses;
            self.misses = if self.misses < MOST_MISSES { self.misses + 1 } else { MOST_MISSES };
        } else if looks > 1 {
            self.misses = 0;
        }
        // An answer that is there at the first look says nothing of the next one: the server may
        // have this core, and have run before we came to look.
    }
}

/// After so many misses in a row the wait between tries grows no more: one call in 1024 tries.
const MOST_MISSES: u32 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of so many calls tried, if each try goes like this.
    fn tries(spinning: &mut Spinning, calls: usize, hit: bool, looks: usize) -> usize {
        let mut tries = 0;
        for _ in 0..calls {
            if spinning.begin() {
                tries += 1;
                spinning.note(hit, looks);
            }
        }
        tries
    }

    #[test]
    fn misses_make_it_rare_and_a_hit_brings_it_back() {
        let mut spinning = Spinning::default();
        assert_eq!(tries(&mut spinning, 100, true, 5), 100);
        assert_eq!(tries(&mut spinning, 1 + 2 + 4 + 8, false, 5), 4);
        assert!(tries(&mut spinning, 100_000, false, 5) < 110);
        while !spinning.begin() {}
        spinning.note(true, 5);
        assert_eq!(tries(&mut spinning, 100, true, 5), 100);
        assert_eq!(tries(&mut spinning, 2, false, 5), 1);
    }

    #[test]
    fn an_answer_at_the_first_look_does_not_count() {
        let mut spinning = Spinning::default();
        assert_eq!(tries(&mut spinning, 1 + 2 + 4 + 8, false, 5), 4);
        while !spinning.begin() {}
        spinning.note(true, 1);
        spinning.note(false, 5);
        assert_eq!(spinning.skip, 16);
    }
}
