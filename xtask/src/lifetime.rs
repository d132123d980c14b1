//! `cargo xtask interop --keepalive`: connections that are kept by pings, and that end by age, with
//! grpcio on the other side; neither may call the other abusive, and no call may notice.

use std::time::Duration;

use anyhow::Result;

use crate::peers;
use crate::process::{self, Server};
use crate::report::{Progress, Tally};
use crate::workspace::Workspace;

/// Runs all pairs; each is one check.
pub(crate) fn run(workspace: &Workspace, progress: &Progress) -> Result<Tally> {
    let (parties, skipped) = peers::prepare(workspace, progress, &["grpcio"])?;
    peers::announce(&skipped, true)?;
    let ferrpc = peers::interop_peer(workspace, progress)?;
    let mut tally = Tally::default();
    for (client, server) in [(&ferrpc, &parties[0]), (&parties[0], &ferrpc), (&ferrpc, &ferrpc)] {
        for (what, flags) in [("keepalive", KEEPALIVE), ("age", AGE), ("abuse", ABUSE)] {
            let name = format!("{what}: the client of {} on {}", client.name, server.name);
            progress.say(&name);
            let mut command = server.server();
            command.args(flags.server);
            let running = Server::start(&mut command, server.name)?;
            let mut command = client.client(running.address());
            command.args(flags.client);
            let finished = process::finish(&mut command, client.name, LIMIT)?;
            let held = finished.stdout.lines().any(|line| line.starts_with("ok hold"))
                && finished.status.is_some_and(|status| status.success());
            let good = held == flags.holds;
            tally.count(good);
            println!("{} {name}: {}", if good { "ok" } else { "FAIL" }, finished.stdout.trim());
            if !good {
                println!("{}", finished.account());
            }
        }
    }
    Ok(tally)
}

/// What the two ends of a check are told.
struct Flags {
    server: &'static [&'static str],
    client: &'static [&'static str],
    /// Whether the connection lives to the end.
    holds: bool,
}

/// Pings as often as the server allows, for two minutes with a silent stream and without one: were
/// one of them a strike, the third would end the connection.
const KEEPALIVE: Flags = Flags {
    server: &["--keepalive", "10"],
    client: &["--keepalive", "10", "--hold", "50"],
    holds: true,
};

/// Calls in a row over connections of three seconds.
const AGE: Flags = Flags { server: &["--max-age", "3"], client: &["--hold", "20"], holds: true };

/// The same pings to a server that allows them every five minutes: shows that there are pings, and
/// that both count them alike.
const ABUSE: Flags =
    Flags { server: &[], client: &["--keepalive", "10", "--hold", "45"], holds: false };

const LIMIT: Duration = Duration::from_secs(300);
