//! The parties that talk to each other: the real peers of `interop/` and ferrpc's own programs.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::report::Progress;
use crate::workspace::Workspace;
use crate::{process, python};

/// The peers that speak TLS.
pub const TLS_PEERS: [&str; 6] =
    [FERRPC, PYTHON_PEER, "grpcio", "grpcio-aio", "grpc-java", "grpc-go"];

/// ferrpc's ends in Rust, and in Python.
pub const FERRPC: &str = "ferrpc";
pub const PYTHON_PEER: &str = "ferrpc-python";

/// A server and a client with the command lines of `interop/README.md`, built and ready.
#[derive(Clone)]
pub struct Party {
    pub name: &'static str,
    /// The language that it signs its answers with: `py`, `java`, `rust`, `go`, `node`.
    pub language: &'static str,
    server: Vec<OsString>,
    client: Vec<OsString>,
}

/// What both ends of a connection are told about TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    /// The server has a certificate.
    Server,
    /// So have its clients, and it requires that.
    Mutual,
}

impl Party {
    /// The same over TLS, with the certificates in a folder.
    pub fn over_tls(&self, tls: Tls, folder: &Path) -> Self {
        let flag = |flag: &str, file: &str| [flag.into(), folder.join(file).into_os_string()];
        let identity = |name: &str| {
            let certificate = flag("--tls-cert", &format!("{name}.pem"));
            certificate.into_iter().chain(flag("--tls-key", &format!("{name}.key")))
        };
        let mut party = self.clone();
        party.server.extend(identity("server"));
        party.client.extend(flag("--tls-ca", "ca.pem"));
        if tls == Tls::Mutual {
            party.server.extend(flag("--tls-ca", "ca.pem"));
            party.client.extend(identity("client"));
        }
        party
    }

    /// Makes the certificates for that; ferrpc's own peer can.
    pub fn make_certificates(&self, folder: &Path) -> Result<()> {
        std::fs::create_dir_all(folder)?;
        let mut command = Command::new(&self.server[0]);
        command.arg("certificates").arg(folder);
        process::output(&mut command, "making certificates", process::MINUTE)?;
        Ok(())
    }

    /// The same, whose server with roots takes callers without a certificate, too: ferrpc's own.
    pub fn taking_all(mut self) -> Self {
        self.server.push("--tls-optional".into());
        self
    }

    /// The command that serves on a free port.
    pub fn server(&self) -> Command {
        let mut command = command(&self.server);
        command.args(["--listen", "127.0.0.1:0"]);
        command
    }

    /// The command that calls a hostile server and an honest one: a program beside the client.
    pub fn victim(&self, hostile: &str, honest: &str) -> Command {
        let mut line = self.client.clone();
        if let Some(program) = line.iter_mut().rev().find(|word| is_client(word)) {
            let path = Path::new(&*program).with_file_name("victim.py");
            *program = if path.has_root() { path.into() } else { "victim".into() };
        }
        let mut command = command(&line);
        command.args(["--hostile", hostile, "--honest", honest]);
        command
    }

    /// The command that asks the server at an address.
    pub fn client(&self, address: &str) -> Command {
        let mut command = command(&self.client);
        command.args(["--connect", address]);
        command
    }
}

/// A peer that is not there, and why.
pub struct Skipped {
    pub name: &'static str,
    pub reason: String,
}

/// Who can be asked for: what the peer is called, and what it takes to build it.
pub struct Peer {
    pub name: &'static str,
    folder: &'static str,
    language: &'static str,
    /// Goes between `server` or `client` and the rest.
    flag: Option<&'static str>,
    /// Commands that succeed where the toolchain is there, and what to call it.
    needs: &'static [(&'static str, &'static [&'static str])],
}

