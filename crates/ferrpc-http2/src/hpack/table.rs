//! The dynamic table (RFC 7541, 2.3.2 and 4).

use std::collections::VecDeque;

use crate::fields::FIELD_OVERHEAD;

/// The entries of a dynamic table, oldest first, each name directly followed by its value.
///
/// Entries leave in the order they came, so the bytes of the live ones are always one run of the
/// buffer. New bytes go to its end; the run is moved to the front when the buffer has reached
/// twice the table's size, by when at least half of it is dead: each byte moves once on average.
#[derive(Debug)]
pub(super) struct Table {
    bytes: Vec<u8>,
    entries: VecDeque<Entry>,
    /// The size of the entries (RFC 7541, 4.1).
    size: usize,
    max_size: usize,
    version: u64,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    start: u32,
    name_len: u32,
    len: u32,
}

impl Entry {
    fn size(self) -> usize {
        self.len as usize + FIELD_OVERHEAD
    }
}

impl Table {
    pub(super) fn new(max_size: usize) -> Self {
        Self { bytes: Vec::new(), entries: VecDeque::new(), size: 0, max_size, version: 0 }
    }

    /// Changes whenever an index may mean something else than before.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    pub(super) fn max_size(&self) -> usize {
        self.max_size
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The entry at `age`, 0 being the newest: its bytes and the length of its name.
    #[inline]
    pub(super) fn entry(&self, age: usize) -> Option<(&[u8], usize)> {
        // Wraps to an index that is out of range, as `age` is.
        let index = self.entries.len().wrapping_sub(age).wrapping_sub(1);
        let entry = self.entries.get(index)?;
        let start = entry.start as usize;
        let bytes = self.bytes.get(start..start + entry.len as usize)?;
        Some((bytes, entry.name_len as usize))
    }

    /// Adds an entry, having evicted what it displaces. One larger than the table empties it and
    /// is not added (4.4). Gives whether it was added.
    pub(super) fn insert(&mut self, parts: [&[u8]; 2], name_len: usize) -> bool {
        self.version += 1;
        let len = parts[0].len() + parts[1].len();
        let size = len + FIELD_OVERHEAD;
        if size > self.max_size {
            self.evict_to(0);
            return false;
        }
        self.evict_to(self.max_size - size);
        if self.bytes.len() + len > 2 * self.max_size {
            self.compact();
        }
        let start = self.bytes.len();
        self.bytes.extend_from_slice(parts[0]);
        self.bytes.extend_from_slice(parts[1]);
        self.entries.push_back(Entry {
            start: to_u32(start),
            name_len: to_u32(name_len),
            len: to_u32(len),
        });
        self.size += size;
        true
    }

    /// Changes the greatest size and evicts what is over it (4.3).
    pub(super) fn resize(&mut self, max_size: usize) {
        self.version += 1;
        self.max_size = max_size;
        self.evict_to(max_size);
    }

    /// What an entry does that is larger than the table (4.4).
    pub(super) fn clear(&mut self) {
        self.version += 1;
        self.evict_to(0);
    }

    #[inline]
    fn evict_to(&mut self, size: usize) {
        while self.size > size {
            let Some(entry) = self.entries.pop_front() else { break };
            self.size -= entry.size();
        }
        if self.entries.is_empty() {
            self.bytes.clear();
        }
    }

    fn compact(&mut self) {
        let Some(oldest) = self.entries.front() else { return };
        let dead = oldest.start;
        self.bytes.drain(..dead as usize);
        for entry in &mut self.entries {
            entry.start -= dead;
        }
    }
}

fn to_u32(value: usize) -> u32 {
    u32::try_from(value).expect("a table holds at most MAX_TABLE_SIZE bytes, its buffer twice that")
}
