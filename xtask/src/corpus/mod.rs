//! Public `.proto` files through protoc and through ferrpc: the same are refused, and the others come
//! to the same descriptor sets, comments and places included, and to modules of Python that hold the
//! same.
//!
//! ```text
//! packages  what is compared, from the registries of Python, npm, Go, Rust and Java, in target/corpus
//! compare   both compilers on some files
//! modules.py  what is in generated modules
//! ```

mod compare;
mod packages;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::report::{self, Progress, Tally};
use crate::workspace::Workspace;
use crate::{process, python};
use compare::{Compilers, Counts, Group};
use packages::PACKAGES;

/// What to compare.
#[derive(Args, Default)]
pub(crate) struct Options {
    /// Only the packages that the Python tests need anyway.
    #[arg(long)]
    pub(crate) quick: bool,
    /// Only packages with this in their names.
    #[arg(long)]
    pub(crate) only: Option<String>,
}

/// Files of one call of a compiler, and modules of one process.
const AT_ONCE: usize = 250;
/// The first packages are those that others import from.
const COMMON: usize = 3;

/// Compares all files; each is one check.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<Tally> {
    let progress = Progress::new();
    let python = python::prepare_oracle(workspace, &progress)?;
    workspace.build(&progress, &["-p", "ferrpc-cli"])?;
    let folder = workspace.target.join("corpus");
    fs::create_dir_all(&folder)?;
    let mut places = Vec::new();
    for package in PACKAGES.iter().take(if options.quick { 2 } else { PACKAGES.len() }) {
        progress.say(&format!("{} {}", package.name, package.version));
        let place = package.fetch(workspace, &python, &folder)?;
        places.push((package, place));
    }
    let common = well_known(&python)?;
    let compilers = Compilers {
        python,
        ours: workspace.built("debug/ferrpc"),
        modules: workspace.root.join("xtask/src/corpus/modules.py"),
        scratch: folder.join("scratch"),
    };
    let _ = fs::remove_dir_all(&compilers.scratch);
    let common_names: Vec<String> =
        places.iter().take(COMMON).map(|(package, _)| package.name.to_owned()).collect();
    let mut tally = Tally::default();
    let columns = ["package", "files", "same", "both refuse", "same error", "modules", "wrong"];
    let mut table = report::table(columns);
    let mut all = Counts::default();
    let start = Instant::now();
    for (package, place) in &places {
        if options.only.as_ref().is_some_and(|only| !package.name.contains(only.as_str())) {
            continue;
        }
        progress.say(package.name);
        let own: Vec<PathBuf> = package.roots.iter().map(|root| place.join(root)).collect();
        let files = files_of(&own)?;
        // The packages that others import from.
        let mut directories = own;
        directories.extend(places.iter().take(COMMON).map(|(_, place)| place.clone()));
        directories.push(common.clone());
        let mut counts = Counts::default();
        for files in files.chunks(AT_ONCE) {
            let group = Group { package: package.name, directories: &directories, files };
            compilers.compare(&group, &mut counts)?;
        }
        compilers.compare_modules(package.name, &common_names, &mut counts)?;
        ensure!(counts.same > 0, "no file of {} compiles: none was compared", package.name);
        for line in &counts.wrong {
            println!("{}: {line}", package.name);
        }
        tally.passed += counts.same + counts.refused;
        tally.failed += counts.wrong.len();
        table.add_row(row(package.name, &counts));
        all.same += counts.same;
        all.refused += counts.refused;
        all.same_error += counts.same_error;
        all.modules += counts.modules;
        all.modules_of_neither += counts.modules_of_neither;
        all.modules_of_ours += counts.modules_of_ours;
        all.wrong.extend(counts.wrong);
    }
    drop(progress);
    table.add_row(row("all", &all));
    println!("{table}");
    println!(
        "{} modules cannot be imported with either compiler, and {} as protoc writes them; {}",
        all.modules_of_neither,
        all.modules_of_ours,
        report::elapsed(start.elapsed())
    );
    ensure!(tally.passed > 0, "there was no file to compare");
    Ok(tally)
}

fn row(name: &str, counts: &Counts) -> [String; 7] {
    let Counts { same, refused, same_error, modules, wrong, .. } = counts;
    let files = same + refused + wrong.len();
    [
        name.to_owned(),
        files.to_string(),
        same.to_string(),
        refused.to_string(),
        same_error.to_string(),
        modules.to_string(),
        wrong.len().to_string(),
    ]
}

/// The folder of the well-known files that grpcio-tools has.
fn well_known(python: &Path) -> Result<PathBuf> {
    let mut command = Command::new(python);
    command.args(["-c", "import grpc_tools; print(grpc_tools.__path__[0])"]);
    let folder = process::output(&mut command, "grpc_tools", process::MINUTE)?;
    Ok(PathBuf::from(folder.trim()).join("_proto"))
}

/// The files of some folders, each relative to the first one that has it.
fn files_of(roots: &[PathBuf]) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for (at, root) in roots.iter().enumerate() {
        let mut below = Vec::new();
        gather(root, &["proto"], &mut below)?;
        below.retain(|path| !roots[..at].iter().any(|earlier| path.starts_with(earlier)));
        below.sort();
        for path in below {
            let name = path.strip_prefix(root)?.to_str().context("a path is not UTF-8")?.to_owned();
            // Another folder's file of the name would be found first.
            if !roots[..at].iter().any(|earlier| earlier.join(&name).exists()) {
                found.push(name);
            }
        }
    }
    Ok(found)
}

/// The files below a folder with one of the extensions.
fn gather(folder: &Path, extensions: &[&str], files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            gather(&path, extensions, files)?;
        } else if path.extension().is_some_and(|it| extensions.iter().any(|one| it == *one)) {
            files.push(path);
        }
    }
    Ok(())
}
