//! Whether a connection's task looks out for more bytes before it sleeps.
//!
//! With a few quick calls in flight a connection's task is done with what it read shortly before
//! the next request comes. Had its thread gone to sleep meanwhile, waking it would take longer than
//! the wait and about as much processor time. So the task stays up a little, giving way to all
//! others, and only where that has paid off lately.
//!
//! A peer on the same machine has the same cost: the first wait for it is long, since it sleeps too.
//! The next ones are short once neither sleeps for long, and where they are not it was in vain.
//!
//! ```text
//!           bytes, soon after the last ones          the pass has ended
//!      Off ---------------------------------> Due ----------------------> On
//!       ^                                      ^                          |  |
//!       |                                      +------- bytes: a hit -----+  |
//!       +---- nothing came: a miss, and twice as many chances pass unused ---+
//! ```

use std::time::Duration;

use ferrpc_core::Time;

use super::scratch::SCRATCH_BYTES;

/// Decides it, for one connection.
#[derive(Debug)]
pub(crate) struct Lookout {
    state: State,
    /// When bytes came last.
    received_at: Option<Time>,
    /// Lookouts in a row in which bytes came, but late.
    late: u32,
    /// How many times lookouts were in vain since one was not, up to [`MOST_MISSES`].
    misses: u32,
    /// Chances to pass over.
    skipped: u32,
    /// Bytes that the last receive brought.
    piece: usize,
    /// It was a piece of a large message, and the next ones may gather.
    gathers: bool,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// The task may sleep.
    Off,
    /// Begins when the pass that is on has ended: what it does is no part of the wait.
    Due,
    /// Goes on since the first look, which `None` says is yet to come, for so many looks at most.
    On { since: Option<Time>, left: u32 },
}

impl Lookout {
    pub(crate) const fn new() -> Self {
        Self {
            state: State::Off,
            received_at: None,
            late: 0,
            misses: 0,
            skipped: 0,
            piece: 0,
            gathers: false,
        }
    }

    /// Bytes came in the pass that began at `now` and wrote so many.
    pub(crate) fn received(&mut self, now: Time, written: usize) {
        let answered = (1..=SHORT_ANSWERS).contains(&written);
        self.gathers = self.piece >= PIECE && (self.piece < FULL || answered);
        if let State::On { since, .. } = self.state {
            self.found(since.map_or(Duration::ZERO, |since| now.since(since)));
        }
        let before = self.received_at.replace(now);
        let soon = before.is_some_and(|before| now.since(before) <= LONGEST_PERIOD);
        self.state = if soon && self.skipped == 0 { State::Due } else { State::Off };
        if soon {
            self.skipped = self.skipped.saturating_sub(1);
        }
    }

    /// A receive brought so many bytes.
    pub(crate) const fn took_piece(&mut self, bytes: usize) {
        self.piece = bytes;
    }

    /// Whether what has come since the last receive is left to become more. A large message arrives
    /// in pieces, and each receive costs the peer an acknowledgement.
    #[must_use]
    pub(crate) fn gathers(&self, now: Time) -> bool {
        !matches!(self.state, State::Off)
            && self.gathers
            && self.received_at.is_some_and(|at| now.since(at) < GATHERED)
    }

    /// A pass that began at `now` has left nothing to do, and nothing to read. Whether to have
    /// another one, once all other tasks had their turn, before the task sleeps.
    #[must_use]
    pub(crate) fn another(&mut self, now: Time) -> bool {
        let (since, left) = match self.state {
            State::Off => return false,
            State::Due => (None, LOOKS),
            State::On { since, left } => (Some(since.unwrap_or(now)), left - 1),
        };
        if left > 0 && since.is_none_or(|since| now.since(since) < LONGEST) {
            self.state = State::On { since, left };
            return true;
        }
        self.state = State::Off;
        self.miss();
        false
    }

    /// Bytes came after a lookout of this length.
    const fn found(&mut self, length: Duration) {
        if length.as_nanos() <= WORTHWHILE.as_nanos() {
            self.late = 0;
            self.misses = 0;
        } else {
            self.late += 1;
            if self.late == MOST_LATE {
                self.miss();
            }
        }
    }

    /// It was in vain: fewer of the next chances are taken.
    const fn miss(&mut self) {
        self.late = 0;
        if self.misses < MOST_MISSES {
            self.misses += 1;
        }
        self.skipped = (1 << self.misses) - 1;
    }
}

/// About what it takes to wake an idle core, which is what can be saved. Lookouts of 20 us missed
/// eight callers on the same machine.
const WORTHWHILE: Duration = Duration::from_micros(40);

/// What it takes a peer to be woken and to answer, where that is slow.
const LONGEST: Duration = Duration::from_micros(100);

/// So many long lookouts in a row are as much in vain as one that brings nothing.
const MOST_LATE: u32 = 4;

/// Looks of one lookout, each of which takes about half a microsecond. The limit is for clocks
/// that stand still.
const LOOKS: u32 = 250;

/// A receive that brought so much brought a piece of a large message.
const PIECE: usize = 8 << 10;

/// A receive that brought so much found a full buffer. Where messages are much larger than that the
/// next piece is there already, and waiting for it costs throughput: eight calls of 1 MiB both ways
/// lost a third of theirs. Where it ended a message and a short answer went out, it is not.
const FULL: usize = SCRATCH_BYTES;
const SHORT_ANSWERS: usize = 4 << 10;

