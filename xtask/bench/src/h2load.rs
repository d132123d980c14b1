//! h2load, the neutral client of servers: how it is called, and whether every answer came.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::loads::{Load, Shape};
use super::subject::{LOAD_CORE, pinned};
use super::tools;
use crate::process;
use crate::report::Progress;
use crate::workspace::Workspace;

/// The program, and a folder for its files.
pub(crate) struct H2load {
    folder: PathBuf,
    pub(crate) version: String,
}

/// What a run showed.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) calls_per_second: f64,
    /// Of each call, in microseconds, where they were asked for.
    pub(crate) times: Vec<f64>,
}

/// What a run does.
#[derive(Clone, Copy)]
pub(crate) struct Run<'a> {
    pub(crate) address: &'a str,
    /// The server's, which its answers show.
    pub(crate) language: &'a str,
    pub(crate) load: &'a Load,
    pub(crate) shape: Shape,
    pub(crate) calls: usize,
    /// Whether each call's time is wanted. Writing them down costs the generator some of its own.
    pub(crate) times: bool,
}

impl H2load {
    /// Finds h2load, or installs Debian's package.
    pub(crate) fn find(workspace: &Workspace, progress: &Progress) -> Result<Self> {
        tools::need(progress, "h2load", "nghttp2-client")?;
        let mut command = Command::new("h2load");
        let version = process::output(command.arg("--version"), "h2load", process::MINUTE)?;
        let folder = workspace.target.join("bench");
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        Ok(Self { folder, version: version.trim().to_owned() })
    }

    /// Makes the calls; an error unless each was answered, and with the right count of bytes.
    pub(crate) fn run(&self, run: Run<'_>) -> Result<Done> {
        let body = self.folder.join("body");
        fs::write(&body, &run.load.body).with_context(|| body.display().to_string())?;
        let log = self.folder.join("h2load.log");
        if log.exists() {
            fs::remove_file(&log)?;
        }
        let mut command = pinned(LOAD_CORE, "h2load");
        command.args(arguments(run, &body.to_string_lossy()));
        if run.times {
            command.arg("--log-file").arg(&log);
        }
        let said = process::output(&mut command, "h2load", LIMIT)?;
        let expected = run.load.answer(run.language);
        let verified = verify(&said, run.calls, expected).and_then(|calls_per_second| {
            ensure!(!run.load.tls || speaks_tls_1_3(&said), "h2load names no TLS 1.3");
            Ok(calls_per_second)
        });
        let calls_per_second =
            verified.with_context(|| format!("{} at {}:\n{said}", run.load.name, run.shape))?;
        let mut done = Done { calls_per_second, times: Vec::new() };
        if run.times {
            let text = fs::read_to_string(&log).with_context(|| log.display().to_string())?;
            done.times = times(&text).context("h2load's log is not as its manual says")?;
            let logged = done.times.len();
            ensure!(logged == run.calls, "h2load's log has {logged} of {} calls", run.calls);
        }
        Ok(done)
    }

    /// The command line of a run, for a reader.
    pub(crate) fn shown(run: Run<'_>) -> String {
        let quoted = |argument: String| {
            if argument.contains(' ') { format!("'{argument}'") } else { argument }
        };
        let arguments = arguments(Run { address: "HOST:PORT", ..run }, "BODY");
        format!("h2load {}", arguments.into_iter().map(quoted).collect::<Vec<_>>().join(" "))
    }
}

fn arguments(run: Run<'_>, body: &str) -> Vec<String> {
    let mut headers = vec!["content-type: application/grpc".to_owned(), "te: trailers".to_owned()];
    headers.extend((0..run.load.metadata).map(|n| format!("x-bench-{n}: value of {n}")));
    let mut arguments = vec!["-t".to_owned(), "1".to_owned()];
    for header in headers {
        arguments.extend(["-H".to_owned(), header]);
    }
    let numbers = [
        ("-c", run.shape.connections.min(run.calls)),
        ("-m", run.shape.streams),
        ("-n", run.calls),
    ];
    for (flag, number) in numbers {
        arguments.extend([flag.to_owned(), number.to_string()]);
    }
    arguments.extend(["-d".to_owned(), body.to_owned()]);
    let scheme = if run.load.tls { "https" } else { "http" };
    arguments.push(format!("{scheme}://{}{}", run.address, run.load.path));
    arguments
}

/// Every call has a 2xx and its share of the bytes; the calls per second.
fn verify(said: &str, calls: usize, answer: usize) -> Result<f64> {
    let good: usize = said
        .lines()
        .find_map(|line| line.strip_prefix("status codes: ")?.split_once(" 2xx"))
        .and_then(|(number, _)| number.parse().ok())
        .context("h2load counts no status codes")?;
    ensure!(good == calls, "{good} of {calls} calls were answered with 2xx");
    let data: usize = said
        .lines()
        .find_map(|line| line.strip_prefix("traffic: ")?.strip_suffix(") data"))
        .and_then(|line| line.rsplit_once('('))
        .and_then(|(_, number)| number.parse().ok())
        .context("h2load counts no bytes")?;
    if data != calls * answer {
        bail!("{calls} calls brought {data} bytes, {} were expected", calls * answer);
    }
    said.lines()
        .find_map(|line| {
            line.strip_prefix("finished in ")?.split(", ").nth(1)?.strip_suffix(" req/s")
        })
        .and_then(|number| number.parse().ok())
        .context("h2load says no calls per second")
}

fn speaks_tls_1_3(said: &str) -> bool {
    said.lines().any(|line| line == "TLS Protocol: TLSv1.3")
}

/// The third of three columns: when, status, microseconds.
fn times(log: &str) -> Option<Vec<f64>> {
    log.lines().map(|line| line.split('\t').nth(2)?.parse().ok()).collect()
}

/// A run takes seconds.
const LIMIT: Duration = Duration::from_secs(3 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "finished in 2.57ms, 38895.37 req/s, 3.48MB/s\n\
        requests: 100 total, 100 started, 100 done, 100 succeeded\n\
        status codes: 100 2xx, 0 3xx, 0 4xx, 0 5xx\n\
        traffic: 8.97MB (9401180) total, 293.54KB (300580) headers (space savings 95.77%), \
        6.01MB (6300) data\n";

    #[test]
    fn every_answer_counts() {
        assert_eq!(verify(SAID, 100, 63).expect("100 answers of 63 bytes"), 38895.37);
        verify(SAID, 101, 63).expect_err("one is missing");
        verify(&SAID.replace("(6300)", "(6237)"), 100, 63).expect_err("one is empty");
    }

    #[test]
    fn the_version_of_tls() {
        assert!(!speaks_tls_1_3(SAID));
        assert!(speaks_tls_1_3(&format!("TLS Protocol: TLSv1.3\n{SAID}")));
    }

    #[test]
    fn the_log() {
        assert_eq!(times("1795350044610096\t200\t860\n17\t200\t9\n"), Some(vec![860.0, 9.0]));
        assert_eq!(times("17\t200\n"), None);
    }

    #[test]
    fn the_command() {
        let (load, shape) = (Load::small(), Shape::new(100, 1));
        let run =
            Run { address: "h:1", language: "go", load: &load, shape, calls: 7, times: false };
        assert_eq!(
            H2load::shown(run),
            "h2load -t 1 -H 'content-type: application/grpc' -H 'te: trailers' -c 7 -m 1 -n 7 \
             -d BODY http://HOST:PORT/example.TestService/method"
        );
    }
}
