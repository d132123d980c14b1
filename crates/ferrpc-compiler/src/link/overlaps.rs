//! Which ranges of numbers meet: found in a time that grows with their number and with what is
//! found, not with the number of all pairs.

use super::MAX_FAULTS;
use crate::ast::Range;

/// Ranges in the order of their starts.
pub(super) struct Overlaps<'a> {
    ranges: &'a [Range],
    /// Whether ends are part of the ranges.
    inclusive: bool,
    order: Vec<usize>,
    /// The largest end so far, for each range in that order.
    reach: Vec<i32>,
}

impl<'a> Overlaps<'a> {
    pub(super) fn new(ranges: &'a [Range], inclusive: bool) -> Self {
        let mut order: Vec<usize> = (0..ranges.len()).collect();
        order.sort_by_key(|at| ranges[*at].start);
        let mut largest = i32::MIN;
        let grown = |at: &usize| {
            largest = largest.max(ranges[*at].end);
            largest
        };
        let reach = order.iter().map(grown).collect();
        Self { ranges, inclusive, order, reach }
    }

    fn begins_before(&self, start: i32, end: i32) -> bool {
        start < end || self.inclusive && start == end
    }

    /// The indices of the ranges that meet another one, sorted.
    pub(super) fn with(&self, other: Range) -> Vec<usize> {
        let begun =
            self.order.partition_point(|at| self.begins_before(self.ranges[*at].start, other.end));
        let mut found = Vec::new();
        for (at, reach) in self.order[..begun].iter().zip(&self.reach).rev() {
            if !self.begins_before(other.start, *reach) {
                break;
            }
            if self.begins_before(other.start, self.ranges[*at].end) {
                found.push(*at);
            }
        }
        found.sort_unstable();
        found
    }

    /// The indices of the ranges that have a number, sorted.
    pub(super) fn at(&self, number: i32) -> Vec<usize> {
        let end = if self.inclusive { number } else { number.saturating_add(1) };
        self.with(Range { start: number, end })
    }

    /// The pairs that meet, in the order of the ranges; not many more than can be reported.
    pub(super) fn pairs(&self) -> Vec<(usize, usize)> {
        let mut pairs = Vec::new();
        for (at, range) in self.ranges.iter().enumerate() {
            let found = self.with(*range).into_iter();
            pairs.extend(found.filter(|other| *other > at).map(|other| (at, other)));
            if pairs.len() >= MAX_FAULTS {
                break;
            }
        }
        pairs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What it is a faster form of.
    fn slow(ranges: &[Range], inclusive: bool) -> Vec<(usize, usize)> {
        let apart = |end: i32, start: i32| if inclusive { end < start } else { end <= start };
        let mut pairs = Vec::new();
        for (at, one) in ranges.iter().enumerate() {
            for (more, other) in ranges[at + 1..].iter().enumerate() {
                if !(apart(one.end, other.start) || apart(other.end, one.start)) {
                    pairs.push((at, at + 1 + more));
                }
            }
        }
        pairs
    }

    #[test]
    fn pairs_are_those_that_meet() {
        let mut state = 1_u32;
        let mut below = |bound: i32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            i32::try_from(state >> 16).unwrap_or_default() % bound
        };
        for _ in 0..500 {
            // Some run backwards, which is a fault of another kind.
            let mut range = || {
                let start = below(40);
                Range { start, end: start - 2 + below(9) }
            };
            let ranges: Vec<Range> = (0..12).map(|_| range()).collect();
            for inclusive in [false, true] {
                let found = Overlaps::new(&ranges, inclusive).pairs();
                assert_eq!(found, slow(&ranges, inclusive), "{ranges:?} {inclusive}");
            }
        }
    }

    #[test]
    fn ranges_at_a_number() {
        let range = |start, end| Range { start, end };
        let ranges = [range(5, 9), range(1, 100), range(3, 4)];
        let index = Overlaps::new(&ranges, false);
        assert_eq!(index.at(8), [0, 1]);
        assert_eq!(index.at(9), [1]);
        assert_eq!(index.at(100), []);
        assert_eq!(Overlaps::new(&ranges, true).at(9), [0, 1]);
    }
}
