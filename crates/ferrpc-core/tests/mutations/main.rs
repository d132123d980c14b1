//! Recorded sessions, broken in every way a peer could: frames that are lost, doubled, exchanged,
//! cut, made up or overwritten. Whatever comes, nothing panics, memory stays within what came, and
//! the connection goes on or ends with a GOAWAY that says why.
//!
//! `FERRPC_MUTATIONS=1000000 cargo test -p ferrpc-core --test mutations` runs so many seeds from
//! a beginning of its own (`FERRPC_MUTATIONS_FROM`, or a part of the time), in place of the usual.

mod breaking;
mod subject;

use std::ops::Range;
use std::time::{SystemTime, UNIX_EPOCH};

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

/// Runs one seed against one end; how it went.
fn run(seed: u64, server: bool) -> subject::Outcome {
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
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let Some(count) = number("FERRPC_MUTATIONS") else {
        return runs(0..1500);
    };
    let clock = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let from = number("FERRPC_MUTATIONS_FROM").unwrap_or_else(|| clock() << 24);
    println!("seeds from {from}");
    runs(from..from + count);
}

#[test]
fn a_seed_says_everything() {
    for seed in 0..50 {
        assert_eq!(run(seed, true), run(seed, true));
        assert_eq!(run(seed, false), run(seed, false));
    }
}
