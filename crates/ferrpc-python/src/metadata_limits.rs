//! The two limits on the size of received metadata, as the channel arguments set them.

/// `grpc.max_metadata_size` and `grpc.absolute_max_metadata_size`: in bytes, 32 added for each
/// entry. From the first one on metadata is refused by chance, above the second always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct MetadataLimits {
    soft: Option<u32>,
    hard: Option<u32>,
}

impl MetadataLimits {
    /// Sets `grpc.max_metadata_size`; a negative value means nothing.
    pub(crate) fn set_soft(&mut self, bytes: i64) {
        self.soft = limit(bytes);
    }

    /// Sets `grpc.absolute_max_metadata_size`; a negative value means nothing.
    pub(crate) fn set_hard(&mut self, bytes: i64) {
        self.hard = limit(bytes);
    }

    /// What is refused above. Without an argument of its own there is room above the soft limit.
    pub(crate) fn hard(self) -> u32 {
        let above = |soft: u32| soft.saturating_add(soft / 4).max(DEFAULT_HARD);
        self.hard.unwrap_or(self.soft.map_or(DEFAULT_HARD, above))
    }

    /// Where refusals begin, if they do below the hard limit.
    pub(crate) fn soft(self) -> Option<u32> {
        self.soft.filter(|soft| *soft < self.hard())
    }
}

fn limit(bytes: i64) -> Option<u32> {
    (bytes >= 0).then(|| u32::try_from(bytes).unwrap_or(u32::MAX))
}

const DEFAULT_HARD: u32 = 16 << 10;
