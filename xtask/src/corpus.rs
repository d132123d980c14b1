//! Public `.proto` files through protoc and through `ferrpc-compiler`: the same are refused, and the
//! others come to the same bytes, comments and places included.
//!
//! The packages come from the registries of Python, npm and Go, with their ordinary clients, into
//! `target/corpus`. Each file is compiled for itself, with what it imports.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use crate::report::{self, Progress, Tally};
use crate::workspace::Workspace;
use crate::{process, python};

/// What to compare.
#[derive(Args, Default)]
pub(crate) struct Options {
    /// Only the packages that the Python tests need anyway.
    #[arg(long)]
    pub(crate) quick: bool,
}

enum Registry {
    Pypi,
    Npm,
    Go,
}

/// A package, and where in it imports start from.
struct Package {
    registry: Registry,
    name: &'static str,
    version: &'static str,
    roots: &'static [&'static str],
}

const PACKAGES: &[Package] = &[
    pypi("googleapis-common-protos", "1.76.0"),
    pypi("grpc-google-iam-v1", "0.14.6"),
    Package { registry: Registry::Npm, name: "google-proto-files", version: "5.0.3", roots: &[""] },
    go("google.golang.org/protobuf", "v1.36.12", &["", "internal/testprotos"]),
    go("github.com/gogo/protobuf", "v1.3.2", &["", "protobuf"]),
    go("github.com/bufbuild/protocompile", "v0.14.1", &["internal/testdata"]),
    go("github.com/grpc-ecosystem/grpc-gateway/v2", "v2.33.0", &[""]),
    go("github.com/containerd/containerd/api", "v1.12.0", &[""]),
    go("github.com/openconfig/gnmi", "v0.14.1", &["proto", ""]),
    go("go.etcd.io/etcd/api/v3", "v3.7.3", &[""]),
    go("k8s.io/apimachinery", "v0.37.2", &[""]),
];

const fn pypi(name: &'static str, version: &'static str) -> Package {
    Package { registry: Registry::Pypi, name, version, roots: &[""] }
}

const fn go(name: &'static str, version: &'static str, roots: &'static [&'static str]) -> Package {
    Package { registry: Registry::Go, name, version, roots }
}

/// Files that are compiled before they are compared.
const AT_ONCE: usize = 250;

/// Compares all files; each is one check.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<Tally> {
    let progress = Progress::new();
    let python = python::prepare_oracle(workspace, &progress)?;
    workspace.build(&progress, &["-p", "ferrpc-compiler", "--example", "sets"])?;
    let folder = workspace.target.join("corpus");
    fs::create_dir_all(&folder)?;
    let mut places = Vec::new();
    for package in PACKAGES.iter().take(if options.quick { 2 } else { PACKAGES.len() }) {
        progress.say(&format!("{} {}", package.name, package.version));
        let place = package.fetch(workspace, &python, &folder)?;
        places.push((package, place));
    }
    let common = well_known(&python)?;
    let mut tally = Tally::default();
    let mut table = report::table(["package", "files", "same", "both refuse", "wrong"]);
    for (package, place) in &places {
        progress.say(package.name);
        // The packages that others import from.
        let mut directories: Vec<PathBuf> =
            package.roots.iter().map(|root| place.join(root)).collect();
        directories.extend(places.iter().take(3).map(|(_, place)| place.clone()));
        directories.push(common.clone());
        let counts = compare(workspace, &python, &folder, &directories)?;
        let Counts { same, refused, wrong } = counts;
        for line in &wrong {
            println!("{}: {line}", package.name);
        }
        tally.passed += same + refused;
        tally.failed += wrong.len();
        table.add_row([
            package.name.to_owned(),
            (same + refused + wrong.len()).to_string(),
            same.to_string(),
            refused.to_string(),
            wrong.len().to_string(),
        ]);
    }
    drop(progress);
    println!("{table}");
    ensure!(tally.passed > 0, "there was no file to compare");
    Ok(tally)
}

/// The folder of the well-known files that grpcio-tools has.
fn well_known(python: &Path) -> Result<PathBuf> {
    let mut command = Command::new(python);
    command.args(["-c", "import grpc_tools; print(grpc_tools.__path__[0])"]);
    let folder = process::output(&mut command, "grpc_tools", process::MINUTE)?;
    Ok(PathBuf::from(folder.trim()).join("_proto"))
}

