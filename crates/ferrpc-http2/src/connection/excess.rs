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
        size: u32,
        /// The limit.
        limit: u32,
    },
    /// [`soft_header_list_size`](crate::Limits::soft_header_list_size), and chance was against it.
    Soft {
        /// The list's size in bytes, 32 added for each field.
        size: u32,
        /// The limit.
        limit: u32,
    },
    /// [`max_header_fields`](crate::Limits::max_header_fields).
    Fields {
        /// The limit.
        limit: u32,
    },
    /// [`max_held_headers`](crate::Limits::max_held_headers): too many others are held.
    Held {
        /// The limit in bytes.
        limit: u32,
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
    #[cold]
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
            let (size, limit) = (saturated(size), saturated(soft));
            list.too_large = Some(TooLarge::Soft { size, limit });
        }
        if list.too_large.is_some() {
            self.counters.header_lists_too_large += 1;
        }
    }

    /// Whether `bytes` more may be held for header lists.
    #[inline]
    pub(super) fn check_held(&mut self, bytes: usize) -> Result<(), TooLarge> {
        if bytes <= self.config.limits.max_held_headers.saturating_sub(self.held_headers) {
            return Ok(());
        }
        self.counters.header_lists_too_large += 1;
        Err(TooLarge::Held { limit: saturated(self.config.limits.max_held_headers) })
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
        let limit = self.config.limits.max_header_list_size;
        let size = saturated(size.saturating_add(bytes));
        if size > limit {
            self.counters.header_lists_too_large += 1;
            return Err(TooLarge::Hard { size, limit });
        }
        self.check_held(bytes)?;
        if let Some(stream) = self.streams.stream_mut(key) {
            stream.held_headers += bytes;
            self.held_headers += bytes;
        }
        Ok(())
    }
}

/// A number of bytes for people.
pub(super) fn saturated(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
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
