//! A case: a folder of `workloads/` with its `case.toml`, requirements, and its program if it has
//! one of its own. `workloads/README.md` says what stands in them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

/// What is run on grpcio and on ferrpc.
pub(crate) struct Case {
    /// The folder's name.
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
    pub(crate) about: About,
    /// Every package of the environments, pinned: name and version.
    pub(crate) pins: BTreeMap<String, String>,
}

/// `case.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct About {
    /// What it shows, in a few words.
    pub(crate) about: String,
    /// The packages that it is about: their versions stand in the table.
    pub(crate) packages: Vec<String>,
    /// Seconds that it may take on either side.
    pub(crate) limit: u64,
    /// Part of `--quick`.
    #[serde(default)]
    pub(crate) quick: bool,
    /// One of its packages asks for the distribution `grpcio`.
    #[serde(default)]
    pub(crate) distribution: bool,
    /// What it needs beside Python.
    #[serde(default)]
    pub(crate) programs: Vec<Program>,
    /// Variables of its environment.
    #[serde(default)]
    pub(crate) variables: BTreeMap<String, String>,
    /// A package's own tests; without it the case is its `run.py`.
    pub(crate) suite: Option<Suite>,
    /// Results that are not as on grpcio, and why.
    #[serde(default)]
    pub(crate) differs: Vec<Excused>,
}

/// A program beside Python, on the path of the case.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Program {
    pub(crate) name: String,
    /// The package of Debian that has it.
    pub(crate) package: String,
    /// Has the program say its version.
    pub(crate) version: String,
}

/// The tests in a source distribution.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Suite {
    /// The package, as requirements.txt pins it.
    pub(crate) sdist: String,
    /// Folders or files in it.
    pub(crate) tests: Vec<String>,
    /// Further arguments of pytest.
    #[serde(default)]
    pub(crate) arguments: Vec<String>,
    /// At least as many pass on grpcio, or the case is broken.
    pub(crate) minimum: usize,
    /// Tests that are not run on either side, and why.
    #[serde(default)]
    pub(crate) deselect: Vec<Excused>,
}

/// Results that are left out or known, by the beginnings of their names.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Excused {
    pub(crate) names: Vec<String>,
    /// Shown with them.
    pub(crate) reason: String,
}

/// Reads all cases, by name.
pub(crate) fn read(root: &Path) -> Result<Vec<Case>> {
    let folder = root.join("workloads");
    let entries = fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
    let mut cases = Vec::new();
    for entry in entries {
        let folder = entry?.path();
        if folder.join("case.toml").is_file() {
            cases.push(Case::read(&folder).with_context(|| folder.display().to_string())?);
        }
    }
    cases.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(cases)
}

impl Case {
    fn read(folder: &Path) -> Result<Self> {
        let name = folder.file_name().context("a folder has a name")?.to_string_lossy();
        let about: About = toml::from_str(&fs::read_to_string(folder.join("case.toml"))?)?;
        ensure!(
            about.suite.is_some() != folder.join("run.py").is_file(),
            "a case has a suite or a run.py"
        );
        for excused in about.differs.iter().chain(about.suite.iter().flat_map(|s| &s.deselect)) {
            ensure!(!excused.reason.is_empty(), "{:?} want a reason", excused.names);
        }
        // It may have to be written yet.
        let pinned = fs::read_to_string(folder.join("requirements.txt")).unwrap_or_default();
        Ok(Self { name: name.into_owned(), folder: folder.to_owned(), about, pins: pins(&pinned) })
    }

    pub(crate) fn limit(&self) -> Duration {
        Duration::from_secs(self.about.limit)
    }

    /// The version of a package of this case.
    pub(crate) fn version(&self, package: &str) -> Result<&str> {
        let pin = self.pins.get(package).map(String::as_str);
        pin.with_context(|| format!("requirements.txt of {} does not pin {package}", self.name))
    }

    /// The packages it is about, with their versions.
    pub(crate) fn versions(&self) -> Vec<String> {
        let version = |package: &String| match self.pins.get(package) {
            Some(version) => format!("{package} {version}"),
            None => package.clone(),
        };
        self.about.packages.iter().map(version).collect()
    }
}

/// Reads `NAME==VERSION` at the beginning of lines.
fn pins(requirements: &str) -> BTreeMap<String, String> {
    let pin = |line: &str| {
        let (name, rest) = line.split_once("==")?;
        let version = rest.split([' ', ';']).next()?;
        let name = name.split('[').next()?;
        Some((name.trim().to_owned(), version.to_owned()))
    };
    requirements
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .filter_map(pin)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pins_of_a_file_of_requirements() {
        let text = "# uv pip compile a==1\nasgiref==3.13.0\n    # via test\n\
                    colorama==0.4.6 ; sys_platform == 'win32'\n";
        let pins = pins(text);
        assert_eq!(pins.len(), 2);
        assert_eq!(pins["asgiref"], "3.13.0");
        assert_eq!(pins["colorama"], "0.4.6");
    }

    #[test]
    fn every_case_is_pinned_and_has_what_it_is_about() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace");
        let cases = read(root).expect("they can be read");
        assert!(cases.iter().any(|case| case.about.quick));
        for case in &cases {
            for package in &case.about.packages {
                case.version(package).expect("it is pinned");
            }
            assert_eq!(case.version("grpcio").expect("grpcio is pinned"), "1.85.1");
        }
    }
}
