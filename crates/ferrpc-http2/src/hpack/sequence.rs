//! Which indexed field follows which.

/// A memory of the order in which indexed fields are sent. Header lists repeat: to compare a field
/// with the entry that came here the last time costs less than to hash it and to search.
///
/// A wrong guess costs that comparison. Only indices that take one byte are remembered.
#[derive(Debug)]
pub(super) struct Sequence {
    /// By an index, the one that was sent after it; 0 stands for what is no such index.
    followers: [u8; ONE_BYTE],
    previous: u8,
    /// Of the dynamic table: its entries had these indices.
    version: u64,
}

impl Sequence {
    pub(super) const fn new() -> Self {
        Self { followers: [0; ONE_BYTE], previous: 0, version: 0 }
    }

    /// The index that was sent in this place the last time, while the table has this version.
    #[inline]
    pub(super) fn guess(&mut self, version: u64) -> Option<u8> {
        if self.version != version {
            *self = Self { version, ..Self::new() };
        }
        let guess = self.followers[usize::from(self.previous)];
        (guess != 0).then_some(guess)
    }

    /// The guess was right.
    #[inline]
    pub(super) const fn follow(&mut self, guess: u8) {
        self.previous = guess;
    }

    /// A field was sent as an index, or as something else.
    pub(super) fn learn(&mut self, index: Option<usize>) {
        let index = index
            .filter(|index| *index < ONE_BYTE)
            .and_then(|index| u8::try_from(index).ok())
            .unwrap_or(0);
        self.followers[usize::from(self.previous)] = index;
        self.previous = index;
    }
}

/// Indices below this take one byte (RFC 7541, 5.1 with a prefix of seven bits).
const ONE_BYTE: usize = 127;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_repeats_is_guessed() {
        let mut sequence = Sequence::new();
        for index in [3, 62, 126] {
            assert_eq!(sequence.guess(1), None);
            sequence.learn(Some(index));
        }
        sequence.learn(None);
        for index in [3, 62, 126] {
            assert_eq!(sequence.guess(1), Some(index));
            sequence.follow(index);
        }
        assert_eq!(sequence.guess(1), None, "a literal");
        assert_eq!(sequence.guess(2), None, "indices mean something else");
    }

    #[test]
    fn long_indices_are_not_remembered() {
        let mut sequence = Sequence::new();
        sequence.learn(Some(5));
        sequence.learn(Some(ONE_BYTE));
        sequence.learn(Some(5));
        sequence.learn(Some(6));
        assert_eq!(sequence.guess(0), None);
        sequence.learn(Some(5));
        assert_eq!(sequence.guess(0), Some(6));
    }
}
