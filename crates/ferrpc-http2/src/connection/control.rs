//! What the frames other than DATA and HEADERS do.

use crate::frame::settings::id;
use crate::frame::{self, Fault, FrameHead, flag, settings};
use crate::ping::{PingKind, Verdict};
use crate::stream::Waits;
use crate::{Reason, Role, Time};

use super::{Connection, Event, ResetBy};

impl Connection {
    pub(super) fn handle_reset<'a>(
        &mut self,
        now: Time,
        id: u32,
        reason: Reason,
    ) -> Result<Option<Event<'a>>, Fault> {
        if self.is_idle(id) {
            return Err(Fault::protocol("RST_STREAM on an idle stream"));
        }
        let Some(key) = self.streams.find(id) else {
            return self.charge_stray_frame(now).map(|()| None);
        };
        let stream = self.remove(key).expect("just found");
        Ok(Some(Event::Reset {
            token: stream.token,
            reason,
            by: ResetBy::Peer,
            headers_sent: stream.headers_sent,
        }))
    }

    pub(super) fn handle_settings<'a>(
        &mut self,
        now: Time,
        head: FrameHead,
        payload: &[u8],
    ) -> Result<Option<Event<'a>>, Fault> {
        if head.has(flag::ACK) {
            match self.unacknowledged_settings.checked_sub(1) {
                Some(left) => {
                    self.unacknowledged_settings = left;
                    self.settings_seen = true;
                    self.timers.settings = None;
                }
                None => self.charge_idle_frame(now)?,
            }
            return Ok(None);
        }
        self.counters.settings_received += 1;
        let first = !self.remote.received;
        if !first && !self.budgets.settings.take(now) {
            return Err(Fault::calm("too_many_settings"));
        }
        let streams_before = self.remote.max_streams;
        if first {
            // No limit unless the peer names one (6.5.2).
            self.remote.max_streams = u32::MAX;
        }
        for entry in settings::entries(payload) {
            let (id, value) = entry?;
            match id {
                id::HEADER_TABLE_SIZE => self.encoder.set_peer_table_size(value),
                id::ENABLE_PUSH if self.role == Role::Client && value != 0 => {
                    return Err(Fault::protocol("ENABLE_PUSH from a server"));
                }
                id::MAX_CONCURRENT_STREAMS => self.remote.max_streams = value,
                id::INITIAL_WINDOW_SIZE => self.change_initial_window(value)?,
                id::MAX_FRAME_SIZE => self.remote.max_frame = value as usize,
                id::MAX_HEADER_LIST_SIZE => self.remote.max_header_list = value as usize,
                _ => {}
            }
        }
        self.out.encode(settings::encode_ack);
        self.acknowledged();
        self.remote.received = true;
        if self.remote.max_streams > streams_before {
            self.offer_streams();
        }
        if first {
            self.timers.handshake = None;
            // Before what else was found out.
            self.events.push_front(Event::Ready);
        }
        Ok(None)
    }

    /// SETTINGS_INITIAL_WINDOW_SIZE moves the windows of all open streams (6.9.2).
    pub(super) fn change_initial_window(&mut self, value: u32) -> Result<(), Fault> {
        let delta = i64::from(value) - i64::from(self.remote.initial_window);
        self.remote.initial_window = value;
        let mut now_ready = Vec::new();
        for (key, stream) in self.streams.iter_mut() {
            self.sendable -= stream.sendable();
            let sound = stream.send_window.grow(delta);
            self.sendable += stream.sendable();
            if !sound {
                return Err(Fault::Connection(
                    Reason::FLOW_CONTROL_ERROR,
                    "INITIAL_WINDOW_SIZE overflows a stream's window",
                ));
            }
            if delta > 0 && (!stream.queue.is_empty() || stream.waits == Waits::Memory) {
                now_ready.push(key);
            }
        }
        for key in now_ready {
            self.credit_came(key);
        }
        Ok(())
    }

    pub(super) fn handle_ping(
        &mut self,
        now: Time,
        head: FrameHead,
        payload: &[u8],
    ) -> Result<(), Fault> {
        let payload: [u8; 8] = payload.try_into().expect("checked on entering the frame");
        if !head.has(flag::ACK) {
            self.counters.pings_received += 1;
            if self.role == Role::Server {
                match self.judge.received(now, self.streams.len()) {
                    Verdict::Good => {}
                    Verdict::Strike => self.counters.ping_strikes += 1,
                    Verdict::TooMany => {
                        self.counters.ping_strikes += 1;
                        return Err(Fault::calm("too_many_pings"));
                    }
                }
            } else if self.streams.is_empty() {
                self.charge_idle_frame(now)?;
            }
            self.out.encode(|out| frame::ping::encode(payload, true, out));
            self.acknowledged();
            return Ok(());
        }
        // Whether it was asked for or not: those that are, are few.
        self.charge_idle_frame(now)?;
        match PingKind::of(payload) {
            Some(PingKind::Probe) => {
                if self.sizer.acknowledged(now) {
                    self.grow_windows();
                }
            }
            Some(PingKind::Drain) => self.finish_announcement(),
            Some(PingKind::Keepalive) | None => {}
        }
        Ok(())
    }

    /// An acknowledgement joined the output: beyond the limit reading stops until they are out.
    pub(super) fn acknowledged(&mut self) {
        self.pending_acks += 1;
        if self.pending_acks == self.config.limits.max_pending_acks.saturating_add(1) {
            self.counters.read_pauses += 1;
        }
    }

    /// The path holds more than our windows. The connection's grows at once; streams that use up
    /// theirs borrow from [`window_loans`](crate::Limits::window_loans) in `release`.
    pub(super) fn grow_windows(&mut self) {
        if self.held_credit.is_some() {
            // When it is let go.
            return;
        }
        let grown = self.receive_window.grow_to(self.sizer.connection());
        if grown > 0 {
            self.out.encode(|out| frame::window_update::encode(0, grown, out));
        }
    }

    pub(super) fn handle_window_update(
        &mut self,
        now: Time,
        id: u32,
        increment: u32,
    ) -> Result<(), Fault> {
        if id == 0 {
            self.charge_window_update(now)?;
            if increment == 0 {
                return Err(Fault::protocol("WINDOW_UPDATE of 0"));
            }
            if !self.send_window.grow(i64::from(increment)) {
                return Err(Fault::Connection(
                    Reason::FLOW_CONTROL_ERROR,
                    "connection window above 2^31-1",
                ));
            }
            return Ok(());
        }
        if self.is_idle(id) {
            return Err(Fault::protocol("WINDOW_UPDATE on an idle stream"));
        }
        let Some(key) = self.streams.find(id) else {
            // A consumer may have sent one for each frame of ours that was under way.
            return match self.take_stray() {
                true => Ok(()),
                false => self.charge_window_update(now),
            };
        };
        if increment == 0 {
            return Err(Fault::Stream(id, Reason::PROTOCOL_ERROR));
        }
        let stream = self.streams.stream_mut(key).expect("just found");
        self.sendable -= stream.sendable();
        let sound = stream.send_window.grow(i64::from(increment));
        self.sendable += stream.sendable();
        if !sound {
            return Err(Fault::Stream(id, Reason::FLOW_CONTROL_ERROR));
        }
        if !stream.queue.is_empty() || stream.waits == Waits::Memory {
            self.credit_came(key);
        }
        self.charge_window_update(now)
    }

    fn charge_window_update(&mut self, now: Time) -> Result<(), Fault> {
        self.counters.window_updates += 1;
        if self.budgets.window_updates.take(now) {
            Ok(())
        } else {
            Err(Fault::calm("too_many_window_updates"))
        }
    }
}
