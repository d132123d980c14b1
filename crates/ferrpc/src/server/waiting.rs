//! How long a thread has waited for a core.

use std::time::Duration;

/// How long this thread was ready to run and had no core, since it began; `None` where the system
/// does not tell. Costs a system call.
#[cfg(target_os = "linux")]
pub(crate) fn for_a_core() -> Option<Duration> {
    use std::fs::File;
    use std::os::unix::fs::FileExt;

    thread_local! {
        /// Stays that of the thread which opened it.
        static STATISTICS: Option<File> = File::open("/proc/thread-self/schedstat").ok();
    }

    let mut buffer = [0; 96];
    let count = STATISTICS
        .try_with(|file| file.as_ref().and_then(|file| file.read_at(&mut buffer, 0).ok()))
        .ok()??;
    nanoseconds_waited(std::str::from_utf8(&buffer[..count]).ok()?)
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn for_a_core() -> Option<Duration> {
    None
}

/// Reads "time on a core, time waiting for one, number of turns".
#[cfg(target_os = "linux")]
fn nanoseconds_waited(statistics: &str) -> Option<Duration> {
    let waited = statistics.split_ascii_whitespace().nth(1)?;
    waited.parse().ok().map(Duration::from_nanos)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_kernel_writes() {
        assert_eq!(nanoseconds_waited("5 1700 3\n"), Some(Duration::from_nanos(1700)));
        assert_eq!(nanoseconds_waited(""), None);
        let before = for_a_core();
        assert!(for_a_core() >= before);
    }
}
