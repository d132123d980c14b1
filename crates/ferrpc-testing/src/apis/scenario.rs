//! A behaviour as data: what the peer does, what the client does, and what comes of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use super::place::{Place, Transport};
use super::script::Script;

/// One behaviour, which all APIs have.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Its name, unique in all files.
    pub name: String,
    /// The rule that it comes from, for who reads the table.
    #[serde(default)]
    pub why: String,
    /// The kinds of call that it is run with, each by itself.
    #[serde(default = "all_kinds")]
    pub kinds: Vec<Kind>,
    /// Over which transports.
    #[serde(default = "all_transports")]
    pub transports: Vec<Transport>,
    /// The APIs that it runs at; by default all.
    #[serde(default)]
    pub apis: Vec<String>,
    /// Where the target leads to; by default to the peer alone.
    #[serde(default = "the_peer")]
    pub addresses: Vec<Place>,
    /// How the channel is made.
    #[serde(default)]
    pub channel: Settings,
    /// What the peer does on each connection, in order. There must be no other connection.
    pub peer: Vec<Script>,
    /// The peer speaks as over this transport, and not as the client does.
    #[serde(default)]
    pub peer_speaks: Option<Transport>,
    /// What the client does; by default one call, which ends as `end` says.
    #[serde(default)]
    pub client: Vec<Step>,
    /// The end of that one call.
    #[serde(default)]
    pub end: Option<End>,
    /// The codes of the RST_STREAM that the peer sees, in order.
    #[serde(default)]
    pub resets: Vec<String>,
    /// These are not compared: whether they arrive depends on who is faster.
    #[serde(default)]
    pub any_resets: bool,
    /// Requests that the peer sees; by default not compared.
    #[serde(default)]
    pub requests: Option<usize>,
    /// Requests that the peer sees at least on each connection.
    #[serde(default)]
    pub each: usize,
    /// Bytes of requests that the peer sees, the five before each message included.
    #[serde(default)]
    pub received: Option<usize>,
    /// How often the calls' credentials are asked.
    #[serde(default)]
    pub asked: Option<usize>,
    /// Connections that the peer sees, where these are not one for each script.
    #[serde(default)]
    pub connections: Option<usize>,
    /// The states that a watcher of the channel is told, in order.
    #[serde(default)]
    pub states: Vec<String>,
    /// APIs that are known to do something else, and what. The scenario must fail there.
    #[serde(default)]
    pub failing: BTreeMap<String, String>,
    /// Why it cannot be compared with grpcio.
    #[serde(default)]
    pub ferrpc_only: String,
}

/// One of the four kinds of call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// One request, one response.
    Unary,
    /// One request, many responses.
    ServerStreaming,
    /// Many requests, one response.
    ClientStreaming,
    /// Many of both.
    Bidirectional,
}

/// How a channel is made. What is not said is each API's default, but for short pauses.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Seconds before the second attempt to connect, without jitter.
    #[serde(default)]
    pub backoff: Option<f64>,
    /// The largest response, in bytes.
    #[serde(default)]
    pub max_receive: Option<usize>,
    /// The largest request, in bytes.
    #[serde(default)]
    pub max_send: Option<usize>,
    /// The policy of balancing by its name, for instance `round_robin`.
    #[serde(default)]
    pub balancing: Option<String>,
    /// Seconds between keepalive pings, and to wait for their answers.
    #[serde(default)]
    pub keepalive: Option<f64>,
    /// A service config, as JSON.
    #[serde(default)]
    pub service_config: Option<String>,
    /// Whether its retry policies act; by default they do.
    #[serde(default)]
    pub retries: Option<bool>,
    /// Bytes of requests that a call keeps for another attempt.
    #[serde(default)]
    pub retry_buffer: Option<usize>,
}

/// Something that the client does, or waits for: one of these.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Begins a call of this name.
    #[serde(default)]
    pub call: Option<String>,
    /// Makes so many calls, `at_once` of them at a time, which end as `as` says.
    #[serde(default)]
    pub calls: Option<usize>,
    /// How many of them run at the same time.
    #[serde(default)]
    pub at_once: usize,
    /// How it is made.
    #[serde(default)]
    pub with: Call,
    /// Waits for the end of a call.
    #[serde(default)]
    pub ends: Option<String>,
    /// What that is.
    #[serde(default, rename = "as")]
    pub end: End,
    /// Cancels a call.
    #[serde(default)]
    pub cancel: Option<String>,
    /// Waits until the peer comes to `meet NAME`.
    #[serde(default)]
    pub meet: Option<String>,
    /// Lets the peer go on from there.
    #[serde(default)]
    pub release: Option<String>,
    /// The peer's address begins to listen, or ends it.
    #[serde(default)]
    pub listen: Option<bool>,
    /// Asks the channel to connect.
    #[serde(default)]
    pub connect: bool,
    /// Waits until the channel is in this state.
    #[serde(default)]
    pub state: Option<String>,
    /// Closes the channel.
    #[serde(default)]
    pub close: bool,
    /// Drops the channel, without closing it. Nothing can be done with it behind that.
    #[serde(default)]
    pub leave: bool,
}

