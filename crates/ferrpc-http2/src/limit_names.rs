//! Limits by their names, for settings that come as text.

use std::time::Duration;

use crate::{Budget, Limits};

/// The place of one limit.
enum Place<'a> {
    Count(&'a mut u32),
    Optional(&'a mut Option<u32>),
    Size(&'a mut usize),
    Time(&'a mut Duration),
    Flag(&'a mut bool),
}

impl Limits {
    /// What [`set`](Self::set) takes: the names of the fields. Times end with `_ms`, and a budget
    /// has two: its own for the burst, and one with `_per_second`.
    pub const NAMES: [&str; 39] = [
        "early_resets",
        "early_resets_per_second",
        "empty_frames",
        "empty_frames_per_second",
        "handshake_timeout_ms",
        "idle_frames",
        "idle_frames_per_second",
        "induced_resets",
        "induced_resets_per_second",
        "max_concurrent_streams",
        "max_continuations",
        "max_header_block",
        "max_header_fields",
        "max_header_list_size",
        "max_held_headers",
        "max_informational",
        "max_pending_acks",
        "max_settings_entries",
        "pings_max_strikes",
        "pings_min_interval_ms",
        "pings_without_streams",
        "refused_streams",
        "refused_streams_per_second",
        "send_buffer",
        "send_buffer_per_stream",
        "send_memory",
        "settings",
        "settings_per_second",
        "settings_timeout_ms",
        "small_frames",
        "small_frames_per_second",
        "soft_header_list_size",
        "starts",
        "starts_per_second",
        "stream_stall_ms",
        "window_loans",
        "window_updates",
        "window_updates_per_second",
        "write_stall_ms",
    ];

    /// Sets the limit of this name, in bytes, things or milliseconds; what is more than the limit
    /// can be is as much as it can be. False if no limit has the name.
    pub fn set(&mut self, name: &str, value: u64) -> bool {
        let count = u32::try_from(value).unwrap_or(u32::MAX);
        match self.place(name) {
            None => return false,
            Some(Place::Count(place)) => *place = count,
            Some(Place::Optional(place)) => *place = Some(count),
            Some(Place::Size(place)) => *place = usize::try_from(value).unwrap_or(usize::MAX),
            Some(Place::Time(place)) => *place = Duration::from_millis(value),
            Some(Place::Flag(place)) => *place = value != 0,
        }
        true
    }

    fn place(&mut self, name: &str) -> Option<Place<'_>> {
        let (base, is_rate) = match name.strip_suffix("_per_second") {
            Some(base) => (base, true),
            None => (name, false),
        };
        Some(match name {
            _ if self.budget(base).is_some() => {
                let budget = self.budget(base)?;
                Place::Count(if is_rate { &mut budget.per_second } else { &mut budget.burst })
            }
            "handshake_timeout_ms" => Place::Time(&mut self.handshake_timeout),
            "max_concurrent_streams" => Place::Count(&mut self.max_concurrent_streams),
            "max_continuations" => Place::Count(&mut self.max_continuations),
            "max_header_block" => Place::Count(&mut self.max_header_block),
            "max_header_fields" => Place::Count(&mut self.max_header_fields),
            "max_header_list_size" => Place::Count(&mut self.max_header_list_size),
            "max_held_headers" => Place::Size(&mut self.max_held_headers),
            "max_informational" => Place::Count(&mut self.max_informational),
            "max_pending_acks" => Place::Count(&mut self.max_pending_acks),
            "max_settings_entries" => Place::Count(&mut self.max_settings_entries),
            "pings_max_strikes" => Place::Count(&mut self.pings.max_strikes),
            "pings_min_interval_ms" => Place::Time(&mut self.pings.min_interval),
            "pings_without_streams" => Place::Flag(&mut self.pings.without_streams),
            "send_buffer" => Place::Size(&mut self.send_buffer),
            "send_buffer_per_stream" => Place::Size(&mut self.send_buffer_per_stream),
            "send_memory" => Place::Size(&mut self.send_memory),
            "settings_timeout_ms" => Place::Time(&mut self.settings_timeout),
            "soft_header_list_size" => Place::Optional(&mut self.soft_header_list_size),
            "stream_stall_ms" => Place::Time(&mut self.stream_stall),
            "window_loans" => Place::Count(&mut self.window_loans),
            "write_stall_ms" => Place::Time(&mut self.write_stall),
            _ => return None,
        })
    }

    fn budget(&mut self, name: &str) -> Option<&mut Budget> {
        Some(match name {
            "early_resets" => &mut self.early_resets,
            "empty_frames" => &mut self.empty_frames,
            "idle_frames" => &mut self.idle_frames,
            "induced_resets" => &mut self.induced_resets,
            "refused_streams" => &mut self.refused_streams,
            "settings" => &mut self.settings,
            "small_frames" => &mut self.small_frames,
            "starts" => &mut self.starts,
            "window_updates" => &mut self.window_updates,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PingPolicy;

    /// Each field has its names, and each name sets its field and no other.
    #[test]
    fn every_limit_has_a_name() {
        let budget = Budget { burst: 7, per_second: 7 };
        let time = Duration::from_millis(7);
        // With all fields: one that is new does not compile here until it has a name.
        let all = Limits {
            max_concurrent_streams: 7,
            max_header_list_size: 7,
            soft_header_list_size: Some(7),
            max_header_fields: 7,
            max_header_block: 7,
            max_continuations: 7,
            max_held_headers: 7,
            early_resets: budget,
            starts: budget,
            induced_resets: budget,
            empty_frames: budget,
            idle_frames: budget,
            small_frames: budget,
            window_updates: budget,
            refused_streams: budget,
            settings: budget,
            max_settings_entries: 7,
            max_pending_acks: 7,
            pings: PingPolicy { min_interval: time, without_streams: true, max_strikes: 7 },
            send_buffer_per_stream: 7,
            send_buffer: 7,
            send_memory: 7,
            window_loans: 7,
            handshake_timeout: time,
            settings_timeout: time,
            stream_stall: time,
            write_stall: time,
            max_informational: 7,
        };
        let mut limits = Limits::default();
        for name in Limits::NAMES {
            let before = limits.clone();
            assert!(limits.set(name, 7));
            assert_ne!(limits, before, "{name} changes nothing, or is there twice");
        }
        assert_eq!(limits, all);
        assert!(!limits.set("max_handlers", 7) && !limits.set("pings", 7));
        assert!(limits.set("window_loans", u64::MAX) && limits.window_loans == u32::MAX);
    }

    /// What a user can set is described.
    #[test]
    fn every_limit_is_in_the_documentation() {
        let text = include_str!("../../../docs/limits.md");
        for name in Limits::NAMES {
            let base = name.strip_suffix("_per_second").unwrap_or(name);
            let base = base.strip_suffix("_ms").unwrap_or(base);
            let field = base.strip_prefix("pings_").map_or(base, |_| "pings");
            assert!(text.contains(&format!("`{field}`")), "{name}");
        }
    }

    /// What the documentation says of defaults is so.
    #[test]
    fn the_defaults_are_those_of_the_documentation() {
        let text = include_str!("../../../docs/limits.md");
        let Limits {
            max_concurrent_streams,
            max_header_list_size,
            soft_header_list_size,
            max_header_fields,
            max_header_block,
            max_continuations,
            max_held_headers,
            early_resets,
            starts,
            induced_resets,
            empty_frames,
            idle_frames,
            small_frames,
            window_updates,
            refused_streams,
            settings,
            max_settings_entries,
            max_pending_acks,
            pings,
            send_buffer_per_stream,
            send_buffer,
            send_memory,
            window_loans,
            handshake_timeout,
            settings_timeout,
            stream_stall,
            write_stall,
            max_informational,
        } = Limits::default();
        let count = |count: u32| match count {
            u32::MAX => "none".to_owned(),
            0..10_000 => count.to_string(),
            _ => format!("{},{:03}", count / 1000, count % 1000),
        };
        let budget = |of: Budget| format!("{}, then {} a second", count(of.burst), of.per_second);
        let size = |bytes: usize| match bytes >> 20 {
            0 => format!("{} KiB", bytes >> 10),
            mebibytes => format!("{mebibytes} MiB"),
        };
        let time = |time: Duration| format!("{} s", time.as_secs());
        let minutes = pings.min_interval.as_secs() / 60;
        let said = [
            ("max_concurrent_streams", count(max_concurrent_streams)),
            ("max_header_list_size", size(max_header_list_size as usize)),
            ("soft_header_list_size", count(soft_header_list_size.unwrap_or(u32::MAX))),
            ("max_header_fields", count(max_header_fields)),
            ("max_header_block", size(max_header_block as usize)),
            ("max_continuations", count(max_continuations)),
            ("max_held_headers", size(max_held_headers)),
            ("early_resets", budget(early_resets)),
            ("starts", budget(starts)),
            ("induced_resets", budget(induced_resets)),
            ("empty_frames", budget(empty_frames)),
            ("idle_frames", budget(idle_frames)),
            ("small_frames", budget(small_frames)),
            ("window_updates", budget(window_updates)),
            ("refused_streams", budget(refused_streams)),
            ("settings", budget(settings)),
            ("max_settings_entries", count(max_settings_entries)),
            ("max_pending_acks", count(max_pending_acks)),
            ("pings", format!("{minutes} minutes apart, {} strikes", pings.max_strikes)),
            ("send_buffer_per_stream", size(send_buffer_per_stream)),
            ("send_buffer", size(send_buffer)),
            ("send_memory", size(send_memory)),
            ("window_loans", size(window_loans as usize)),
            ("handshake_timeout", time(handshake_timeout)),
            ("settings_timeout", time(settings_timeout)),
            ("stream_stall", time(stream_stall)),
            ("write_stall", time(write_stall)),
            ("max_informational", count(max_informational)),
        ];
        for (name, default) in said {
            assert!(text.contains(&format!("`{name}` ({default}")), "{name}: {default}");
        }
    }
}
