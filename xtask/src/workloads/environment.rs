//! The twin environments of a case: the same packages in both, grpcio in one and ferrpc in the
//! other. What all share lies in `target/workloads`: uv with its cache.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::case::{Case, Suite};
use crate::python::Wheel;
use crate::report::Progress;
use crate::workspace::Workspace;
use crate::{debian, process, python, stamp};

/// One of the twins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Twin {
    Grpcio,
    Ferrpc,
}

impl Twin {
    pub(crate) const BOTH: [Self; 2] = [Self::Grpcio, Self::Ferrpc];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Grpcio => "grpcio",
            Self::Ferrpc => "ferrpc",
        }
    }
}

/// What makes environments.
pub(crate) struct Workshop<'a> {
    workspace: &'a Workspace,
    progress: &'a Progress,
    /// `target/workloads`.
    folder: PathBuf,
    base: OsString,
    python_version: String,
}

/// A case whose environments are there.
pub(crate) struct Prepared {
    /// Where each twin's files lie.
    folder: PathBuf,
    /// Where the suite was unpacked.
    source: Option<PathBuf>,
    /// Folders of programs beside Python.
    path: Vec<PathBuf>,
}

impl Prepared {
    /// A twin's folder: its environment, and what its last run wrote.
    pub(crate) fn twin(&self, twin: Twin) -> PathBuf {
        self.folder.join(twin.name())
    }

    /// Python of a twin, with the environment's programs first on the path.
    pub(crate) fn python(&self, case: &Case, twin: Twin) -> Result<Command> {
        let bin = self.twin(twin).join("venv/bin");
        let mut command = Command::new(bin.join("python"));
        python::clean(&mut command);
        let system = env::var_os("PATH").unwrap_or_default();
        let path =
            [bin].into_iter().chain(self.path.iter().cloned()).chain(env::split_paths(&system));
        command.env("PATH", env::join_paths(path)?);
        command.env("PYTHONUNBUFFERED", "1").env("PYTHONDONTWRITEBYTECODE", "1");
        command.envs(&case.about.variables);
        Ok(command)
    }

    /// The unpacked source distribution of the suite.
    pub(crate) fn source(&self) -> Option<&Path> {
        self.source.as_deref()
    }
}

impl<'a> Workshop<'a> {
    /// Installs uv if it is not there.
    pub(crate) fn new(workspace: &'a Workspace, progress: &'a Progress) -> Result<Self> {
        let base = env::var_os("PYTHON").unwrap_or_else(|| "python3".into());
        let version = process::output(
            Command::new(&base).arg("--version"),
            "Python (PYTHON names another)",
            process::MINUTE,
        )?;
        let folder = workspace.target.join("workloads");
        let workshop =
            Self { workspace, progress, folder, base, python_version: version.trim().to_owned() };
        let mark = stamp::mark((UV, &workshop.python_version, &workshop.folder));
        let done = workshop.folder.join("tools.stamp");
        if !stamp::fresh(&done, &mark) {
            progress.say(&format!("pip install {UV}"));
            let tools = workshop.folder.join("tools");
            let mut command = Command::new(&workshop.base);
            command.args(["-m", "venv", "--clear"]).arg(&tools);
            python::clean(&mut command);
            process::output(&mut command, "python3 -m venv", process::BUILD)?;
            workshop.pip(&["install".into(), UV.into()])?;
            stamp::done(&done, &mark)?;
        }
        Ok(workshop)
    }

    /// `Python 3.11.7`.
    pub(crate) fn python_version(&self) -> &str {
        &self.python_version
    }

    /// Pins every package of a case: requirements.txt from requirements.in.
    pub(crate) fn lock(&self, case: &Case) -> Result<()> {
        self.progress.say(&format!("{}: uv pip compile", case.name));
        let mut command = self.uv("pip");
        command.current_dir(&case.folder);
        command.args(["compile", "--universal", "--upgrade", "--no-annotate", "--no-header"]);
        command.args(["--override", "../overrides.txt"]);
        if case.folder.join("overrides.txt").exists() {
            command.args(["--override", "overrides.txt"]);
        }
        command.arg("requirements.in");
        command.args(["--output-file", "requirements.txt"]);
        process::output(&mut command, "uv pip compile", process::BUILD)?;
        Ok(())
    }

    /// Makes what is not there, or not as it should be.
    pub(crate) fn prepare(&self, case: &Case, wheel: &Wheel) -> Result<Prepared> {
        let folder = self.folder.join("cases").join(&case.name);
        for twin in Twin::BOTH {
            self.install(case, twin, &folder.join(twin.name()), wheel)?;
        }
        let source = case.about.suite.as_ref().map(|suite| self.unpack(case, suite, &folder));
        let mut path = Vec::new();
        for program in &case.about.programs {
            let (package, name) = (&program.package, &program.name);
            let found =
                debian::find(self.workspace, self.progress, package, name, &program.version)?;
            path.extend(found.path().parent().map(Path::to_owned));
        }
        Ok(Prepared { folder, source: source.transpose()?, path })
    }

