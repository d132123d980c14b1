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
/// Holds at most what its limits allow. Beyond them it only counts: [`is_overflow`] tells that the
/// list is incomplete, and [`size`] how large it would have been.
///
/// [`is_overflow`]: Self::is_overflow
/// [`size`]: Self::size
#[derive(Debug)]
pub struct HeaderList {
    fields: FieldBuffer,
    limits: ListLimits,
    size: usize,
    count: usize,
}

impl HeaderList {
    /// An empty list.
    pub fn new(limits: ListLimits) -> Self {
        let fields = FieldBuffer::with_capacity(
            USUAL_FIELDS.min(limits.max_fields),
            USUAL_BYTES.min(limits.max_size),
        );
        Self { fields, limits, size: 0, count: 0 }
    }

    /// Whether some field was not stored, for the size or the number of fields.
    pub fn is_overflow(&self) -> bool {
        self.size > self.limits.max_size || self.count > self.limits.max_fields
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
    /// limits allow. Size and count only grow, so after the first field not stored none is.
    #[inline]
    pub(super) fn push(&mut self, bytes: &[u8], name_len: usize, sensitive: bool) {
        self.size = self.size.saturating_add(bytes.len().saturating_add(FIELD_OVERHEAD));
        self.count = self.count.saturating_add(1);
        if !self.is_overflow() {
            self.fields.push_joined(bytes, name_len, sensitive);
        }
    }
}

/// Fields and bytes of a usual request, so that most lists are allocated once.
const USUAL_FIELDS: usize = 12;
const USUAL_BYTES: usize = 320;
