//! Header blocks seen before.
//!
//! A peer that repeats a call repeats its header block to the byte, once all fields of it are in
//! the table. Such a block is neither decoded nor checked again: the list it stood for is shared.
//! The table must not have changed in between, which its version tells.

use crate::Fields;
use crate::validate::Facts;

/// Some blocks and their lists.
#[derive(Debug, Default)]
pub(super) struct BlockMemo {
    entries: Vec<Entry>,
    /// Where the next entry goes, when all places are taken.
    next: usize,
    /// The block last decoded that changed nothing: it is kept if it comes again.
    seen: Vec<u8>,
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
    /// kept: it came twice in a row.
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
        if self.seen != block {
            self.seen.clear();
            self.seen.extend_from_slice(block);
            return 0;
        }
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

/// Longer blocks are not mostly indices, and seldom the same twice.
const MAX_BLOCK: usize = 128;
