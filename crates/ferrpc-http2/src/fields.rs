//! An ordered list of header fields in one buffer.

use std::fmt;
use std::sync::Arc;

/// Header fields (pseudo-header fields included) in order, their bytes in one buffer.
///
/// Names are lower case where they come from a decoder. Nothing is checked here: what is legal
/// depends on where the list is used. A clone shares the list until one of the two is changed.
#[derive(Clone, Default)]
pub struct Fields {
    /// `None` is the empty list.
    list: Option<Arc<FieldBuffer>>,
}

/// A list of fields that nobody shares yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct FieldBuffer {
    buffer: Vec<u8>,
    entries: Vec<Entry>,
}

/// Where one field lies in the buffer: its name, directly followed by its value.
#[derive(Clone, Copy, Debug)]
struct Entry {
    start: u32,
    name_len: u32,
    /// The length of the value, and in the highest bit whether the field is sensitive: an entry is
    /// what a reference of one byte makes us hold.
    value: u32,
}

impl Entry {
    const SENSITIVE: u32 = 1 << 31;

    fn new(start: usize, name_len: usize, value_len: usize, sensitive: bool) -> Self {
        let sensitive = if sensitive { Self::SENSITIVE } else { 0 };
        let value = to_u32(value_len) | sensitive;
        Self { start: to_u32(start), name_len: to_u32(name_len), value }
    }

    fn value_len(self) -> usize {
        (self.value & !Self::SENSITIVE) as usize
    }

    fn is_sensitive(self) -> bool {
        self.value & Self::SENSITIVE != 0
    }
}

/// One field of a [`Fields`] list.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// The name, lower case.
    pub name: &'a [u8],
    /// The value, as it stands on the wire.
    pub value: &'a [u8],
    /// Whether the field must never enter a compression table (RFC 7541, 7.1.3).
    pub sensitive: bool,
}

impl Fields {
    /// An empty list; allocates nothing.
    pub const fn new() -> Self {
        Self { list: None }
    }

    /// An empty list with room for `fields` fields of `bytes` bytes in all.
    pub fn with_capacity(fields: usize, bytes: usize) -> Self {
        Self { list: Some(Arc::new(FieldBuffer::with_capacity(fields, bytes))) }
    }

    /// Appends a field.
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        self.push_field(Field { name, value, sensitive: false });
    }

    /// Appends a field that no compression table may hold.
    pub fn push_sensitive(&mut self, name: &[u8], value: &[u8]) {
        self.push_field(Field { name, value, sensitive: true });
    }

    /// Appends `field`.
    pub fn push_field(&mut self, field: Field<'_>) {
        self.change().push_field(field);
    }

    /// The first value of `name`.
    pub fn value(&self, name: &[u8]) -> Option<&[u8]> {
        self.iter().find(|field| field.name == name).map(|field| field.value)
    }

    /// All values of `name`, in order.
    pub fn values<'a>(&'a self, name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        self.iter().filter(move |field| field.name == name).map(|field| field.value)
    }

    /// The field at `index`.
    pub fn field(&self, index: usize) -> Option<Field<'_>> {
        let (buffer, entries) = self.parts();
        entries.get(index).map(|entry| view(buffer, *entry))
    }

    /// All fields in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Field<'_>> + DoubleEndedIterator {
        let (buffer, entries) = self.parts();
        entries.iter().map(|entry| view(buffer, *entry))
    }

    /// Keeps the fields for which `keep` holds. The bytes of the others stay in the buffer.
    pub fn retain(&mut self, mut keep: impl FnMut(Field<'_>) -> bool) {
        if self.is_empty() {
            return;
        }
        let FieldBuffer { buffer, entries } = self.change();
        entries.retain(|entry| keep(view(buffer, *entry)));
    }

    /// How many fields there are.
    pub fn len(&self) -> usize {
        self.parts().1.len()
    }

    /// Whether there is no field.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Removes all fields and keeps the allocation, unless it is shared.
    pub fn clear(&mut self) {
        match self.list.as_mut().and_then(Arc::get_mut) {
            Some(list) => {
                list.buffer.clear();
                list.entries.clear();
            }
            None => self.list = None,
        }
    }

    /// The size of the list as RFC 9113 (6.5.2) counts it: names, values and 32 bytes a field.
    pub fn list_size(&self) -> usize {
        self.parts()
            .1
            .iter()
            .map(|entry| entry.name_len as usize + entry.value_len() + FIELD_OVERHEAD)
            .sum()
    }

    /// Bytes of memory the list holds.
    pub fn held_bytes(&self) -> usize {
        self.list.as_ref().map_or(0, |list| {
            list.buffer.capacity()
                + list.entries.capacity() * size_of::<Entry>()
                + size_of::<FieldBuffer>()
        })
    }

    /// A list just filled. A long one gives back what its buffers have too much: it may be held.
    pub(crate) fn from_buffer(mut list: FieldBuffer) -> Self {
        if list.entries.capacity() - list.entries.len() > SPARE_FIELDS {
            list.entries.shrink_to_fit();
        }
        if list.buffer.capacity() - list.buffer.len() > SPARE_BYTES {
            list.buffer.shrink_to_fit();
        }
        if list.entries.is_empty() { Self::new() } else { Self { list: Some(Arc::new(list)) } }
    }

    fn change(&mut self) -> &mut FieldBuffer {
        Arc::make_mut(self.list.get_or_insert_default())
    }

    fn parts(&self) -> (&[u8], &[Entry]) {
        self.list.as_ref().map_or((&[], &[]), |list| (&list.buffer, &list.entries))
    }
}