impl Package {
    /// Where the package lies, unpacked.
    fn fetch(&self, workspace: &Workspace, python: &Path, folder: &Path) -> Result<PathBuf> {
        let own = folder.join(format!("{}-{}", self.name.replace('/', "_"), self.version));
        let done = own.join(".done");
        let place = match self.registry {
            Registry::Npm => own.join("package"),
            Registry::Pypi => own.clone(),
            Registry::Go => return self.fetch_go(workspace, folder),
        };
        if done.exists() {
            return Ok(place);
        }
        fs::create_dir_all(&own)?;
        let spec = |between: &str| format!("{}{between}{}", self.name, self.version);
        let fetch = match self.registry {
            Registry::Npm => run_in(&own, "npm", &["pack", "--silent", &spec("@")]),
            _ => {
                let spec = spec("==");
                let arguments = ["-m", "pip", "download", "--no-deps", "--quiet", &spec];
                run_in(&own, python, &arguments)
            }
        };
        fetch?;
        for entry in fs::read_dir(&own)? {
            let archive = entry?.path();
            let name = archive.to_string_lossy().into_owned();
            match archive.extension().and_then(|it| it.to_str()) {
                Some("tgz") => run_in(&own, "tar", &["xzf", &name])?,
                Some("whl") => run_in(&own, python, &["-m", "zipfile", "-e", &name, "."])?,
                _ => {}
            }
        }
        File::create(done)?;
        Ok(place)
    }

    fn fetch_go(&self, workspace: &Workspace, folder: &Path) -> Result<PathBuf> {
        let module = format!("{}@{}", self.name, self.version);
        let mut command = Command::new("go");
        command.args(["mod", "download", "-json", &module]).current_dir(&workspace.target);
        command.env("GOMODCACHE", folder.join("go")).env("GOFLAGS", "-mod=mod");
        let said = process::output(&mut command, &module, 10 * process::MINUTE)?;
        let said: serde_json::Value = serde_json::from_str(&said)?;
        Ok(said["Dir"].as_str().context("go says where the module lies")?.into())
    }
}

fn run_in(folder: &Path, program: impl AsRef<std::ffi::OsStr>, arguments: &[&str]) -> Result<()> {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder);
    process::output(&mut command, arguments.join(" ").as_str(), 10 * process::MINUTE).map(drop)
}

struct Counts {
    same: usize,
    refused: usize,
    wrong: Vec<String>,
}

fn compare(
    workspace: &Workspace,
    python: &Path,
    folder: &Path,
    directories: &[PathBuf],
) -> Result<Counts> {
    let root = directories.first().context("a package has a root")?;
    let mut files = Vec::new();
    gather(root, &mut files)?;
    files.sort();
    let mut counts = Counts { same: 0, refused: 0, wrong: Vec::new() };
    let searched: Vec<String> = directories.iter().map(|it| it.display().to_string()).collect();
    let script = workspace.root.join("crates/ferrpc-compiler/examples/sets.py");
    let program = workspace.built("debug/examples/sets");
    let (theirs, ours) = (folder.join("theirs"), folder.join("ours"));
    // With all imports the sets of a package would fill the disk.
    for files in files.chunks(AT_ONCE) {
        for out in [&theirs, &ours] {
            let _ = fs::remove_dir_all(out);
            fs::create_dir_all(out)?;
        }
        let jobs = |out: &Path| -> String {
            let line = |(at, file): (usize, &PathBuf)| {
                let name = file.strip_prefix(root).unwrap_or(file).display();
                let out = out.join(at.to_string());
                format!("{}\t{name}\t{}\n", out.display(), searched.join(":"))
            };
            files.iter().enumerate().map(line).collect()
        };
        feed(Command::new(python).arg(&script), &folder.join("jobs"), &jobs(&theirs))?;
        feed(&mut Command::new(&program), &folder.join("jobs"), &jobs(&ours))?;
        for (at, file) in files.iter().enumerate() {
            let read = |out: &Path| fs::read(out.join(at.to_string())).ok();
            let file = file.display();
            match (read(&theirs), read(&ours)) {
                (Some(theirs), Some(ours)) if theirs == ours => counts.same += 1,
                (None, None) => counts.refused += 1,
                (Some(_), Some(_)) => counts.wrong.push(format!("{file}: other descriptors")),
                (Some(_), None) => counts.wrong.push(format!("{file}: refused")),
                (None, Some(_)) => counts.wrong.push(format!("{file}: taken")),
            }
        }
    }
    Ok(counts)
}

/// Runs a program with a list of jobs as its input.
fn feed(command: &mut Command, path: &Path, jobs: &str) -> Result<()> {
    fs::write(path, jobs)?;
    python::clean(command);
    command.stdin(Stdio::from(File::open(path)?)).stdout(Stdio::null());
    let mut child = command.spawn().with_context(|| format!("{:?}", command.get_program()))?;
    match process::wait(&mut child, 30 * process::MINUTE)? {
        Some(status) if status.success() => Ok(()),
        status => bail!("a compiler ended with {status:?}"),
    }
}

fn gather(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            gather(&path, files)?;
        } else if path.extension().is_some_and(|it| it == "proto") {
            files.push(path);
        }
    }
    Ok(())
}
