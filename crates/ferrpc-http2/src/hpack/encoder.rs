//! Encoding of header blocks (RFC 7541, 6 and 7.1).

use std::collections::VecDeque;

use super::hash::hash;
use super::sequence::Sequence;
use super::static_table::{self, STATIC_TABLE, StaticMatch};
use super::table::Table;
use super::{INITIAL_TABLE_SIZE, MAX_TABLE_SIZE, huffman, integer};
use crate::fields::{FIELD_OVERHEAD, Field};

/// Encodes the header blocks of one direction of a connection.
///
/// Blocks must be sent in the order they were encoded, and each one that was encoded must be sent.
///
/// # What is indexed
///
/// The fields that every call of a method repeats enter the table at first sight, others when they
/// are seen again soon, so that values that never return do not flush the table. Never indexed are
/// what differs from call to call by nature (timeouts, lengths, messages) and values longer than a
/// quarter of the table. Fields marked sensitive, and credentials short enough to be guessed
/// (7.1.3), are sent as never-indexed literals.
#[derive(Debug)]
pub struct Encoder {
    table: Table,
    /// By entry of `table`, oldest first: the hash of its name, and of its name and value. Apart
    /// from the entries, since they are searched and the entries are not.
    name_hashes: VecDeque<u32>,
    field_hashes: VecDeque<u32>,
    /// What this side is willing to use.
    max_table_size: usize,
    /// Set where the next block has to begin with a size update.
    resize: Option<Resize>,
    recent: Recent,
    sequence: Sequence,
}

/// The table sizes between two blocks (4.2).
#[derive(Debug, Clone, Copy)]
struct Resize {
    smallest: usize,
    last: usize,
}

/// Hashes of fields that were sent without entering the table; the oldest is replaced.
#[derive(Debug)]
struct Recent {
    hashes: [u32; RECENT_COUNT],
    next: usize,
}

/// Enough for the custom metadata of a few calls.
const RECENT_COUNT: usize = 32;

/// Credentials up to this length could be found by trying, given the size of what is sent
/// (7.1.3). The number is nghttp2's.
const GUESSABLE_LENGTH: usize = 20;

/// How a field is sent that no table has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Policy {
    /// Enters the table.
    Index,
    /// Enters the table if it was seen recently.
    IndexRepeated,
    /// Does not enter the table.
    Plain,
    /// Must not enter any table on its way.
    Never,
}

impl Policy {
    fn of(field: &Field<'_>) -> Self {
        match field.name {
            b":path"
            | b":authority"
            | b":scheme"
            | b":method"
            | b":status"
            | b"content-type"
            | b"user-agent"
            | b"te"
            | b"grpc-encoding"
            | b"grpc-accept-encoding" => Self::Index,
            b"grpc-status" if field.value == b"0" => Self::Index,
            b"grpc-timeout" | b"grpc-message" | b"content-length" | b"grpc-status-details-bin" => {
                Self::Plain
            }
            b"authorization" | b"cookie" if field.value.len() < GUESSABLE_LENGTH => Self::Never,
            _ => Self::IndexRepeated,
        }
    }
}

impl Encoder {
    /// An encoder at the beginning of a connection, whose table takes at most 4096 bytes whatever
    /// the peer offers.
    pub fn new() -> Self {
        Self::with_max_table_size(INITIAL_TABLE_SIZE)
    }

    /// An encoder whose table takes at most `max_table_size` bytes (of more than 1 GiB, 1 GiB).
    pub fn with_max_table_size(max_table_size: usize) -> Self {
        let mut encoder = Self {
            table: Table::new(INITIAL_TABLE_SIZE),
            name_hashes: VecDeque::new(),
            field_hashes: VecDeque::new(),
            max_table_size: max_table_size.min(MAX_TABLE_SIZE),
            resize: None,
            recent: Recent { hashes: [0; RECENT_COUNT], next: 0 },
            sequence: Sequence::new(),
        };
        // The peer's table begins with the initial size, and must be told of a smaller one.
        encoder.schedule_resize(INITIAL_TABLE_SIZE);
        encoder
    }

    /// Takes the peer's SETTINGS_HEADER_TABLE_SIZE. The next block tells it what is used of that.
    pub fn set_peer_table_size(&mut self, size: u32) {
        self.schedule_resize(size as usize);
    }

