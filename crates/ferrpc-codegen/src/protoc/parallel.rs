//! Work on many files at once.

use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// What a function makes of each item, in the items' order. Many items are shared among as many
/// threads as the machine runs at once.
pub(super) fn each<'a, T: Sync, R: Send>(
    items: &'a [T],
    work: impl Fn(&'a T) -> R + Sync,
) -> Vec<R> {
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(items.len() / FEW);
    if threads < 2 {
        return items.iter().map(work).collect();
    }
    let next = AtomicUsize::new(0);
    let mut parts: Vec<(usize, Vec<R>)> = thread::scope(|scope| {
        let run = || {
            let mut done = Vec::new();
            loop {
                let start = next.fetch_add(FEW, Ordering::Relaxed);
                let Some(rest) = items.get(start..).filter(|rest| !rest.is_empty()) else { break };
                done.push((start, rest.iter().take(FEW).map(&work).collect()));
            }
            done
        };
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(run)).collect();
        let mut all = run();
        for other in others {
            match other.join() {
                Ok(done) => all.extend(done),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        all
    });
    parts.sort_unstable_by_key(|(start, _)| *start);
    parts.into_iter().flat_map(|(_, done)| done).collect()
}

/// So many are taken at once, and fewer than twice as many are not worth a thread.
const FEW: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_in_the_order_of_the_items() {
        for count in [0, 1, 15, 31, 32, 33, 1000] {
            let items: Vec<usize> = (0..count).collect();
            let expect: Vec<usize> = items.iter().map(|it| it * 2).collect();
            assert_eq!(each(&items, |it| it * 2), expect);
        }
    }
}