/// Every peer of `interop/`.
pub const PEERS: &[Peer] = &[
    Peer { name: "grpcio", folder: "grpcio", language: "py", flag: None, needs: PYTHON },
    Peer {
        name: "grpcio-aio",
        folder: "grpcio",
        language: "py",
        flag: Some("--aio"),
        needs: PYTHON,
    },
    Peer {
        name: "grpc-java",
        folder: "grpc-java",
        language: "java",
        flag: None,
        needs: &[("a JDK", &["java", "-version"]), ("Maven", &["mvn", "--version"])],
    },
    Peer {
        name: "grpc-go",
        folder: "grpc-go",
        language: "go",
        flag: None,
        needs: &[("Go", &["go", "version"])],
    },
    Peer {
        name: "grpc-js",
        folder: "grpc-js",
        language: "node",
        flag: None,
        needs: &[("Node", &["node", "--version"]), ("npm", &["npm", "--version"])],
    },
    Peer { name: "tonic", folder: "tonic", language: "rust", flag: None, needs: &[] },
];

/// What the demo adds to ferrpc's Rust: a peer for each other language.
pub const LANGUAGES: [&str; 4] = ["grpcio", "grpc-java", "grpc-go", "grpc-js"];

const PYTHON: &[(&str, &[&str])] = &[
    ("Python", &["python3", "--version"]),
    ("Python's venv module", &["python3", "-c", "import venv, ensurepip"]),
];

/// Builds the peers of these names, one after the other. One whose toolchain is missing is
/// skipped; that and a build that fails are told apart.
pub fn prepare(
    workspace: &Workspace,
    progress: &Progress,
    names: &[&str],
) -> Result<(Vec<Party>, Vec<Skipped>)> {
    if let Some(unknown) = names.iter().find(|name| !PEERS.iter().any(|peer| peer.name == **name)) {
        let known: Vec<_> = PEERS.iter().map(|peer| peer.name).collect();
        bail!("no peer is called {unknown}; there are {}", known.join(", "));
    }
    let mut parties = Vec::new();
    let mut skipped = Vec::new();
    for peer in PEERS.iter().filter(|peer| names.contains(&peer.name)) {
        match missing(peer.needs)? {
            Some(tool) => {
                let reason = format!("{tool} is not there (interop/{}/README.md)", peer.folder);
                skipped.push(Skipped { name: peer.name, reason });
            }
            None => parties.push(peer.build(workspace, progress)?),
        }
    }
    Ok((parties, skipped))
}

/// Says aloud who is missing, and makes it an error where all are required.
pub fn announce(skipped: &[Skipped], require_all: bool) -> Result<()> {
    for Skipped { name, reason } in skipped {
        println!("skipped: {name}: {reason}");
    }
    if require_all && !skipped.is_empty() {
        let names: Vec<_> = skipped.iter().map(|skipped| skipped.name).collect();
        bail!("all peers are required, and {} cannot be built here", names.join(", "));
    }
    Ok(())
}

/// ferrpc's example programs, which serve and ask `example.TestService` alone.
pub fn examples(workspace: &Workspace, progress: &Progress) -> Result<Party> {
    workspace.build(progress, &["-p", "ferrpc-examples", "--examples"])?;
    let path = |name| vec![workspace.built("debug/examples").join(name).into_os_string()];
    Ok(Party {
        name: FERRPC,
        language: "rust",
        server: path("test_service_server"),
        client: path("test_service_client"),
    })
}

/// What ferrpc's Python package takes part as, and what tells the names of its asyncio programs from
/// those with threads. In `interop/grpcio` they are grpcio's own and run on ferrpc unchanged.
pub const PYTHON_ENDS: [(&str, &str); 2] = [(PYTHON_PEER, ""), ("ferrpc-python-aio", "aio")];

/// ferrpc's example programs in Python, with threads and with asyncio.
pub fn python_examples(
    workspace: &Workspace,
    progress: &Progress,
) -> Result<(Vec<Party>, Vec<Skipped>)> {
    let folder = workspace.root.join("examples/python");
    python_parties(workspace, progress, PYTHON_ENDS.to_vec(), |end, kind| {
        let suffix = if kind.is_empty() { "" } else { "_" };
        folder.join(format!("test_service_{end}{suffix}{kind}.py"))
    })
}

