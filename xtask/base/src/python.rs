//! The Python environments and what runs in them. Two virtual environments lie beside the peers:
//!
//! ```text
//! target/peers/python-oracle   real grpcio and grpcio-tools; every test runs on it first
//! target/peers/python-ferrpc   the wheel of this checkout
//! ```

use std::collections::hash_map::DefaultHasher;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::hash::{Hash, Hasher};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::report::{Progress, Tally};
use crate::workspace::Workspace;
use crate::{process, stamp};

/// Both environments, ready.
pub struct Environments {
    pub oracle: PathBuf,
    pub ferrpc: PathBuf,
}

/// The environment with real grpcio and grpcio-tools alone.
pub fn prepare_oracle(workspace: &Workspace, progress: &Progress) -> Result<PathBuf> {
    let oracle = Environment::new(workspace, "python-oracle");
    oracle.make("python/tests/requirements-oracle.txt", progress)?;
    Ok(oracle.python())
}

/// Makes what is not there, or not as it should be.
pub fn prepare(workspace: &Workspace, progress: &Progress) -> Result<Environments> {
    let oracle = prepare_oracle(workspace, progress)?;
    Ok(Environments { oracle, ferrpc: prepare_ferrpc(workspace, progress)? })
}

/// A wheel of ferrpc, and a mark of what is in it.
pub struct Wheel {
    pub path: PathBuf,
    pub mark: String,
}

/// The wheel of this checkout, built with a profile of cargo's.
pub fn wheel(workspace: &Workspace, progress: &Progress, profile: &str) -> Result<Wheel> {
    let ferrpc = Environment::new(workspace, "python-ferrpc");
    ferrpc.make("python/tests/requirements.txt", progress)?;
    ferrpc.wheel(profile, progress)
}

/// The interpreter of the environment that holds this checkout.
pub fn prepare_ferrpc(workspace: &Workspace, progress: &Progress) -> Result<PathBuf> {
    let ferrpc = Environment::new(workspace, "python-ferrpc");
    ferrpc.make("python/tests/requirements.txt", progress)?;
    ferrpc.install_checkout(progress)?;
    Ok(ferrpc.python())
}

/// A folder with the modules of the tutorial's proto and of the interop cases, as `grpc_tools` of
/// that interpreter writes them.
pub fn stubs(workspace: &Workspace, python: &Path) -> Result<PathBuf> {
    let folder = workspace.peer("python-ferrpc").join("gen");
    fs::create_dir_all(&folder)?;
    let mut command = Command::new(python);
    command.args(["-m", "grpc_tools.protoc", "-Itestdata/protos"]);
    for option in ["--python_out=", "--grpc_python_out="] {
        let mut option = OsString::from(option);
        option.push(&folder);
        command.arg(option);
    }
    command.args(STUBS.map(|name| format!("testdata/protos/{name}.proto")));
    command.current_dir(&workspace.root);
    clean(&mut command);
    process::output(&mut command, "grpc_tools.protoc", process::MINUTE)?;
    Ok(folder)
}

/// Which of the long tests run, too.
#[derive(Clone, Copy, Default)]
pub struct Long {
    /// The tests of leaks, at full length.
    pub soak: bool,
    /// Those that install packages from the index.
    pub adoption: bool,
}

/// Runs the Python tests on the oracle, then on ferrpc. Each test is one check on each.
pub fn test(workspace: &Workspace, rest: &[String], long: Long) -> Result<Tally> {
    let environments = {
        let progress = Progress::new();
        prepare(workspace, &progress)?
    };
    // The peer of `tests/apis`. With these flags it is the one that the tests in Rust have built.
    let api_peer = ["build", "--quiet", "--workspace", "--all-features", "--bin", "api_peer"];
    process::output(&mut workspace.cargo(&api_peer), "cargo build --bin api_peer", process::BUILD)?;
    println!("\n-- the Python tests on grpcio");
    let mut tally = on_grpcio(workspace, &environments.oracle, rest, long)?;
    println!("\n-- the Python tests on ferrpc");
    tally += pytest(workspace, "ferrpc", &environments.ferrpc, &environments.oracle, rest, long)?;
    Ok(tally)
}

/// How often the tests on grpcio begin again in a process of their own.
const PROCESSES: usize = 3;

