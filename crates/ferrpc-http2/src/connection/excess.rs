//! Header lists that are too large, and what the others cost.

use std::fmt;

use crate::{Role, StreamKey};

use super::Connection;
use super::headers::Decoded;

/// What a header list exceeded. `Display` says it in a few words, with numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TooLarge {
    /// [`max_header_list_size`](crate::Limits::max_header_list_size).
    Hard {
        /// The list's size in bytes, 32 added for each field.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// [`soft_header_list_size`](crate::Limits::soft_header_list_size), and chance was against it.
    Soft {
        /// The list's size in bytes, 32 added for each field.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// [`max_header_fields`](crate::Limits::max_header_fields).
    Fields {
        /// The limit.
        limit: usize,
    },
    /// [`max_held_headers`](crate::Limits::max_held_headers): too many others are held.
    Held {
        /// The limit in bytes.
        limit: usize,
    },
}

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hard { size, limit } => write!(f, "exceeds hard limit ({size} vs. {limit})"),
            Self::Soft { size, limit } => write!(f, "exceeds soft limit ({size} vs. {limit})"),
            Self::Fields { limit } => write!(f, "exceeds limit of {limit} entries"),
            Self::Held { limit } => {
                write!(f, "exceeds limit of {limit} bytes for all calls of the connection")
            }
        }
    }
}

/// A sequence of numbers without order (SplitMix64).
#[derive(Debug)]
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `limit`, which is not 0.
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        usize::try_from(mixed % limit as u64).unwrap_or(0)
    }
}

impl Connection {
    /// Judges a list's size. One that ends a response is refused above the hard limit only: it
    /// brings the status, and nothing is won by losing that.
    pub(super) fn judge_size(&mut self, list: &mut Decoded, end: bool) {
        let limits = &self.config.limits;
        let hard = limits.max_header_list_size as usize;
        let soft = limits.soft_header_list();
        let (size, ends_response) = (list.size, end && self.role == Role::Client);
        if list.too_large.is_none()
            && size > soft
            && !ends_response
            && self.chance.below(hard - soft) < size - soft
        {
            list.too_large = Some(TooLarge::Soft { size, limit: soft });
        }
        if list.too_large.is_some() {
            self.counters.header_lists_too_large += 1;
        }
    }

    /// Takes `bytes` of memory for a header list into account, until its stream ends.
    pub(super) fn hold_headers(&mut self, key: StreamKey, bytes: usize) -> Result<(), TooLarge> {
        let limit = self.config.limits.max_held_headers;
        if bytes > limit.saturating_sub(self.held_headers) {
            self.counters.header_lists_too_large += 1;
            return Err(TooLarge::Held { limit });
        }
        if let Some(stream) = self.streams.stream_mut(key) {
            stream.held_headers += bytes;
            self.held_headers += bytes;
        }
        Ok(())
    }

    /// Asks whether a header list that was received may be made larger by `bytes`, its size being
    /// `size` so far: the limits hold for what is made of a list, too. What is granted is held
    /// until the stream ends.
    pub fn grow_headers(
        &mut self,
        key: StreamKey,
        size: usize,
        bytes: usize,
    ) -> Result<(), TooLarge> {
        let limit = self.config.limits.max_header_list_size as usize;
        let size = size.saturating_add(bytes);
        if size > limit {
            self.counters.header_lists_too_large += 1;
            return Err(TooLarge::Hard { size, limit });
        }
        self.hold_headers(key, bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chance_is_even() {
        let mut chance = Chance::new(7);
        let low = (0..10_000).filter(|_| chance.below(8192) < 2048).count();
        assert!((2300..2700).contains(&low), "{low}");
    }
}
