//! Header blocks seen before.
//!
//! A peer that repeats a call repeats its header block to the byte, once all fields of it are in
//! the table. Such a block is neither decoded nor checked again: the list it stood for is shared.
//! The table must not have changed in between, which its version tells.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;

use crate::Fields;
use crate::validate::Facts;

/// Some blocks and their lists.
#[derive(Debug, Default)]
pub(super) struct BlockMemo {
    entries: Vec<Entry>,
    /// Where the next entry goes, when all places are taken.
    next: usize,
    /// Hashes of the blocks last decoded that changed nothing: one that comes again is kept.
    seen: [u64; SEEN],
    next_seen: usize,
    hasher: RandomState,
    last_id: u64,
}

#[derive(Debug)]
struct Entry {
    version: u64,
    block: Box<[u8]>,
    known: Known,
}

/// A list that was decoded and checked.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) fields: Fields,
    pub(super) facts: Facts,
    pub(super) section: Section,
    /// Equal ids stand for equal lists.
    pub(super) id: u64,
}

/// As what a list was checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    Request,
    Response,
    Trailers,
}

impl BlockMemo {
    pub(super) fn find(&self, version: u64, block: &[u8]) -> Option<&Known> {
        self.entries
            .iter()
            .find(|entry| entry.version == version && *entry.block == *block)
            .map(|entry| &entry.known)
    }

    /// Takes note of a block that left the table as it was. Returns the list's id if the block is
    /// kept: it came before, not long ago.
    pub(super) fn note(
        &mut self,
        version: u64,
        block: &[u8],
        fields: &Fields,
        facts: Facts,
        section: Section,
    ) -> u64 {
        if block.len() > MAX_BLOCK {
            return 0;
        }
        let hash = self.hasher.hash_one(block);
        let Some(seen) = self.seen.iter_mut().find(|seen| **seen == hash) else {
            self.seen[self.next_seen] = hash;
            self.next_seen = (self.next_seen + 1) % SEEN;
            return 0;
        };
        *seen = 0;
        self.last_id += 1;
        let id = self.last_id;
        let known = Known { fields: fields.clone(), facts, section, id };
        let entry = Entry { version, block: block.into(), known };
        match self.entries.get_mut(self.next) {
            Some(place) => *place = entry,
            None => self.entries.push(entry),
        }
        self.next = (self.next + 1) % PLACES;
        id
    }
}

/// Blocks kept: those of a few methods, and of headers and trailers.
const PLACES: usize = 4;

/// Blocks remembered by their hash, until they come again.
const SEEN: usize = 8;

/// Longer blocks are not mostly indices, and seldom the same twice.
const MAX_BLOCK: usize = 128;
