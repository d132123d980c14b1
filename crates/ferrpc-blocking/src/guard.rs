//! The guard: the thread that made a connection, and looks after it when no caller does.

use std::time::Duration;

use ferrpc_core::Time;
use ferrpc_net::clock;

use super::connection::Connection;
use super::state::Role;

impl Connection {
    /// The guard's way through the handshake; false if it did not succeed in time.
    pub(super) fn shake_hands(&self, limit: Time) -> bool {
        let mut state = self.lock();
        while !state.ready && state.closed.is_none() && clock::now() < limit {
            self.lead(&mut state, Role::Guard, None, Some(limit));
        }
        if state.ready && state.closed.is_none() {
            state.give_role(Role::None);
            state.idle_since = clock::now();
        }
        // A server that ends the connection in the same breath was there nevertheless.
        state.ready
    }

    /// The guard's life: works while it has the role, takes it soon after nobody has it (so that
    /// the server's pings and its goodbye are answered, and timers fire), and ends with the
    /// connection.
    pub(super) fn keep_guard(&self) {
        let mut looks = Looks::default();
        let mut state = self.lock();
        loop {
            if state.transport.is_finished()
                && (state.transmit.is_empty() || state.closed.is_some())
            {
                break;
            }
            if state.closed.is_some() && state.writing {
                // Whoever writes tells when it has: to ask again and again would keep the lock
                // from it.
                state.wait_for(&self.guard, None);
                continue;
            }
            let wanted = state.watched > 0;
            match looks.next(state.role, wanted, state.idle_since, clock::now()) {
                Next::Lead => {
                    if state.role != Role::Guard {
                        state.give_role(Role::Guard);
                    }
                    self.lead(&mut state, Role::Guard, None, None);
                }
                Next::Look(after) => state.wait_for(&self.guard, Some(after)),
                Next::Sleep => {
                    state.guard_sleeps = true;
                    state.wait_for(&self.guard, None);
                    state.guard_sleeps = false;
                }
            }
        }
        // Whoever still waits has been told; nobody needs to lead any more.
        if state.role == Role::Guard {
            state.give_role(Role::None);
        }
        self.socket.shut_down();
    }
}

/// What the guard does next.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    /// It takes the role, if it has not got it, and waits for the socket.
    Lead,
    /// It looks again after that time. Telling it of each end of a call would cost each call a
    /// change of threads.
    Look(Duration),
    /// It is told.
    Sleep,
}

/// How the guard looks at what the others do: while calls follow each other, now and then; not at
/// all where one call, or an event loop, has the role for long.
#[derive(Debug, Default)]
struct Looks {
    /// Whose ticket it saw last.
    seen: Option<u64>,
}

impl Looks {
    fn next(&mut self, role: Role, wanted: bool, idle_since: Time, now: Time) -> Next {
        match role {
            Role::Guard => Next::Lead,
            Role::None if wanted => Next::Lead,
            Role::None => match IDLE.saturating_sub(now.since(idle_since)) {
                Duration::ZERO => Next::Lead,
                left => Next::Look(left),
            },
            Role::Caller(ticket) if self.seen.replace(ticket) == Some(ticket) => Next::Sleep,
            Role::Caller(_) => Next::Look(IDLE),
            Role::Outside => Next::Sleep,
        }
    }
}

/// How long nobody may care before the guard does. A server that ends waits as long for the answer
/// of a client that has just made a call; a client that calls without a pause wakes its guard as
/// often.
const IDLE: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn an_idle_connection_gets_its_guard_and_wakes_it_no_more() {
        let (mut looks, began) = (Looks::default(), Time::ZERO);
        let mut now = began;
        let mut turns = 0;
        while let Next::Look(after) = looks.next(Role::None, false, began, now) {
            now = now + after;
            turns += 1;
        }
        assert_eq!((turns, now), (1, began + IDLE));
        // From here on it waits for the socket, and for nothing else.
        assert_eq!(looks.next(Role::Guard, false, began, now + IDLE), Next::Lead);
    }

    #[test]
    fn one_long_call_is_looked_at_once() {
        let mut looks = Looks::default();
        let look = |looks: &mut Looks, ticket, now| {
            looks.next(Role::Caller(ticket), false, Time::ZERO, Time::ZERO + now)
        };
        assert_eq!(look(&mut looks, 7, MS), Next::Look(IDLE));
        assert_eq!(look(&mut looks, 7, MS + IDLE), Next::Sleep);
        // The call is over, which the guard is told; the next one has a ticket of its own.
        assert_eq!(look(&mut looks, 8, MS + IDLE), Next::Look(IDLE));
    }

    #[test]
    fn calls_without_a_pause_keep_the_role() {
        let (mut looks, mut now, mut turns) = (Looks::default(), Time::ZERO, 0);
        let end = now + Duration::from_secs(1);
        while now < end {
            // Between two calls, of which the last was over a moment ago.
            match looks.next(Role::None, false, now, now + MS) {
                Next::Look(after) => now = now + after + MS,
                other => panic!("{other:?}"),
            }
            turns += 1;
        }
        assert!(turns <= 100, "{turns}");
    }

    #[test]
    fn who_is_wanted_does_not_wait() {
        let mut looks = Looks::default();
        assert_eq!(looks.next(Role::None, true, Time::ZERO, Time::ZERO), Next::Lead);
        assert_eq!(looks.next(Role::Outside, true, Time::ZERO, Time::ZERO + IDLE), Next::Sleep);
    }
}
