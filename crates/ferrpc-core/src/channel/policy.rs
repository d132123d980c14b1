//! Policies: how a channel uses the addresses of its server.
//!
//! A policy puts the addresses into lists, of which each has a [`Subchannel`](super::Subchannel): at
//! most one connection, by the first address that answers. It says what the states of these
//! subchannels are together, and whether they stay connected though nobody calls. The picker takes
//! ready connections in turn. A policy that needs more (weights, hashes, load reports) adds what the
//! picker knows of a connection.

use super::ConnectivityState::{self, Connecting, Idle, Ready, TransientFailure};
use crate::random::Random;
use crate::service_config::LoadBalancing;

impl LoadBalancing {
    pub(super) fn policy(&self) -> Box<dyn Policy> {
        match *self {
            Self::PickFirst { shuffle } => Box::new(PickFirst { shuffle }),
            Self::RoundRobin => Box::new(RoundRobin),
        }
    }
}

/// What a channel asks its policy.
pub(super) trait Policy: Send + std::fmt::Debug {
    /// So many addresses, by their positions, in lists: each has a subchannel.
    fn arrange(&self, addresses: usize, random: &mut Random) -> Vec<Vec<usize>>;

    /// Whether there is one subchannel whatever the addresses are: then it lives on when they
    /// change.
    fn has_one(&self) -> bool;

    /// Whether subchannels connect again by themselves when they have lost their connection.
    fn stays_connected(&self) -> bool;

    /// The state of the channel whose subchannels, at least one, have these states.
    fn aggregate(&self, states: &[ConnectivityState]) -> ConnectivityState;
}

/// gRFC A62.
#[derive(Debug)]
struct PickFirst {
    shuffle: bool,
}

impl Policy for PickFirst {
    fn arrange(&self, addresses: usize, random: &mut Random) -> Vec<Vec<usize>> {
        let mut list: Vec<usize> = (0..addresses).collect();
        if self.shuffle {
            random.shuffle(&mut list);
        }
        vec![list]
    }

    fn has_one(&self) -> bool {
        true
    }

    fn stays_connected(&self) -> bool {
        false
    }

    fn aggregate(&self, states: &[ConnectivityState]) -> ConnectivityState {
        states.first().copied().unwrap_or(Idle)
    }
}

#[derive(Debug)]
struct RoundRobin;

impl Policy for RoundRobin {
    fn arrange(&self, addresses: usize, _: &mut Random) -> Vec<Vec<usize>> {
        (0..addresses).map(|address| vec![address]).collect()
    }

    fn has_one(&self) -> bool {
        false
    }

    fn stays_connected(&self) -> bool {
        true
    }

    fn aggregate(&self, states: &[ConnectivityState]) -> ConnectivityState {
        let found = [Ready, Connecting, Idle].into_iter().find(|state| states.contains(state));
        found.unwrap_or(TransientFailure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_state_of_the_subchannels_is_the_channels() {
        let of = |states: &[ConnectivityState]| RoundRobin.aggregate(states);
        assert_eq!(of(&[TransientFailure, Ready, Connecting]), Ready);
        assert_eq!(of(&[TransientFailure, Connecting, Idle]), Connecting);
        assert_eq!(of(&[TransientFailure, Idle]), Idle);
        assert_eq!(of(&[TransientFailure, TransientFailure]), TransientFailure);
    }

    #[test]
    fn a_shuffled_list_has_each_address_once_and_many_orders() {
        let policy = PickFirst { shuffle: true };
        let mut random = Random::new(7);
        let mut first = [0; 4];
        for _ in 0..4000 {
            let mut list = policy.arrange(4, &mut random).remove(0);
            first[list[0]] += 1;
            list.sort_unstable();
            assert_eq!(list, [0, 1, 2, 3]);
        }
        assert!(first.iter().all(|times| (900..1100).contains(times)), "{first:?}");
    }
}
