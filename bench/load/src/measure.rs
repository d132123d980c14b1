//! What was measured, and how it is printed.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::{Mode, Options};

pub(crate) struct Measured {
    pub(crate) seconds: Duration,
    /// User and system time of all threads.
    pub(crate) cpu: Duration,
    /// Of each call, in nanoseconds.
    pub(crate) times: Vec<u64>,
}

/// User and system time of the process so far, of all its threads.
pub(crate) fn cpu_time() -> Duration {
    clock_gettime(ClockId::ProcessCPUTime).try_into().unwrap_or_default()
}

impl Measured {
    /// One line, numbers only.
    pub(crate) fn json(mut self, options: &Options) -> String {
        self.times.sort_unstable();
        let calls = self.times.len();
        let messages = match options.mode {
            Mode::Unary => calls,
            Mode::ServerStream | Mode::Bidi => calls * options.messages,
        };
        let seconds = self.seconds.as_secs_f64();
        let cpu = self.cpu.as_secs_f64() * 1e6;
        let at = |share: f64| {
            let index = (calls as f64 * share) as usize;
            self.times.get(index.min(calls.saturating_sub(1))).map_or(0.0, |ns| *ns as f64 / 1e3)
        };
        let fields = [
            ("calls", calls as f64, 0),
            ("seconds", seconds, 4),
            ("calls_per_s", calls as f64 / seconds, 1),
            ("cpu_us_per_call", cpu / calls as f64, 3),
            ("p50_us", at(0.5), 1),
            ("p99_us", at(0.99), 1),
            ("messages_per_s", messages as f64 / seconds, 1),
            ("cpu_us_per_message", cpu / messages as f64, 4),
            // Of payload, each way: an echo counts once.
            ("mb_per_s", (messages * options.payload) as f64 / seconds / 1e6, 2),
        ];
        let fields =
            fields.map(|(name, value, digits)| format!("\"{name}\": {value:.digits$}")).join(", ");
        format!("{{{fields}}}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line() {
        let options = ["--connect", "h:1", "--payload", "1000000"].map(str::to_owned);
        let options = Options::parse(options.into_iter()).expect("they are right");
        let measured = Measured {
            seconds: Duration::from_secs(2),
            cpu: Duration::from_millis(1),
            times: vec![3000, 1000, 2000, 4000],
        };
        assert_eq!(
            measured.json(&options),
            "{\"calls\": 4, \"seconds\": 2.0000, \"calls_per_s\": 2.0, \
             \"cpu_us_per_call\": 250.000, \"p50_us\": 3.0, \"p99_us\": 4.0, \
             \"messages_per_s\": 2.0, \"cpu_us_per_message\": 250.0000, \"mb_per_s\": 2.00}"
        );
    }
}
