//! Programs of Debian's packages, without installing them: an installed nginx or HAProxy would be a
//! service of the machine that begins to listen at once.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::process;
use crate::report::Progress;
use crate::workspace::Workspace;

/// A program, and where its libraries lie if they are not the system's.
pub struct Program {
    path: PathBuf,
    libraries: Option<OsString>,
}

impl Program {
    /// One that needs nothing else.
    pub fn alone(path: PathBuf) -> Self {
        Self { path, libraries: None }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A command that ends with us, should we be killed.
    pub fn command(&self) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "TERM"]).arg(&self.path);
        if let Some(libraries) = &self.libraries {
            command.env("LD_LIBRARY_PATH", libraries);
        }
        command
    }

    fn runs(&self, version: &str) -> Result<()> {
        process::output(self.command().arg(version), &self.path.to_string_lossy(), process::MINUTE)
            .map(drop)
    }
}

/// The system's program if it has one, else that of a package that is downloaded and unpacked below
/// `target/peers`, with the packages it depends on. `version` has the program say its version.
pub fn find(
    workspace: &Workspace,
    progress: &Progress,
    package: &str,
    name: &str,
    version: &str,
) -> Result<Program> {
    for folder in ["/usr/sbin", "/usr/local/sbin", "/usr/bin", "/usr/local/bin"] {
        let program = Program::alone(Path::new(folder).join(name));
        if program.path.is_file() {
            program.runs(version)?;
            return Ok(program);
        }
    }
    let folder = workspace.peer(package);
    let unpacked = || {
        let places = ["usr/sbin", "usr/bin"].map(|place| folder.join(place).join(name));
        let path = places.into_iter().find(|path| path.is_file())?;
        Some(Program { path, libraries: Some(libraries(&folder)) })
    };
    if let Some(program) = unpacked()
        && program.runs(version).is_ok()
    {
        return Ok(program);
    }
    progress.say(&format!("Debian's package {package}"));
    let packages = match missing(package) {
        Ok(packages) => packages,
        // The lists are old, or there are none.
        Err(_) => {
            apt(Path::new("."), &["update"])?;
            missing(package)?
        }
    };
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let names = packages.iter().map(String::as_str);
    apt(&folder, &["download"].into_iter().chain(names).collect::<Vec<_>>())?;
    for entry in fs::read_dir(&folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            let mut command = Command::new("dpkg-deb");
            command.arg("--extract").arg(&path).arg(&folder);
            process::output(&mut command, "dpkg-deb", process::MINUTE)?;
            fs::remove_file(&path)?;
        }
    }
    let program = unpacked().with_context(|| format!("{package} has no program {name}"))?;
    program.runs(version)?;
    Ok(program)
}

fn libraries(folder: &Path) -> OsString {
    let triple = format!("{}-linux-gnu", std::env::consts::ARCH);
    let folders = ["usr/lib", "lib"].map(|path| folder.join(path).join(&triple).into_os_string());
    folders.join(":".as_ref())
}

/// The package and what would be installed with it here.
fn missing(package: &str) -> Result<Vec<String>> {
    let said = apt(Path::new("."), &["install", "--simulate", "--no-install-recommends", package])?;
    let packages = installed(&said);
    ensure!(
        packages.iter().any(|found| found == package),
        "apt-get would not install {package}:\n{said}"
    );
    Ok(packages)
}

/// The packages of `Inst NAME (VERSION ...)`.
fn installed(said: &str) -> Vec<String> {
    let names = said.lines().filter_map(|line| line.strip_prefix("Inst ")?.split(' ').next());
    names.map(str::to_owned).collect()
}

fn apt(folder: &Path, arguments: &[&str]) -> Result<String> {
    let mut command = Command::new("apt-get");
    command.args(arguments).current_dir(folder).env("DEBIAN_FRONTEND", "noninteractive");
    let what = format!("apt-get {}", arguments.join(" "));
    process::output(&mut command, &what, process::BUILD)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_apt_would_install() {
        let said = "NOTE: This is only a simulation!\n\
            Inst liblua5.3-0 (5.3.6-2 Debian:12.15/oldstable [amd64])\n\
            Inst haproxy (2.6.12-1+deb12u4 Debian-Security:12 [amd64])\n\
            Conf liblua5.3-0 (5.3.6-2 Debian:12.15/oldstable [amd64])\n";
        assert_eq!(installed(said), ["liblua5.3-0", "haproxy"]);
    }
}
