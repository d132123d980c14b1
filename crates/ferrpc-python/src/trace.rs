//! What happens, in lines on stderr: where the environment asks for them, as grpcio's users do.
//!
//! | variable | value | lines |
//! |---|---|---|
//! | `GRPC_VERBOSITY` | `debug`, `info`, `error` | of that level and graver; without the other variable, all but calls |
//! | | `none`, or not set | none |
//! | `GRPC_TRACE` | names, separated by commas | of these groups ([`GROUPS`]); debugging, unless `GRPC_VERBOSITY` says otherwise |
//! | | `all`; `-name` | of all groups; not of that one |
//!
//! Without the variables nothing is installed, and an event costs a look at one number.

use std::env;
use std::io::{self, Write};
use std::sync::Arc;

use ferrpc::{client, server};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt, registry};

/// The groups of lines: the names that grpcio has for them, and the targets of their events.
const GROUPS: [(&[&str], &[&str]); 4] = [
    (
        &[
            "connectivity",
            "connectivity_state",
            "subchannel",
            "client_channel",
            "channel",
            "pick_first",
            "round_robin",
            "transport",
            "tcp",
            "http",
        ],
        &["ferrpc::connectivity"],
    ),
    (
        &["names", "resolver", "client_channel_resolver", "dns_resolver", "cares_resolver"],
        &["ferrpc::names"],
    ),
    (
        &["tls", "tsi", "handshaker", "secure_endpoint", "ssl"],
        &["ferrpc::tls", "ferrpc::credentials", "ferrpc::server::handshakes"],
    ),
    (&["calls", "api", "call", "call_error", "channel_stack", "server"], &[CALLS]),
];

const CALLS: &str = "ferrpc::calls";

/// Installs what the environment asks for.
pub(crate) fn install() {
    let variable = |name| env::var(name).unwrap_or_default();
    let (verbosity, tracers) = (variable("GRPC_VERBOSITY"), variable("GRPC_TRACE"));
    let Some(targets) = targets(&verbosity, &tracers) else { return };
    let lines = fmt::layer().with_ansi(false).with_writer(|| Stderr).with_filter(targets);
    // Fails where there is one already; there is nobody else in this module.
    let _ = registry().with(lines).try_init();
}

/// What is shown; `None` is nothing.
fn targets(verbosity: &str, tracers: &str) -> Option<Targets> {
    let level = match verbosity.to_ascii_lowercase().as_str() {
        "debug" => LevelFilter::DEBUG,
        "info" => LevelFilter::INFO,
        "error" => LevelFilter::ERROR,
        "" if !tracers.is_empty() => LevelFilter::DEBUG,
        _ => return None,
    };
    let mut targets = Targets::new().with_target("ferrpc", level);
    for (names, of_group) in GROUPS {
        let mut shown = tracers.is_empty() && !of_group.contains(&CALLS);
        for tracer in tracers.split(',').map(str::trim) {
            match tracer.strip_prefix('-') {
                Some(tracer) => shown &= tracer != "all" && !names.contains(&tracer),
                None => shown |= tracer == "all" || names.contains(&tracer),
            }
        }
        for target in of_group {
            targets = targets.with_target(*target, if shown { level } else { LevelFilter::WARN });
        }
    }
    Some(targets)
}

/// A line is one write, with no lock that a fork could leave behind.
struct Stderr;

impl Write for Stderr {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        Ok(rustix::io::write(rustix::stdio::stderr(), line)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Shows the calls of channels and servers.
struct Calls;

fn shows_calls() -> bool {
    tracing::enabled!(target: CALLS, tracing::Level::DEBUG)
}

/// For a channel, if its calls are shown.
pub(crate) fn of_client() -> Option<Arc<dyn client::Observer>> {
    shows_calls().then(|| Arc::new(Calls) as _)
}

/// For a server, if its calls are shown.
pub(crate) fn of_server() -> Option<Arc<dyn server::Observer>> {
    shows_calls().then(|| Arc::new(Calls) as _)
}

impl client::Observer for Calls {
    fn call_started(&self, method: &str) {
        tracing::debug!(target: CALLS, method, "call begins");
    }

    fn call_ended(&self, call: &client::CallEnded<'_>) {
        tracing::debug!(
            target: CALLS, method = call.method, code = ?call.code, duration = ?call.duration,
            "call ended"
        );
    }
}

impl server::Observer for Calls {
    fn call_started(&self, method: &str) {
        tracing::debug!(target: CALLS, method, "call came");
    }

    fn call_ended(&self, call: &server::CallEnded<'_>) {
        tracing::debug!(
            target: CALLS, method = call.method, code = ?call.code, duration = ?call.duration,
            "call was answered"
        );
    }
}
