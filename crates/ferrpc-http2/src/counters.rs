//! What is counted on a connection.

/// Counts of one connection's life; one for each limit, so that every reaction can be seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Streams opened by either side.
    pub streams_opened: u64,
    /// Streams the peer reset before we answered them.
    pub early_resets: u64,
    /// Streams we reset because the peer broke a rule on them.
    pub induced_resets: u64,
    /// Streams refused above the limit of concurrent streams.
    pub refused_streams: u64,
    /// Frames without effect.
    pub idle_frames: u64,
    /// DATA frames of next to nothing, with credit for more.
    pub small_frames: u64,
    /// WINDOW_UPDATE frames, but for those that were under way when their stream ended.
    pub window_updates: u64,
    /// SETTINGS frames received.
    pub settings_received: u64,
    /// PING frames received (not acknowledgements).
    pub pings_received: u64,
    /// Pings that came too soon.
    pub ping_strikes: u64,
    /// Header lists that exceeded their limit.
    pub header_lists_too_large: u64,
    /// Streams reset because they made no progress under memory pressure.
    pub stalled_streams: u64,
    /// Times reading was stopped to slow the peer down.
    pub read_pauses: u64,
}