/// How a call is made.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Call {
    /// Its deadline, in seconds.
    pub timeout: Option<f64>,
    /// Whether it waits for a connection (wait-for-ready).
    pub wait: bool,
    /// Requests, where there may be several.
    pub count: usize,
    /// Bytes of each.
    pub size: usize,
    /// Requests of these sizes, and how many of each, in place of `count` and `size`.
    pub list: Vec<(usize, usize)>,
    /// How responses are read.
    pub pace: Pace,
    /// It has credentials of its own, which add nothing.
    pub credentials: bool,
    /// The stream of requests does not end by itself.
    pub open: bool,
    /// So many responses are read; then the stream is dropped, which cancels the call.
    pub take: Option<usize>,
}

/// How responses are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pace {
    /// As fast as they come.
    #[default]
    Fast,
    /// With a millisecond behind each of the first.
    Slow,
    /// Ten at a time, and a pause.
    Bursts,
    /// With one longer pause behind the third.
    Pause,
}

impl Pace {
    /// How long the reader waits behind so many responses.
    pub const fn wait(self, read: usize) -> Option<Duration> {
        match self {
            Self::Slow if read <= 50 => Some(Duration::from_millis(1)),
            Self::Bursts if read <= 200 && read.is_multiple_of(10) => {
                Some(Duration::from_millis(5))
            }
            Self::Pause if read == 3 => Some(Duration::from_millis(300)),
            _ => None,
        }
    }
}

/// How a call ends.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct End {
    /// The status code's name.
    pub code: String,
    /// The status's text in Rust. `{address}` stands for the peer's address, `{0}` and so on for each
    /// of several.
    pub details: Option<String>,
    /// The same in Python, where it is in grpcio's words. `{peer}` is the address in gRPC's notation.
    pub python: Option<String>,
    /// The responses that were read before, of kinds that stream them.
    pub messages: Option<usize>,
    /// Bytes of the responses that were read.
    pub bytes: Option<usize>,
}

impl Default for Call {
    fn default() -> Self {
        Self {
            timeout: Some(20.0),
            wait: false,
            count: 1,
            size: 5,
            list: Vec::new(),
            pace: Pace::Fast,
            credentials: false,
            open: false,
            take: None,
        }
    }
}

impl Default for End {
    fn default() -> Self {
        Self { code: "OK".to_owned(), details: None, python: None, messages: None, bytes: None }
    }
}

impl Call {
    /// Sizes of the requests, and how many of each.
    pub fn sizes(&self) -> Vec<(usize, usize)> {
        if self.list.is_empty() { vec![(self.size, self.count)] } else { self.list.clone() }
    }
}

impl Scenario {
    /// What the client does, the default filled in.
    pub fn steps(&self) -> Vec<Step> {
        if !self.client.is_empty() {
            return self.client.clone();
        }
        let name = Some("a".to_owned());
        let end = self.end.clone().unwrap_or_default();
        vec![
            Step { call: name.clone(), ..Step::default() },
            Step { ends: name, end, ..Step::default() },
        ]
    }

    /// Whether it runs at an API.
    pub fn is_for(&self, api: &str) -> bool {
        self.apis.is_empty() || self.apis.iter().any(|name| name == api)
    }
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::Unary, Self::ServerStreaming, Self::ClientStreaming, Self::Bidirectional];

    /// Whether responses come as a stream.
    pub const fn streams_responses(self) -> bool {
        matches!(self, Self::ServerStreaming | Self::Bidirectional)
    }
}

/// All scenarios of a folder, with the names of their files.
///
/// # Panics
/// If a file is not one of scenarios, or a name stands there twice.
pub fn load(folder: &Path) -> Vec<(String, Scenario)> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        scenario: Vec<Scenario>,
    }
    let mut paths: Vec<_> = fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("it can be listed").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    paths.sort();
    let mut all: Vec<(String, Scenario)> = Vec::new();
    for path in paths {
        let text = fs::read_to_string(&path).expect("it can be read");
        let file: File =
            toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let stem = path.file_stem().expect("a file").to_string_lossy().into_owned();
        for scenario in file.scenario {
            let twice = all.iter().any(|(_, other)| other.name == scenario.name);
            assert!(!twice, "{}: {} stands there twice", path.display(), scenario.name);
            all.push((stem.clone(), scenario));
        }
    }
    all
}

fn all_kinds() -> Vec<Kind> {
    Kind::ALL.to_vec()
}

fn all_transports() -> Vec<Transport> {
    Transport::ALL.to_vec()
}

fn the_peer() -> Vec<Place> {
    vec![Place::Peer]
}