    fn install(&self, case: &Case, twin: Twin, folder: &Path, wheel: &Wheel) -> Result<()> {
        let locked = fs::read_to_string(case.folder.join("requirements.txt"))
            .context("no requirements.txt: cargo xtask workloads --lock writes it")?;
        let own = match twin {
            Twin::Grpcio => String::new(),
            Twin::Ferrpc => format!("{} {}", wheel.mark, case.about.distribution),
        };
        let mark = stamp::mark((&locked, &self.python_version, folder, own));
        let done = folder.join("venv.stamp");
        if stamp::fresh(&done, &mark) {
            return Ok(());
        }
        self.progress.say(&format!("{}: an environment with {}", case.name, twin.name()));
        fs::create_dir_all(folder)?;
        let _ = fs::remove_file(&done);
        let venv = folder.join("venv");
        let mut command = self.uv("venv");
        command.args(["--clear", "--python"]).arg(&self.base).arg(&venv);
        process::output(&mut command, "uv venv", process::BUILD)?;
        let requirements = folder.join("requirements.txt");
        fs::write(
            &requirements,
            if twin == Twin::Ferrpc { without_grpcio(&locked) } else { locked },
        )?;
        let install = |arguments: &[&Path]| {
            let mut command = self.uv("pip");
            command.args(["install", "--no-deps", "--python"]).arg(venv.join("bin/python"));
            command.args(arguments);
            process::output(&mut command, "uv pip install", process::BUILD)
        };
        install(&[Path::new("--requirement"), &requirements])?;
        if twin == Twin::Ferrpc {
            install(&[&wheel.path])?;
            if case.about.distribution {
                let mut command = Command::new(venv.join("bin/python"));
                command.args(["-m", "ferrpc", "shim", "install"]);
                python::clean(&mut command);
                process::output(&mut command, "ferrpc shim install", process::MINUTE)?;
            }
        }
        stamp::done(&done, &mark)
    }

    /// Downloads and unpacks a source distribution.
    fn unpack(&self, case: &Case, suite: &Suite, folder: &Path) -> Result<PathBuf> {
        let wanted = format!("{}=={}", suite.sdist, case.version(&suite.sdist)?);
        let source = folder.join("source");
        let done = folder.join("source.stamp");
        if stamp::fresh(&done, &wanted) {
            return Ok(source);
        }
        self.progress.say(&format!("{}: the sources of {wanted}", case.name));
        let download = folder.join("download");
        for folder in [&source, &download] {
            if folder.exists() {
                fs::remove_dir_all(folder)?;
            }
            fs::create_dir_all(folder)?;
        }
        let arguments = ["download", "--no-deps", "--no-binary", &suite.sdist, &wanted, "--dest"];
        let mut arguments = arguments.map(OsString::from).to_vec();
        arguments.push(download.clone().into());
        self.pip(&arguments)?;
        let archive = fs::read_dir(&download)?.next().context("pip downloaded nothing")??.path();
        ensure!(archive.to_string_lossy().ends_with(".tar.gz"), "{} is none", archive.display());
        let mut command = Command::new("tar");
        command.args(["--extract", "--strip-components=1", "--file"]).arg(&archive);
        command.arg("--directory").arg(&source);
        process::output(&mut command, "tar", process::MINUTE)?;
        if !has_configuration(&source) {
            // Or pytest would take what it finds above: ours.
            fs::write(source.join("pytest.ini"), "[pytest]\n")?;
        }
        stamp::done(&done, &wanted)?;
        Ok(source)
    }

    fn uv(&self, name: &str) -> Command {
        let mut command = Command::new(self.folder.join("tools/bin/uv"));
        command.arg(name).arg("--quiet").env("UV_CACHE_DIR", self.folder.join("cache"));
        // As pip does it: the machine's certificates and not uv's own.
        command.env("UV_SYSTEM_CERTS", "1");
        python::clean(&mut command);
        command
    }

    fn pip(&self, arguments: &[OsString]) -> Result<()> {
        let mut command = Command::new(self.folder.join("tools/bin/python"));
        command.args(["-m", "pip", "--disable-pip-version-check", "--quiet"]).args(arguments);
        python::clean(&mut command);
        process::output(&mut command, "pip", process::BUILD)?;
        Ok(())
    }
}

/// The requirements without grpcio and grpcio-tools, whose place ferrpc takes.
fn without_grpcio(requirements: &str) -> String {
    let replaced = |line: &&str| {
        let name = line.split("==").next().unwrap_or_default();
        name == "grpcio" || name == "grpcio-tools"
    };
    requirements.lines().filter(|line| !replaced(line)).map(|line| format!("{line}\n")).collect()
}

/// Whether pytest finds its configuration in this folder.
fn has_configuration(source: &Path) -> bool {
    let sections = [
        ("pytest.ini", ""),
        ("pyproject.toml", "[tool.pytest"),
        ("tox.ini", "[pytest]"),
        ("setup.cfg", "[tool:pytest]"),
    ];
    sections.iter().any(|(name, section)| {
        fs::read_to_string(source.join(name)).is_ok_and(|text| text.contains(section))
    })
}

/// Makes environments in a second, from files that it keeps once.
const UV: &str = "uv==0.13.9";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ferrpc_takes_the_place_of_two_distributions() {
        let text = "grpcio==1.85.1\ngrpcio-status==1.85.1\ngrpcio-tools==1.85.1\nsix==1.17.0\n";
        assert_eq!(without_grpcio(text), "grpcio-status==1.85.1\nsix==1.17.0\n");
    }
}
