//! A header list under construction, and its limits.

use crate::fields::{FIELD_OVERHEAD, FieldBuffer, Fields};

/// How much of a header list is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListLimits {
    /// The greatest size in bytes, names, values and 32 a field (RFC 9113, 6.5.2).
    pub max_size: usize,
    /// The greatest number of fields. A table reference costs the peer one byte, and each field
    /// costs us more than its bytes.
    pub max_fields: usize,
}

/// The header list of one block, filled by a [`Decoder`](super::Decoder).
///
/// Holds at most what its limits allow. Fields that do not fit are left out: [`is_overflow`] tells
/// that there are some, and [`size`] how large the list would have been. Essential fields have
/// [`SPARE`](Self::SPARE) bytes more, so that what a list says is known even if the rest of it is
/// too large.
///
/// [`is_overflow`]: Self::is_overflow
/// [`size`]: Self::size
#[derive(Debug)]
pub struct HeaderList {
    fields: FieldBuffer,
    limits: ListLimits,
    size: usize,
    count: usize,
    /// What exceeded the limits; apart, since most lists have none and lists are moved.
    excess: Option<Box<Excess>>,
    essential: &'static [&'static str],
}

#[derive(Debug, Default)]
struct Excess {
    /// Of the fields that were left out.
    size: usize,
    count: usize,
    /// What essential fields took beyond the limits.
    spare_used: usize,
}

impl HeaderList {
    /// Bytes by which essential fields may exceed the limit of a list that is too large.
    pub const SPARE: usize = 512;

    /// An empty list.
    pub fn new(limits: ListLimits) -> Self {
        let fields = FieldBuffer::with_capacity(
            USUAL_FIELDS.min(limits.max_fields),
            USUAL_BYTES.min(limits.max_size),
        );
        Self { fields, limits, size: 0, count: 0, excess: None, essential: &[] }
    }

    /// The same list, in which fields of these names, if they are short, are stored even when it is
    /// too large.
    #[must_use]
    pub fn with_essential(mut self, names: &'static [&'static str]) -> Self {
        self.essential = names;
        self
    }

    /// Whether some field exceeded the limits.
    pub fn is_overflow(&self) -> bool {
        self.size > self.limits.max_size || self.count > self.limits.max_fields
    }

    /// Whether there are more fields than the limits allow, though their bytes would fit.
    pub(crate) fn has_too_many(&self) -> bool {
        self.size <= self.limits.max_size && self.count > self.limits.max_fields
    }

    /// The size of the list as decoded (RFC 9113, 6.5.2), of fields stored or not; saturating.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The fields stored.
    pub fn into_fields(self) -> Fields {
        Fields::from_buffer(self.fields)
    }

    /// Counts a field, given as its name directly followed by its value, and stores it if the
    /// limits allow.
    #[inline]
    pub(super) fn push(&mut self, bytes: &[u8], name_len: usize, sensitive: bool) {
        self.size = self.size.saturating_add(bytes.len().saturating_add(FIELD_OVERHEAD));
        self.count = self.count.saturating_add(1);
        // Size and count only grow: within the limits, nothing was left out yet.
        if !self.is_overflow() || self.has_room(bytes, name_len) {
            self.fields.push_joined(bytes, name_len, sensitive);
        }
    }

    /// Counts a field with a string of `length` bytes that is not read.
    #[cold]
    pub(super) fn count_unread(&mut self, length: usize) {
        let size = length.saturating_add(FIELD_OVERHEAD);
        self.size = self.size.saturating_add(size);
        self.count = self.count.saturating_add(1);
        self.leave_out(size);
    }

    /// Whether a field, already counted, fits beside those stored, though the list is too large.
    #[cold]
    fn has_room(&mut self, bytes: &[u8], name_len: usize) -> bool {
        let size = bytes.len().saturating_add(FIELD_OVERHEAD);
        let excess = self.excess.get_or_insert_default();
        let elsewhere = excess.size.saturating_add(excess.spare_used);
        let stored = self.size.saturating_sub(elsewhere);
        let count = self.count - excess.count;
        if name_len > 0 && stored <= self.limits.max_size && count <= self.limits.max_fields {
            return true;
        }
        if excess.spare_used + size <= Self::SPARE
            && let Some(name) = bytes.get(..name_len)
            && self.essential.iter().any(|essential| essential.as_bytes() == name)
        {
            excess.spare_used += size;
            return true;
        }
        self.leave_out(size);
        false
    }

    fn leave_out(&mut self, size: usize) {
        let excess = self.excess.get_or_insert_default();
        excess.size = excess.size.saturating_add(size);
        excess.count += 1;
    }
}

/// Fields and bytes of a usual request, so that most lists are allocated once.
const USUAL_FIELDS: usize = 12;
const USUAL_BYTES: usize = 320;