/// The tests on the oracle. Now and then the thread that polls for `grpc.aio` is lost in grpcio, and no
/// call of `grpc.aio` ends any more in that process: where a test fails, it and those behind it run in
/// another one.
fn on_grpcio(workspace: &Workspace, oracle: &Path, rest: &[String], long: Long) -> Result<Tally> {
    match fs::remove_dir_all(stepwise(workspace)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let mut before = Tally::default();
    for _ in 1..PROCESSES {
        let tally = pytest(workspace, "grpcio", oracle, oracle, rest, long)?;
        if tally.failed == 0 {
            before += tally;
            return Ok(before);
        }
        before += Tally { failed: 0, ..tally };
        println!("\n-- the test that failed on grpcio, and those behind it, in another process");
    }
    before += pytest(workspace, "grpcio", oracle, oracle, rest, long)?;
    Ok(before)
}

/// Where pytest keeps which test it stopped at.
fn stepwise(workspace: &Workspace) -> PathBuf {
    workspace.peer("python-oracle").join("stepwise")
}

/// The tests in one environment. That pytest fails without a test that did is an error.
fn pytest(
    workspace: &Workspace,
    name: &str,
    python: &Path,
    oracle: &Path,
    rest: &[String],
    long: Long,
) -> Result<Tally> {
    let mut command = Command::new(python);
    command
        .args(["-m", "pytest", "-q", "-r", "fER"])
        .args(rest)
        .current_dir(&workspace.root)
        .env("FERRPC_ORACLE_PYTHON", oracle)
        .env("CARGO_TARGET_DIR", &workspace.target)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    if long.soak {
        command.env("FERRPC_SOAK_CALLS", "100000");
    }
    let mut limit = LIMIT;
    if long.adoption {
        command.env("FERRPC_ADOPTION", "1");
        limit *= 3;
    }
    // What grpcio answers depends on its threads in a few places; what ferrpc answers may not.
    if name == "grpcio" {
        let cache = format!("cache_dir={}", stepwise(workspace).display());
        command.args(["-o", "addopts=--import-mode=importlib", "-o", &cache]);
        command.args(["--stepwise", "--reruns", "1"]);
    }
    clean(&mut command);
    let mut child =
        command.spawn().with_context(|| format!("cannot start {}", python.display()))?;
    let stdout = child.stdout.take().context("stdout is a pipe")?;
    let (sender, summary) = mpsc::channel();
    thread::spawn(move || {
        let mut last = None;
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if line.starts_with("tally on ") {
                last = Some(line.clone());
            }
            println!("{line}");
        }
        let _ = sender.send(last);
    });
    let Some(status) = process::wait(&mut child, limit)? else {
        println!("the Python tests on {name} did not end within {} s", limit.as_secs());
        return Ok(Tally::of(false));
    };
    // A program that a test left behind may hold the pipe.
    let line = summary.recv_timeout(Duration::from_secs(10)).ok().flatten();
    let Some(tally) = line.as_deref().and_then(counted) else {
        bail!("the Python tests on {name} ended without a summary: {status}");
    };
    if !status.success() && tally.failed == 0 {
        bail!("the Python tests on {name} failed, though no test did: {status}");
    }
    Ok(tally)
}

/// Reads `tally on ferrpc: passed=3 failed=0 error=0 skipped=0 elsewhere=1`. A test that is skipped
/// for another reason than that it runs elsewhere counts as failed.
fn counted(line: &str) -> Option<Tally> {
    let count = |name: &str| -> Option<usize> {
        let word = line.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='))?;
        word.parse().ok()
    };
    let failed = count("failed")? + count("error")? + count("skipped")?;
    Some(Tally { passed: count("passed")?, failed })
}

/// Takes out what would have Python look elsewhere than in its environment.
pub fn clean(command: &mut Command) {
    for name in ["PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PYTEST_ADDOPTS"] {
        command.env_remove(name);
    }
}

/// The interpreter that environments are made by.
pub fn base() -> OsString {
    env::var_os("PYTHON").unwrap_or_else(|| "python3".into())
}

struct Environment<'a> {
    workspace: &'a Workspace,
    folder: PathBuf,
}

impl<'a> Environment<'a> {
    fn new(workspace: &'a Workspace, name: &str) -> Self {
        Self { workspace, folder: workspace.peer(name) }
    }

    fn python(&self) -> PathBuf {
        self.folder.join("venv/bin/python")
    }

    /// A virtual environment with what a file of requirements names.
    fn make(&self, requirements: &str, progress: &Progress) -> Result<()> {
        let base = base();
        let version = process::output(
            Command::new(&base).arg("--version"),
            "Python (PYTHON names another)",
            process::MINUTE,
        )?;
        let mut mark = DefaultHasher::new();
        // The folder, because an environment cannot be moved.
        (version, &self.folder).hash(&mut mark);
        let tests = self.workspace.root.join("python/tests");
        for file in ["requirements.txt", "requirements-oracle.txt", "packages/requirements.txt"] {
            fs::read(tests.join(file))?.hash(&mut mark);
        }
        let mark = format!("{:016x}", mark.finish());
        if stamp::fresh(&self.stamp("venv"), &mark) {
            return Ok(());
        }
        let name = self.folder.file_name().unwrap_or_default().display();
        progress.say(&format!("{name}: a virtual environment with {requirements}"));
        // What was installed into the old one is gone with it.
        for stamp in ["venv", "checkout"] {
            let _ = fs::remove_file(self.stamp(stamp));
        }
        fs::create_dir_all(&self.folder)?;
        let venv = self.folder.join("venv");
        let mut command = Command::new(&base);
        command.args(["-m", "venv", "--clear"]).arg(&venv);
        clean(&mut command);
        process::output(&mut command, "python3 -m venv", process::BUILD)?;
        self.pip(&["install", "-r", requirements].map(OsString::from))?;
        // What these depend on would bring grpcio.
        let packages = ["install", "--no-deps", "-r", "python/tests/packages/requirements.txt"];
        self.pip(&packages.map(OsString::from))?;
        stamp::done(&self.stamp("venv"), &mark)
    }

