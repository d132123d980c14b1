//! A word to the C library's allocator, so that it keeps the memory of large messages.
//!
//! glibc's gives the free end of a heap back to the kernel once it is twice as large as the largest
//! block that was ever mapped apart and freed (mallopt(3), `M_MMAP_THRESHOLD` and
//! `M_TRIM_THRESHOLD`). Two messages of about one size are that: where they are freed one after
//! the other, all of their memory goes, and comes again page by page with the next call, which
//! costs several times what the messages do. A larger block, mapped and freed once, without a page
//! of it being touched, moves that point. Elsewhere, and where the environment sets the thresholds,
//! it changes nothing.

use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The largest block that was mapped and freed: the allocator is the process's, and so is this.
static SHOWN: AtomicUsize = AtomicUsize::new(0);

/// Messages of `length` bytes are in use: memory for several of them should not be given back each
/// time.
pub(crate) fn expect_messages(length: usize) {
    if length >= WORTH_KEEPING {
        show(block(length));
    }
}

fn show(block: usize) {
    if SHOWN.load(Ordering::Relaxed) < block && SHOWN.fetch_max(block, Ordering::Relaxed) < block {
        let mut memory = Vec::<u8>::new();
        // Where there is no such block there is nothing to keep either.
        let _ = memory.try_reserve_exact(block);
        // The optimizer would remove memory that nobody sees.
        drop(black_box(memory));
    }
}

/// The block that makes the allocator keep what a few calls with messages of `length` bytes use. In
/// powers of two, so that a process shows few of them.
const fn block(length: usize) -> usize {
    // Capped before it is multiplied.
    let length = if length < LARGEST_BLOCK { length } else { LARGEST_BLOCK };
    let block = length.next_power_of_two() * MESSAGES;
    if block < LARGEST_BLOCK { block } else { LARGEST_BLOCK }
}

/// Smaller messages fit into what the allocator keeps anyway.
const WORTH_KEEPING: usize = 32 << 10;

/// Messages that have room in half of what is kept: eight calls in flight, each with its message
/// encoded and decoded.
const MESSAGES: usize = 16;

/// The largest block that moves glibc's thresholds is 32 MiB, with what the allocator adds; it
/// keeps twice as much at the end of a heap then.
const LARGEST_BLOCK: usize = (32 << 20) - (64 << 10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_grow_with_messages_up_to_what_counts() {
        assert_eq!(block(WORTH_KEEPING), 512 << 10);
        assert_eq!(block(WORTH_KEEPING + 1), 1 << 20);
        assert_eq!(block(1 << 20), 16 << 20);
        assert_eq!(block((1 << 20) + 1), LARGEST_BLOCK);
        assert_eq!(block(usize::MAX), LARGEST_BLOCK);
    }

    /// Two messages of one size, freed one after the other, are what is given back else.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[test]
    fn memory_of_large_messages_comes_back_without_page_faults() {
        const SIZE: usize = 12 << 20;
        const PAGE: usize = 4 << 10;
        let exchange = || {
            let encoded = black_box(vec![1_u8; SIZE]);
            let decoded = black_box(encoded.clone());
            drop((encoded, decoded));
        };
        expect_messages(SIZE);
        exchange();
        let before = page_faults();
        (0..10).for_each(|_| exchange());
        let faults = page_faults() - before;
        assert!(faults < SIZE / PAGE, "{faults} page faults in ten calls");
    }

    /// Those of this thread.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    fn page_faults() -> usize {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").expect("Linux has it");
        let (_, fields) = stat.rsplit_once(')').expect("the name is in parentheses");
        fields.split_whitespace().nth(7).and_then(|faults| faults.parse().ok()).expect("a number")
    }
}
