//! What connections read into.

use std::cell::Cell;

/// The buffer that all connections of a thread read into, one at a time: an idle connection has
/// none.
pub(super) struct Scratch {
    pub(super) bytes: Box<[u8]>,
}

thread_local! {
    static SCRATCH: Cell<Option<Box<[u8]>>> = const { Cell::new(None) };
}

impl Scratch {
    /// Takes the thread's buffer; makes one if it is in use, as when a driver is polled by a
    /// handler of another.
    pub(super) fn take() -> Self {
        let bytes = SCRATCH.try_with(Cell::take).ok().flatten();
        Self { bytes: bytes.unwrap_or_else(|| vec![0; SCRATCH_BYTES].into_boxed_slice()) }
    }

    pub(super) fn put_back(self) {
        let _ = SCRATCH.try_with(|scratch| scratch.set(Some(self.bytes)));
    }
}

/// Read at once: as much as a socket's buffer holds by default.
pub(super) const SCRATCH_BYTES: usize = 64 << 10;