impl FieldBuffer {
    pub(crate) fn with_capacity(fields: usize, bytes: usize) -> Self {
        Self { buffer: Vec::with_capacity(bytes), entries: Vec::with_capacity(fields) }
    }

    fn push_field(&mut self, field: Field<'_>) {
        let start = self.buffer.len();
        self.buffer.extend_from_slice(field.name);
        self.buffer.extend_from_slice(field.value);
        let (name_len, value_len) = (field.name.len(), field.value.len());
        self.entries.push(Entry::new(start, name_len, value_len, field.sensitive));
    }

    /// Appends a field whose name, of `name_len` bytes, is directly followed by its value.
    #[inline]
    pub(crate) fn push_joined(&mut self, bytes: &[u8], name_len: usize, sensitive: bool) {
        let start = self.buffer.len();
        self.buffer.extend_from_slice(bytes);
        let name_len = name_len.min(bytes.len());
        self.entries.push(Entry::new(start, name_len, bytes.len() - name_len, sensitive));
    }
}

fn view(buffer: &[u8], entry: Entry) -> Field<'_> {
    let start = entry.start as usize;
    let middle = start + entry.name_len as usize;
    let end = middle + entry.value_len();
    Field {
        name: &buffer[start..middle],
        value: &buffer[middle..end],
        sensitive: entry.is_sensitive(),
    }
}

fn to_u32(length: usize) -> u32 {
    u32::try_from(length)
        .ok()
        .filter(|length| length & Entry::SENSITIVE == 0)
        .expect("header lists are limited to far less than 2 GiB")
}

impl PartialEq for Fields {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Fields {}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl fmt::Debug for Field<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.sensitive {
            return write!(f, "{}: (sensitive)", self.name.escape_ascii());
        }
        write!(f, "{}: {}", self.name.escape_ascii(), self.value.escape_ascii())
    }
}

impl<'a> FromIterator<(&'a [u8], &'a [u8])> for Fields {
    fn from_iter<I: IntoIterator<Item = (&'a [u8], &'a [u8])>>(iter: I) -> Self {
        let mut fields = Self::new();
        for (name, value) in iter {
            fields.push(name, value);
        }
        fields
    }
}

/// Room that a list may keep without use.
const SPARE_FIELDS: usize = 16;
const SPARE_BYTES: usize = 512;

/// What RFC 9113 (6.5.2) and RFC 7541 (4.1) add to the length of each field.
pub(crate) const FIELD_OVERHEAD: usize = 32;
