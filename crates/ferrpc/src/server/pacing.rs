//! When the answers of a batch are written: all at once, or the first one ahead.
//!
//! With one write for everything that a read brought, few callers in flight fall into step: they
//! wait while the server works, and the server waits while they do. With the first answer sent
//! ahead both are busy. Where many calls come at once they are anyway, and each write saved counts.

/// Counts the answers of batches.
#[derive(Debug, Default)]
pub(super) struct Pacing {
    /// Answers since the batch began.
    answered: u32,
    /// Answers of a batch lately: follows at once upwards, and slowly downwards.
    recent: u32,
}

impl Pacing {
    /// A call was answered; whether what there is should be written now.
    #[must_use]
    pub(super) fn answered(&mut self) -> bool {
        self.answered += 1;
        self.answered == 1 && (FEWEST..=MOST).contains(&self.recent)
    }

    /// A large request was answered. Several callers look like one then, as the requests come in one
    /// by one: it counts as a small batch.
    pub(super) fn took_large(&mut self) {
        // One is taken off at the batch's end.
        self.recent = self.recent.max(2 + 1);
    }

    /// Whether there lately was more than one answer in a batch.
    pub(super) const fn is_shared(&self) -> bool {
        self.recent > 1
    }

    /// The batch ended.
    pub(super) fn end_batch(&mut self) {
        if self.answered > 0 {
            self.recent = self.answered.max(self.recent.saturating_sub(1));
            self.answered = 0;
        }
    }
}

/// Batches of fewer answers are not worth a second write.
const FEWEST: u32 = 5;

/// Batches of more answers take so long to make and to read that nobody waits.
const MOST: u32 = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_answer_of_a_few_goes_ahead() {
        let mut pacing = Pacing::default();
        let mut batch = |size| {
            let writes = (0..size).filter(|_| pacing.answered()).count();
            pacing.end_batch();
            writes
        };
        assert_eq!([batch(8), batch(8), batch(8)], [0, 1, 1], "the first one is news");
        assert_eq!([batch(100), batch(100)], [1, 0]);
        assert!(pacing.is_shared());
        let mut pacing = Pacing::default();
        for _ in 0..100 {
            assert!(!pacing.answered());
            pacing.end_batch();
            assert!(!pacing.is_shared());
        }
        pacing.took_large();
        assert!(!pacing.answered());
        pacing.end_batch();
        assert!(pacing.is_shared());
    }
}