    /// Encodes a block, appended to `out`.
    pub fn encode<'a>(&mut self, fields: impl IntoIterator<Item = Field<'a>>, out: &mut Vec<u8>) {
        if let Some(Resize { smallest, last }) = self.resize.take() {
            if smallest < last.min(self.table.max_size()) {
                self.resize_table(smallest, out);
            }
            self.resize_table(last, out);
        }
        // Lists are chains of lists: taking fields out of them one by one costs more than to encode
        // them.
        fields.into_iter().for_each(|field| self.encode_field(&field, out));
    }

    fn schedule_resize(&mut self, size: usize) {
        let last = size.min(self.max_table_size);
        let current = self.table.max_size();
        let smallest = self.resize.map_or(last, |resize| resize.smallest.min(last));
        // A size that fell and rose again has evicted entries, and must be told too.
        let changed = smallest < current || last != current;
        self.resize = changed.then_some(Resize { smallest, last });
    }

    fn resize_table(&mut self, size: usize, out: &mut Vec<u8>) {
        integer::encode(size, 5, 0x20, out);
        self.table.resize(size);
        self.forget_evicted();
    }

    fn encode_field(&mut self, field: &Field<'_>, out: &mut Vec<u8>) {
        if let Some(guess) = self.sequence.guess(self.table.version())
            && !field.sensitive
            && self.is_entry(guess, field)
        {
            self.sequence.follow(guess);
            out.push(0x80 | guess);
            return;
        }
        let index = self.search_field(field, out);
        self.sequence.learn(index);
    }

    /// Whether the field is the one that has this index.
    fn is_entry(&self, index: u8, field: &Field<'_>) -> bool {
        let index = usize::from(index) - 1;
        let entry = match STATIC_TABLE.get(index) {
            Some(entry) => Some((entry.bytes, entry.name_len)),
            None => self.table.entry(index - STATIC_TABLE.len()),
        };
        entry.is_some_and(|(bytes, name_len)| bytes.split_at(name_len) == (field.name, field.value))
    }

    /// Encodes a field; the index, if it became one.
    fn search_field(&mut self, field: &Field<'_>, out: &mut Vec<u8>) -> Option<usize> {
        let name_hash = hash(field.name, 0);
        let name = match static_table::find(field.name, name_hash, field.value) {
            // As an index it would lose its mark, which the peer may have to pass on.
            StaticMatch::Field(index) if field.sensitive => Some(index),
            StaticMatch::Field(index) => {
                integer::encode(index, 7, 0x80, out);
                return Some(index);
            }
            StaticMatch::Name(index) => Some(index),
            StaticMatch::None => None,
        };
        if field.sensitive {
            self.literal(field, Policy::Never, name, name_hash, out);
            return None;
        }
        let field_hash = hash(field.value, name_hash);
        if let Some(age) = self.find_field(field, field_hash) {
            let index = STATIC_TABLE.len() + 1 + age;
            integer::encode(index, 7, 0x80, out);
            return Some(index);
        }
        let mut policy = Policy::of(field);
        if matches!(policy, Policy::Index | Policy::IndexRepeated) && !self.is_worth_room(field) {
            policy = Policy::Plain;
        }
        if policy == Policy::IndexRepeated && !self.recent.replace(field_hash) {
            policy = Policy::Plain;
        }
        self.literal(field, policy, name, name_hash, out);
        if policy == Policy::Index || policy == Policy::IndexRepeated {
            let inserted = self.table.insert([field.name, field.value], field.name.len());
            debug_assert!(inserted, "only what fits is indexed");
            self.name_hashes.push_back(name_hash);
            self.field_hashes.push_back(field_hash);
            self.forget_evicted();
        }
        None
    }

    fn is_worth_room(&self, field: &Field<'_>) -> bool {
        let room = self.table.max_size();
        let size = field.name.len() + field.value.len() + FIELD_OVERHEAD;
        size <= room && field.value.len() <= room / 4
    }

    /// Appends a literal, its name as an index if a table has it.
    fn literal(
        &self,
        field: &Field<'_>,
        policy: Policy,
        static_name: Option<usize>,
        name_hash: u32,
        out: &mut Vec<u8>,
    ) {
        let (pattern, prefix) = match policy {
            Policy::Index | Policy::IndexRepeated => (0x40, 6),
            Policy::Plain => (0x00, 4),
            Policy::Never => (0x10, 4),
        };
        let index = static_name.or_else(|| {
            self.find_name(field.name, name_hash).map(|age| STATIC_TABLE.len() + 1 + age)
        });
        integer::encode(index.unwrap_or(0), prefix, pattern, out);
        if index.is_none() {
            string(field.name, out);
        }
        string(field.value, out);
    }

    /// The age of the table's entry for `field`.
    fn find_field(&self, field: &Field<'_>, hash: u32) -> Option<usize> {
        find(&self.field_hashes, hash, |age| {
            self.table.entry(age).is_some_and(|(bytes, name_len)| {
                bytes.split_at(name_len) == (field.name, field.value)
            })
        })
    }

    /// The age of the newest entry named `name`.
    fn find_name(&self, name: &[u8], hash: u32) -> Option<usize> {
        find(&self.name_hashes, hash, |age| {
            self.table.entry(age).is_some_and(|(bytes, name_len)| &bytes[..name_len] == name)
        })
    }

    fn forget_evicted(&mut self) {
        let evicted = self.field_hashes.len() - self.table.len();
        self.name_hashes.drain(..evicted);
        self.field_hashes.drain(..evicted);
    }
}

impl Default for Encoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Recent {
    /// Whether `hash` is among the recent ones, which then no longer contain it; adds it if not.
    fn replace(&mut self, hash: u32) -> bool {
        // 0 stands for nothing, which costs a field that hashes to it a place in the table.
        match self.hashes.iter().position(|&recent| recent == hash && recent != 0) {
            Some(at) => {
                self.hashes[at] = 0;
                true
            }
            None => {
                self.hashes[self.next] = hash;
                self.next = (self.next + 1) % RECENT_COUNT;
                false
            }
        }
    }
}

/// The age of the newest entry with `hash`, if `matches` holds for it. Two entries of one hash and
/// different fields are too rare to look further: the older one would be sent as a literal.
#[inline]
fn find(hashes: &VecDeque<u32>, hash: u32, matches: impl FnOnce(usize) -> bool) -> Option<usize> {
    let (older, newer) = hashes.as_slices();
    let position = |hashes: &[u32]| hashes.iter().rposition(|&candidate| candidate == hash);
    let index = position(newer).map(|at| at + older.len()).or_else(|| position(older))?;
    let age = hashes.len() - 1 - index;
    matches(age).then_some(age)
}

/// Appends a string literal, Huffman coded where that is shorter (5.2).
fn string(text: &[u8], out: &mut Vec<u8>) {
    let coded = huffman::encoded_len(text);
    if coded < text.len() {
        integer::encode(coded, 7, 0x80, out);
        huffman::encode(text, out);
    } else {
        integer::encode(text.len(), 7, 0x00, out);
        out.extend_from_slice(text);
    }
}
