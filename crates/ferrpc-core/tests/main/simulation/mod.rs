//! Random calls of all kinds over a network with moods, each run from one seed.
//!
//! To replay a failure, put its seed into `replay`.

mod world;

use std::time::Duration;

use ferrpc_core::transport::Config;
use ferrpc_http2::Window;
use ferrpc_testing::SimConfig;
use world::World;

/// Runs one seed; what happened, as a number.
fn run(seed: u64, cut_per_million: u32) -> u64 {
    let network = SimConfig {
        max_delay: Duration::from_millis([0, 1, 5, 50][seed as usize % 4]),
        max_piece: [13, 100, 2000, 100_000][(seed / 4) as usize % 4],
        stall_per_mille: 5,
        cut_per_million,
    };
    let window = |mix: u64| match mix % 3 {
        0 => Window::Auto { max: 16 << 20 },
        1 => Window::Fixed(65_535),
        _ => Window::Fixed(2000),
    };
    let config = |mix: u64| Config {
        http2: ferrpc_http2::Config { window: window(mix), ..Default::default() },
        max_held_messages: [64 << 20, 100_000, 0][mix as usize / 3 % 3],
        message_runs: mix.is_multiple_of(2),
        ..Config::default()
    };
    let mut world = World::new(seed, network, config(seed / 16), config(seed / 48));
    world.run();
    world.check();
    world.trace()
}

/// Says which seed it was that failed.
struct Named(u64, u32);

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("failed: run(seed {}, cut_per_million {})", self.0, self.1);
        }
    }
}

fn runs(seeds: std::ops::Range<u64>, cut_per_million: u32) {
    for seed in seeds {
        let _name = Named(seed, cut_per_million);
        run(seed, cut_per_million);
    }
}

#[test]
fn calls() {
    runs(0..300, 0);
}

#[test]
fn calls_that_are_cut() {
    runs(1000..1100, 100);
    runs(2000..2100, 3000);
}

#[test]
fn a_seed_says_everything() {
    for seed in 0..20 {
        assert_eq!(run(seed, 500), run(seed, 500), "seed {seed}");
    }
}

#[test]
fn replay() {
    runs(0..1, 0);
}
