//! Who is measured: the servers and load clients of `bench/README.md`, how each is built, and what
//! it cannot do.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};

use super::figures::Skipped;
use crate::process;
use crate::report::Progress;
use crate::workspace::Workspace;

/// A server or a load client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Program {
    /// What `--peers` and the tables call it. A server and a client may share a name.
    pub(crate) name: &'static str,
    source: Source,
    arguments: &'static [&'static str],
    /// Servers: what the answer of `example.TestService` is signed with.
    pub(crate) language: &'static str,
    /// Servers: what they can be asked for.
    pub(crate) offers: Offers,
}

#[derive(Clone, Copy, Debug)]
enum Source {
    /// Built by this workspace: the program in `target/usual`.
    Own(&'static str),
    /// A folder with `build` and `run`, the folder of `target/peers` that it is built into, and
    /// the program that `run` becomes.
    Folder(&'static str, &'static str, &'static str),
}

/// What a server can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offers {
    /// Everything, with each `--handler`, and over TLS by aws-lc-rs.
    Handlers,
    /// Everything, with handlers that answer at once.
    All,
    /// Unary calls of up to 16 KiB.
    SmallUnary,
    /// No gRPC: bytes for bytes.
    Echo,
}

impl Program {
    /// The command, not pinned to a core.
    pub(crate) fn line(&self, workspace: &Workspace) -> Vec<String> {
        let path = |path: PathBuf| path.to_string_lossy().into_owned();
        let mut line = match self.source {
            Source::Own(program) => vec![path(workspace.built(PROFILE).join(program))],
            Source::Folder(folder, out, program) => vec![
                path(workspace.root.join(folder).join("run")),
                path(workspace.peer(out)),
                program.to_owned(),
            ],
        };
        line.extend(self.arguments.iter().map(|argument| (*argument).to_owned()));
        line
    }

    /// Clients in Python: the interpreter that has their library. Of each library one has it.
    pub(crate) fn interpreter(&self, workspace: &Workspace) -> Option<PathBuf> {
        match self.source {
            Source::Folder(_, out, "client") => {
                let python = workspace.peer(out).join("venv/bin/python");
                (self.arguments.is_empty() && python.exists()).then_some(python)
            }
            _ => None,
        }
    }

    /// The server of a client's library.
    pub(crate) fn own_server(&self) -> &'static str {
        self.name.strip_suffix("-blocking").unwrap_or(self.name)
    }

    /// The command as a reader may type it, from the root.
    pub(crate) fn shown(&self) -> String {
        let begin = match self.source {
            Source::Own(program) => format!("target/{PROFILE}/{program}"),
            Source::Folder(folder, out, program) => {
                format!("{folder}/run target/peers/{out} {program}")
            }
        };
        [&[begin.as_str()], self.arguments].concat().join(" ")
    }
}

/// The programs that could be built.
pub(crate) struct Programs {
    pub(crate) servers: Vec<&'static Program>,
    pub(crate) clients: Vec<&'static Program>,
    pub(crate) skipped: Vec<Skipped>,
}

impl Programs {
    /// A server of that name.
    pub(crate) fn server(&self, name: &str) -> Option<&'static Program> {
        self.servers.iter().copied().find(|program| program.name == name)
    }

    /// A client of that name.
    pub(crate) fn client(&self, name: &str) -> Option<&'static Program> {
        self.clients.iter().copied().find(|program| program.name == name)
    }
}

/// Builds the programs of these names (none: all), and those that all need: ferrpc's and tonic's
/// stand on the other side of clients. What cannot be built is skipped with the reason.
pub(crate) fn build(
    workspace: &Workspace,
    progress: &Progress,
    names: &[String],
) -> Result<Programs> {
    let known = || SERVERS.iter().chain(CLIENTS).map(|program| program.name);
    if let Some(unknown) = names.iter().find(|name| !known().any(|known| known == *name)) {
        let mut known: Vec<_> = known().collect();
        known.dedup();
        bail!("no peer is called {unknown}; there are {}", known.join(", "));
    }
    let wanted = |program: &&'static Program| {
        names.is_empty()
            || NEUTRAL.contains(&program.name)
            || names.iter().any(|name| name == program.name)
    };
    let mut programs = Programs { servers: Vec::new(), clients: Vec::new(), skipped: Vec::new() };
    let own = ["--profile", PROFILE, "-p", "ferrpc-bench", "-p", "ferrpc-bench-raw-echo"];
    workspace.build(progress, &own)?;
    let mut folders = BTreeMap::new();
    for (list, built) in [(SERVERS, &mut programs.servers), (CLIENTS, &mut programs.clients)] {
        for program in list.iter().filter(wanted) {
            let reason = match program.source {
                Source::Own(_) => None,
                Source::Folder(folder, out, _) => folders
                    .entry(folder)
                    .or_insert_with(|| build_folder(workspace, progress, folder, out).err())
                    .as_ref(),
            };
            match reason {
                None => built.push(program),
                Some(reason) => {
                    let skipped =
                        Skipped { peer: program.name.to_owned(), reason: format!("{reason:#}") };
                    if !programs.skipped.contains(&skipped) {
                        programs.skipped.push(skipped);
                    }
                }
            }
        }
    }
    Ok(programs)
}

/// The interpreter that has ferrpc's wheel as users get it.
pub(crate) fn interpreter_of_ours(workspace: &Workspace, progress: &Progress) -> Result<PathBuf> {
    build_folder(workspace, progress, "bench/ferrpc-python", "ferrpc-python")?;
    Ok(workspace.peer("ferrpc-python").join("venv/bin/python"))
}