/// How long pieces are left to gather, from one receive to the next. A peer on the same machine sends
/// some 48 KiB meanwhile. 8 us brought nothing, 35 us made eight callers wait.
const GATHERED: Duration = Duration::from_micros(20);

/// Where bytes come less often, few of their waits end within a lookout, and what a wake costs
/// matters less.
const LONGEST_PERIOD: Duration = Duration::from_micros(200);

/// After so many misses in a row one chance in 256 is taken.
const MOST_MISSES: u32 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    /// A connection whose peer's bytes come at regular times; whether each wait for them ended in
    /// a lookout.
    fn waits(lookout: &mut Lookout, now: &mut Time, wait: Duration, count: usize) -> Vec<bool> {
        let step = Duration::from_micros(1);
        let mut wait_once = || {
            lookout.received(*now, 0);
            let next = *now + wait;
            let mut awake = lookout.another(*now);
            while awake && *now < next {
                *now = *now + step;
                awake = *now >= next || lookout.another(*now);
            }
            *now = next;
            awake
        };
        (0..count).map(|_| wait_once()).collect()
    }

    fn start() -> (Lookout, Time) {
        (Lookout::new(), Time::from_nanos(7_000_000_000))
    }

    #[test]
    fn bytes_that_come_soon_are_awaited() {
        let (mut lookout, mut now) = start();
        let waits = waits(&mut lookout, &mut now, WORTHWHILE / 2, 100);
        assert!(!waits[0], "nothing is known yet");
        assert!(waits[1..].iter().all(|awake| *awake));
    }

    #[test]
    fn where_bytes_come_seldom_nobody_looks_out() {
        let (mut lookout, mut now) = start();
        for _ in 0..100 {
            lookout.received(now, 0);
            assert!(!lookout.another(now));
            now = now + LONGEST_PERIOD + Duration::from_nanos(1);
        }
    }

    #[test]
    fn misses_make_lookouts_rare_and_a_hit_makes_them_usual() {
        let (mut lookout, mut now) = start();
        let mut begun = 0;
        for _ in 0..2 + 511 + 2 * 256 {
            lookout.received(now, 0);
            if lookout.another(now) {
                begun += 1;
                while lookout.another(now) {
                    now = now + Duration::from_micros(1);
                }
            }
            now = now + LONGEST_PERIOD / 3;
        }
        // 1 + 2 + 4 ... + 256 chances, then one in 256.
        assert_eq!(begun, 9 + 2);
        let waits = waits(&mut lookout, &mut now, WORTHWHILE / 2, 2 * 256);
        let first = waits.iter().position(|awake| *awake).expect("a chance is taken");
        assert!(first < 256, "{first}");
        assert!(waits[first..].iter().all(|awake| *awake));
    }

    #[test]
    fn a_first_long_wait_is_made_up_for_and_more_of_them_are_not() {
        let (mut lookout, mut now) = start();
        let long = LONGEST - Duration::from_micros(1);
        assert_eq!(waits(&mut lookout, &mut now, long, 3), [false, true, true]);
        assert_eq!(waits(&mut lookout, &mut now, WORTHWHILE / 2, 2), [true, true]);
        let waits = waits(&mut lookout, &mut now, long, 2 + 511);
        assert!(waits[..MOST_LATE as usize].iter().all(|awake| *awake));
        let lookouts = waits.iter().filter(|awake| **awake).count();
        assert!(lookouts <= 9 * MOST_LATE as usize, "{lookouts}");
    }

    #[test]
    fn pieces_of_large_messages_are_left_to_gather_while_the_task_is_up() {
        let (mut lookout, now) = start();
        let (soon, later) = (now + GATHERED - Duration::from_nanos(1), now + GATHERED);
        lookout.took_piece(PIECE);
        lookout.received(now, 0);
        assert!(!lookout.gathers(soon), "the task will sleep: nobody would look again");
        lookout.received(now, 0);
        assert!(lookout.gathers(soon));
        assert!(lookout.another(soon));
        assert!(lookout.gathers(soon) && !lookout.gathers(later));
        let mut after = |piece, written| {
            lookout.took_piece(piece);
            lookout.received(now, written);
            lookout.gathers(soon)
        };
        assert!(!after(PIECE - 1, 0));
        assert!(!after(FULL, 0), "one of many");
        assert!(after(FULL, 1), "the last one");
        assert!(!after(FULL, SHORT_ANSWERS + 1), "much goes both ways");
    }

    #[test]
    fn gathering_ends_though_the_clock_stands_still() {
        let (mut lookout, now) = start();
        lookout.took_piece(PIECE);
        lookout.received(now, 0);
        lookout.received(now, 0);
        while lookout.another(now) {
            assert!(lookout.gathers(now));
        }
        assert!(!lookout.gathers(now));
    }

    #[test]
    fn a_lookout_ends_though_the_clock_stands_still() {
        let (mut lookout, now) = start();
        lookout.received(now, 0);
        lookout.received(now, 0);
        assert_eq!((0..1000).take_while(|_| lookout.another(now)).count(), LOOKS as usize);
    }
}
