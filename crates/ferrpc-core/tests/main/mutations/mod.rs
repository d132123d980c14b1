//! Recorded sessions, broken in every way a peer could: frames that are lost, doubled, exchanged,
//! cut, made up or overwritten. Whatever comes, nothing panics, memory stays within what came, and
//! the connection goes on or ends with a GOAWAY that says why.
//!
//! `FERRPC_MUTATIONS=700000 cargo test -p ferrpc-core --test main mutations` runs so many seeds that
//! are not among the usual ones.

mod breaking;
mod subject;

use std::ops::Range;

use breaking::{Random, broken};
use subject::Subject;

/// Says which seed it was that failed.
struct Named(u64, bool);

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("failed: seed {}, server {}; replay it with run()", self.0, self.1);
        }
    }
}

/// Runs one seed against one end; how it went. On a thread of its own: threads keep buffers, and
/// what one run has left must not count as held by the next.
#[expect(clippy::disallowed_methods, reason = "the engine has no threads, its tests may")]
fn run(seed: u64, server: bool) -> subject::Outcome {
    std::thread::spawn(move || try_one(seed, server)).join().expect("it has said what was wrong")
}

fn try_one(seed: u64, server: bool) -> subject::Outcome {
    let _name = Named(seed, server);
    let mut random = Random::new(seed);
    let (to_server, to_client) = subject::session(&mut random);
    let input = broken(&mut random, if server { to_server } else { to_client });
    let mut subject = Subject::new(server, &mut random);
    let mut rest = &input[..];
    while !rest.is_empty() && !subject.is_over() {
        let most = [7, 60, 1000, 70_000][random.below(4)];
        let (piece, behind) = rest.split_at((random.below(most) + 1).min(rest.len()));
        rest = behind;
        subject.feed(&mut random, piece);
        subject.check();
    }
    subject.end()
}

fn runs(seeds: Range<u64>) {
    let mut outcomes = [0_usize; 2];
    for seed in seeds {
        for server in [true, false] {
            outcomes[usize::from(run(seed, server) == subject::Outcome::Refused)] += 1;
        }
    }
    // Breaking that ends no connection, or all of them, would test little.
    assert!(outcomes.iter().all(|count| *count > 20), "went on, refused: {outcomes:?}");
    println!("went on, refused: {outcomes:?}");
}

#[test]
fn broken_sessions() {
    match more() {
        None => runs(0..USUAL),
        Some(count) => runs(USUAL..USUAL + count),
    }
}

#[expect(clippy::disallowed_methods, reason = "how long to try is said outside")]
fn more() -> Option<u64> {
    let count = std::env::var("FERRPC_MUTATIONS").ok()?;
    Some(count.parse().expect("FERRPC_MUTATIONS is a number of seeds"))
}

const USUAL: u64 = 1500;

#[test]
fn a_seed_says_everything() {
    for seed in 0..50 {
        assert_eq!(run(seed, true), run(seed, true));
        assert_eq!(run(seed, false), run(seed, false));
    }
}
