//! What a server's connection does when the memory of all its connections gets scarce.

use ferrpc_http2::Time;

use crate::Status;

use super::{CallId, CancelledBy, Transport};

impl Transport {
    /// Server: what may be held for the application, and for sending, from now on: `share` bytes
    /// each, if that is less than the configured limits; `None`: as much as these say.
    pub fn press(&mut self, now: Time, share: Option<usize>) {
        let share = share.unwrap_or(usize::MAX);
        self.limit_held(now, share);
        self.http2.limit_send_memory(now, share);
        self.drain_http2(now);
    }

    /// Server: ends the calls that hold most, until they held `bytes` in all. How many ended, and
    /// what they held; messages that nobody has taken go first, then what is to be sent.
    pub fn shed(&mut self, now: Time, bytes: usize) -> (usize, usize) {
        let ids = self.calls.ids();
        let mut holders: Vec<(usize, CallId)> = ids
            .into_iter()
            .filter_map(|id| Some((self.calls.call(id)?.held(), id)))
            .filter(|(held, _)| *held > 0)
            .collect();
        holders.sort_by_key(|(held, _)| std::cmp::Reverse(*held));
        let (mut ended, mut freed) = (0, 0);
        let status = Status::resource_exhausted(EXHAUSTED);
        for (held, id) in holders {
            if freed >= bytes {
                break;
            }
            freed += held;
            ended += 1;
            self.drop_messages(id);
            self.send_status(now, id, &status);
            self.cancel_server(now, id, CancelledBy::Refused);
        }
        if freed < bytes {
            let before = self.http2.open_streams();
            freed += self.http2.shed(bytes - freed);
            ended += before - self.http2.open_streams();
            self.drain_http2(now);
        }
        (ended, freed)
    }
}

const EXHAUSTED: &str = "the server is short of memory, and this call held much of it";