    /// Installs the wheel of this checkout, which is built with cargo's profile for development.
    fn install_checkout(&self, progress: &Progress) -> Result<()> {
        let wheel = self.wheel(DEVELOPMENT, progress)?;
        if stamp::fresh(&self.stamp("checkout"), &wheel.mark) {
            return Ok(());
        }
        let _ = fs::remove_file(self.stamp("checkout"));
        let mut arguments =
            ["install", "--force-reinstall", "--no-deps"].map(OsString::from).to_vec();
        arguments.push(wheel.path.into());
        self.pip(&arguments)?;
        stamp::done(&self.stamp("checkout"), &wheel.mark)
    }

    /// `pip wheel .`
    fn wheel(&self, profile: &str, progress: &Progress) -> Result<Wheel> {
        let mark = stamp::mark((sources(&self.workspace.root)?, profile));
        let folder = self.folder.join("wheels").join(profile);
        let done = folder.with_extension("stamp");
        if !stamp::fresh(&done, &mark) {
            progress.say(&format!("pip wheel . (profile {profile})"));
            if folder.exists() {
                fs::remove_dir_all(&folder)?;
            }
            let mut arguments =
                ["wheel", "--no-deps", ".", "--wheel-dir"].map(OsString::from).to_vec();
            arguments.push(folder.clone().into());
            self.pip_with(profile, &arguments)?;
            stamp::done(&done, &mark)?;
        }
        let mut files = fs::read_dir(&folder)?.filter_map(|entry| Some(entry.ok()?.path()));
        let path = files.find(|path| path.extension().is_some_and(|extension| extension == "whl"));
        Ok(Wheel { path: path.context("pip wheel wrote no wheel")?, mark })
    }

    fn pip(&self, arguments: &[OsString]) -> Result<()> {
        self.pip_with(DEVELOPMENT, arguments)
    }

    /// What it builds from this checkout is built with a profile of cargo's.
    fn pip_with(&self, profile: &str, arguments: &[OsString]) -> Result<()> {
        let mut command = Command::new(self.python());
        command
            .args(["-m", "pip", "--disable-pip-version-check", "--quiet"])
            .args(arguments)
            .current_dir(&self.workspace.root)
            .env("MATURIN_PEP517_ARGS", format!("--profile {profile}"))
            .env("CARGO_TARGET_DIR", &self.workspace.target);
        clean(&mut command);
        let what = format!("pip {}", arguments.join(" ".as_ref()).display());
        process::output(&mut command, &what, process::BUILD)?;
        Ok(())
    }

    fn stamp(&self, name: &str) -> PathBuf {
        self.folder.join(name).with_extension("stamp")
    }
}

/// A mark of everything that a wheel is made from.
fn sources(root: &Path) -> Result<u64> {
    let mut files = Vec::new();
    for folder in ["crates", "python"] {
        gather(&root.join(folder), &mut files)?;
    }
    for file in ["Cargo.toml", "Cargo.lock", "pyproject.toml", "README.md", "rust-toolchain.toml"] {
        files.push(root.join(file));
    }
    files.sort();
    let mut mark = DefaultHasher::new();
    for file in files {
        let bytes = fs::read(&file).with_context(|| file.display().to_string())?;
        (file.strip_prefix(root).unwrap_or(&file), bytes).hash(&mut mark);
    }
    Ok(mark.finish())
}

fn gather(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default();
        if path.is_dir() {
            if !["__pycache__", "target"].iter().any(|skipped| name == *skipped)
                && !path.ends_with("python/tests")
            {
                gather(&path, files)?;
            }
        } else if path.extension().is_none_or(|extension| extension != "so") {
            files.push(path);
        }
    }
    Ok(())
}

const STUBS: [&str; 4] =
    ["test_service", "grpc/testing/empty", "grpc/testing/messages", "grpc/testing/test"];

/// Cargo's profile for development, which the tests are built with, too.
pub const DEVELOPMENT: &str = "dev";

/// For all tests in one environment: each has a limit of its own, which a hang below Python's
/// reach does not keep.
const LIMIT: Duration = Duration::from_secs(30 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_of_the_python_tests() {
        let line = "tally on ferrpc: passed=31 failed=2 error=1 skipped=0 elsewhere=4";
        assert_eq!(counted(line), Some(Tally { passed: 31, failed: 3 }));
        let line = "tally on grpcio: passed=31 failed=0 error=0 skipped=1 elsewhere=0";
        assert_eq!(counted(line), Some(Tally { passed: 31, failed: 1 }));
        assert_eq!(counted("31 passed in 3 s"), None);
    }
}
