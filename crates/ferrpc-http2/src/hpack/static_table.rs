//! The static table (RFC 7541, appendix A).

use super::hash::hash;

/// An entry of the static table.
pub(super) struct StaticEntry {
    /// The name, directly followed by the value.
    pub(super) bytes: &'static [u8],
    pub(super) name_len: usize,
}

impl StaticEntry {
    const fn name(&self) -> &'static [u8] {
        self.bytes.split_at(self.name_len).0
    }

    const fn value(&self) -> &'static [u8] {
        self.bytes.split_at(self.name_len).1
    }
}

/// What the static table has for a field.
pub(super) enum StaticMatch {
    /// The index of the whole field.
    Field(usize),
    /// The index of an entry of its name.
    Name(usize),
    None,
}

/// Looks a field up, `name_hash` being the hash of its name with seed 0.
#[inline]
pub(super) fn find(name: &[u8], name_hash: u32, value: &[u8]) -> StaticMatch {
    let mut slot = slot(name_hash);
    loop {
        let first = usize::from(SLOTS[slot]);
        let Some(entry) = first.checked_sub(1).and_then(|at| STATIC_TABLE.get(at)) else {
            return StaticMatch::None;
        };
        if entry.name() == name {
            // The entries of one name follow each other.
            return STATIC_TABLE[first - 1..]
                .iter()
                .take_while(|entry| entry.name() == name)
                .position(|entry| entry.value() == value)
                .map_or(StaticMatch::Name(first), |at| StaticMatch::Field(first + at));
        }
        slot = (slot + 1) % SLOT_COUNT;
    }
}

/// Four times the names, so that most names lie in the slot of their hash.
const SLOT_COUNT: usize = 256;

const fn slot(name_hash: u32) -> usize {
    (name_hash >> 24) as usize
}

/// The index of the first entry of a name, at the slot of the name's hash or after it; 0 is none.
static SLOTS: [u8; SLOT_COUNT] = {
    let mut slots = [0; SLOT_COUNT];
    let mut at = 0;
    while at < STATIC_TABLE.len() {
        let name = STATIC_TABLE[at].name();
        if at == 0 || !equal(name, STATIC_TABLE[at - 1].name()) {
            let mut slot = slot(hash(name, 0));
            while slots[slot] != 0 {
                slot = (slot + 1) % SLOT_COUNT;
            }
            slots[slot] = at as u8 + 1;
        }
        at += 1;
    }
    slots
};

const fn equal(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let mut at = 0;
    while at < a.len() {
        if a[at] != b[at] {
            return false;
        }
        at += 1;
    }
    true
}

macro_rules! entry {
    ($name:literal, $value:literal) => {
        StaticEntry { bytes: concat!($name, $value).as_bytes(), name_len: $name.len() }
    };
}

/// The entries; index 1 of the RFC is the first.
pub(super) const STATIC_TABLE: &[StaticEntry] = &[
    entry!(":authority", ""),
    entry!(":method", "GET"),
    entry!(":method", "POST"),
    entry!(":path", "/"),
    entry!(":path", "/index.html"),
    entry!(":scheme", "http"),
    entry!(":scheme", "https"),
    entry!(":status", "200"),
    entry!(":status", "204"),
    entry!(":status", "206"),
    entry!(":status", "304"),
    entry!(":status", "400"),
    entry!(":status", "404"),
    entry!(":status", "500"),
    entry!("accept-charset", ""),
    entry!("accept-encoding", "gzip, deflate"),
    entry!("accept-language", ""),
    entry!("accept-ranges", ""),
    entry!("accept", ""),
    entry!("access-control-allow-origin", ""),
    entry!("age", ""),
    entry!("allow", ""),
    entry!("authorization", ""),
    entry!("cache-control", ""),
    entry!("content-disposition", ""),
    entry!("content-encoding", ""),
    entry!("content-language", ""),
    entry!("content-length", ""),
    entry!("content-location", ""),
    entry!("content-range", ""),
    entry!("content-type", ""),
    entry!("cookie", ""),
    entry!("date", ""),
    entry!("etag", ""),
    entry!("expect", ""),
    entry!("expires", ""),
    entry!("from", ""),
    entry!("host", ""),
    entry!("if-match", ""),
    entry!("if-modified-since", ""),
    entry!("if-none-match", ""),
    entry!("if-range", ""),
    entry!("if-unmodified-since", ""),
    entry!("last-modified", ""),
    entry!("link", ""),
    entry!("location", ""),
    entry!("max-forwards", ""),
    entry!("proxy-authenticate", ""),
    entry!("proxy-authorization", ""),
    entry!("range", ""),
    entry!("referer", ""),
    entry!("refresh", ""),
    entry!("retry-after", ""),
    entry!("server", ""),
    entry!("set-cookie", ""),
    entry!("strict-transport-security", ""),
    entry!("transfer-encoding", ""),
    entry!("user-agent", ""),
    entry!("vary", ""),
    entry!("via", ""),
    entry!("www-authenticate", ""),
];