fn build_folder(workspace: &Workspace, progress: &Progress, folder: &str, out: &str) -> Result<()> {
    let what = format!("{folder}/build");
    progress.say(&what);
    let mut command = Command::new(workspace.root.join(folder).join("build"));
    if folder == TONIC {
        command.arg("--release");
    }
    process::output(command.arg(workspace.peer(out)), &what, process::BUILD)?;
    Ok(())
}

const fn server(
    name: &'static str,
    source: Source,
    arguments: &'static [&'static str],
    language: &'static str,
) -> Program {
    Program { name, source, arguments, language, offers: Offers::All }
}

const fn client(name: &'static str, source: Source, arguments: &'static [&'static str]) -> Program {
    Program { name, source, arguments, language: "", offers: Offers::All }
}

/// What cargo's release profile is where nobody has changed it, as in the peers' own projects: each
/// Rust program is built as the users of its library get it.
pub(crate) const PROFILE: &str = "usual";

/// These stand on the other side of every client.
pub(crate) const NEUTRAL: [&str; 2] = ["ferrpc", "tonic"];
/// The floor: it speaks no gRPC, and its client is the one that knows it.
pub(crate) const FLOOR: &str = "raw-echo";

const TONIC: &str = "interop/tonic";
const TONIC_SERVER: Source = Source::Folder(TONIC, "tonic", "bench_server");
const CPP: Source = Source::Folder("bench/grpc-cpp", "grpc-cpp", "server");
const GRPCIO: Source = Source::Folder("bench/grpcio", "bench-grpcio", "server");
const GRPCIO_CLIENT: Source = Source::Folder("bench/grpcio", "bench-grpcio", "client");
const OWN_PYTHON: Source = Source::Folder("bench/ferrpc-python", "ferrpc-python", "server");
const OWN_PYTHON_CLIENT: Source = Source::Folder("bench/ferrpc-python", "ferrpc-python", "client");

const SERVERS: &[Program] = &[
    Program {
        offers: Offers::Handlers,
        ..server("ferrpc", Source::Own("bench_server"), &[], "rust")
    },
    Program { offers: Offers::Handlers, ..server("tonic", TONIC_SERVER, &[], "rust") },
    Program {
        offers: Offers::Handlers,
        ..server("tonic-current-thread", TONIC_SERVER, &["--current-thread"], "rust")
    },
    server("volo", Source::Folder("bench/volo", "volo", "server"), &[], "rust"),
    Program {
        offers: Offers::SmallUnary,
        ..server("pajamax", Source::Folder("bench/pajamax", "pajamax", "server"), &[], "rust")
    },
    server("grpc-cpp", CPP, &[], "cpp"),
    server("grpc-cpp-async", CPP, &["--async"], "cpp"),
    server("grpc-go", Source::Folder("interop/grpc-go", "grpc-go", "server"), &[], "go"),
    server("grpc-java", Source::Folder("bench/grpc-java", "grpc-java", "server"), &[], "java"),
    server("grpcio", GRPCIO, &[], "py"),
    server("grpcio-aio", GRPCIO, &["--aio"], "py"),
    server("grpcio-uvloop", GRPCIO, &["--aio", "--uvloop"], "py"),
    server("pygrpc-native", GRPCIO, &["--native"], "py"),
    server("pygrpc-native-aio", GRPCIO, &["--native", "--aio"], "py"),
    server("ferrpc-python", OWN_PYTHON, &[], "py"),
    server("ferrpc-python-aio", OWN_PYTHON, &["--aio"], "py"),
    server("ferrpc-python-uvloop", OWN_PYTHON, &["--aio", "--uvloop"], "py"),
    Program { offers: Offers::Echo, ..server(FLOOR, Source::Own("raw_echo"), &["server"], "") },
];

const CLIENTS: &[Program] = &[
    client("ferrpc", Source::Own("bench_client"), &[]),
    client("ferrpc-blocking", Source::Own("blocking_client"), &[]),
    client("tonic", Source::Folder(TONIC, "tonic", "bench_client"), &[]),
    client(
        "tonic-current-thread",
        Source::Folder(TONIC, "tonic", "bench_client"),
        &["--current-thread"],
    ),
    client("grpcio", GRPCIO_CLIENT, &[]),
    client("grpcio-aio", GRPCIO_CLIENT, &["--aio"]),
    client("grpcio-uvloop", GRPCIO_CLIENT, &["--aio", "--uvloop"]),
    client("ferrpc-python", OWN_PYTHON_CLIENT, &[]),
    client("ferrpc-python-aio", OWN_PYTHON_CLIENT, &["--aio"]),
    client("ferrpc-python-uvloop", OWN_PYTHON_CLIENT, &["--aio", "--uvloop"]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_program_is_described() {
        let described = include_str!("../../../bench/README.md");
        for program in SERVERS.iter().chain(CLIENTS) {
            assert!(described.contains(&format!("`{}`", program.name)), "{}", program.name);
        }
    }

    #[test]
    fn folders_have_their_scripts() {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
        for program in SERVERS.iter().chain(CLIENTS) {
            let Source::Folder(folder, ..) = program.source else { continue };
            for script in ["build", "run"] {
                let path = format!("{root}/{folder}/{script}");
                assert!(std::path::Path::new(&path).is_file(), "{path}");
            }
        }
    }
}
