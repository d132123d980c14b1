//! Whether whoever is alone with its call looks for the answer before it sleeps.
//!
//! A thread looks in one go. An event loop does so between its other turns, which it does not hold
//! up: until when, and how often it did, is kept here.

use ferrpc_core::Time;

/// Whether that pays: it is tried ever more rarely when not.
#[derive(Debug, Default)]
pub(super) struct Spinning {
    misses: u32,
    skip: u32,
    look: Option<Look>,
}

/// What an event loop is at.
#[derive(Clone, Copy, Debug)]
struct Look {
    until: Time,
    looks: usize,
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

    /// An event loop is about to look until then, if it is to try.
    pub(super) const fn begin_look(&mut self, until: Time) {
        if self.look.is_none() && self.begin() {
            self.look = Some(Look { until, looks: 0 });
        }
    }

    pub(super) const fn is_looking(&self) -> bool {
        self.look.is_some()
    }

    /// An event loop looked: whether something was there, and whether the call is still alone.
    pub(super) fn looked(&mut self, hit: bool, alone: bool, now: Time) {
        let Some(look) = &mut self.look else { return };
        look.looks += 1;
        let looks = look.looks;
        if hit || now >= look.until {
            self.note(hit, looks);
        } else if alone {
            return;
        }
        self.look = None;
    }
}

/// After so many misses in a row the wait between tries grows no more: one call in 1024 tries.
const MOST_MISSES: u32 = 10;

#[cfg(test)]
mod tests {
    use std::time::Duration;

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

    #[test]
    fn a_loop_looks_until_something_is_there_or_the_time_is_over() {
        let at = |micros| Time::ZERO + Duration::from_micros(micros);
        let mut spinning = Spinning::default();
        spinning.begin_look(at(50));
        for _ in 0..3 {
            assert!(spinning.is_looking());
            spinning.looked(false, true, at(49));
        }
        spinning.looked(true, true, at(50));
        assert!(!spinning.is_looking());
        assert_eq!(spinning.skip, 0);
        spinning.begin_look(at(100));
        spinning.looked(false, true, at(100));
        assert!(!spinning.is_looking());
        // The miss costs the next call its look.
        spinning.begin_look(at(150));
        assert!(!spinning.is_looking());
        spinning.begin_look(at(150));
        assert!(spinning.is_looking());
    }

    #[test]
    fn a_loop_that_gets_more_to_do_stops_and_learns_nothing() {
        let mut spinning = Spinning::default();
        spinning.begin_look(Time::ZERO + Duration::from_micros(50));
        spinning.looked(false, false, Time::ZERO);
        assert!(!spinning.is_looking());
        assert_eq!((spinning.skip, spinning.misses), (0, 0));
    }
}