/// Those of `PYTHON_ENDS` with these names, with the programs of the interop cases.
pub fn python_ends(
    workspace: &Workspace,
    progress: &Progress,
    wanted: impl Fn(&str) -> bool,
) -> Result<(Vec<Party>, Vec<Skipped>)> {
    let folder = workspace.root.join("interop/grpcio");
    let wanted = PYTHON_ENDS.into_iter().filter(|(name, _)| wanted(name)).collect();
    python_parties(workspace, progress, wanted, |end, kind| {
        let suffix = if kind.is_empty() { "" } else { "_" };
        folder.join(format!("{kind}{suffix}{end}.py"))
    })
}

/// The programs of these ends; without Python they are skipped like peers. `program` says where the
/// `server` or `client` of a kind is.
fn python_parties(
    workspace: &Workspace,
    progress: &Progress,
    wanted: Vec<(&'static str, &'static str)>,
    program: impl Fn(&str, &str) -> PathBuf,
) -> Result<(Vec<Party>, Vec<Skipped>)> {
    if wanted.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    if let Some(tool) = missing(PYTHON)? {
        let skipped = |(name, _)| Skipped { name, reason: format!("{tool} is not there") };
        return Ok((Vec::new(), wanted.into_iter().map(skipped).collect()));
    }
    let line = python_line(workspace, progress)?;
    let party = |(name, kind)| Party {
        name,
        language: "py",
        server: line(program("server", kind)),
        client: line(program("client", kind)),
    };
    Ok((wanted.into_iter().map(party).collect(), Vec::new()))
}

/// Makes the command that runs a program on ferrpc's Python package, with stubs at hand that its
/// own `grpc_tools` wrote. Output is not buffered: who waits for a line must see it at once.
fn python_line(
    workspace: &Workspace,
    progress: &Progress,
) -> Result<impl Fn(PathBuf) -> Vec<OsString>> {
    let python = python::prepare_ferrpc(workspace, progress)?;
    let mut path = OsString::from("PYTHONPATH=");
    path.push(python::stubs(workspace, &python)?);
    Ok(move |program: PathBuf| {
        let mut line = vec!["env".into(), path.clone(), python.clone().into()];
        line.extend(["-u".into(), "-B".into(), program.into()]);
        line
    })
}

/// ferrpc's ends for the interop cases.
pub fn interop_peer(workspace: &Workspace, progress: &Progress) -> Result<Party> {
    workspace.build(progress, &["-p", "ferrpc-testing", "--bin", "interop_peer"])?;
    let path = workspace.built("debug/interop_peer").into_os_string();
    Ok(Party {
        name: FERRPC,
        language: "rust",
        server: vec![path.clone(), "server".into()],
        client: vec![path, "client".into()],
    })
}

impl Peer {
    fn build(&self, workspace: &Workspace, progress: &Progress) -> Result<Party> {
        let folder = workspace.root.join("interop").join(self.folder);
        let out = workspace.peer(self.folder);
        let what = format!("interop/{}/build", self.folder);
        progress.say(&what);
        process::output(Command::new(folder.join("build")).arg(&out), &what, process::BUILD)?;
        let line = |program: &str| {
            let mut line = vec![folder.join("run").into(), out.clone().into(), program.into()];
            line.extend(self.flag.map(OsString::from));
            line
        };
        Ok(Party {
            name: self.name,
            language: self.language,
            server: line("server"),
            client: line("client"),
        })
    }
}

/// Whether a word of a command line names its client.
fn is_client(word: &OsString) -> bool {
    Path::new(word).file_stem().is_some_and(|stem| stem == "client")
}

/// The first part of a toolchain that does not run.
fn missing(needs: &[(&'static str, &[&str])]) -> Result<Option<&'static str>> {
    for (tool, line) in needs {
        let line: Vec<_> = line.iter().map(OsString::from).collect();
        let runs = process::finish(&mut command(&line), tool, process::MINUTE)
            .is_ok_and(|finished| finished.status.is_some_and(|status| status.success()));
        if !runs {
            return Ok(Some(tool));
        }
    }
    Ok(None)
}

fn command(line: &[OsString]) -> Command {
    let mut command = Command::new(&line[0]);
    command.args(&line[1..]);
    command
}
