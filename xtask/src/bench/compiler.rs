//! `--only compiler`: ferrpc's compiler beside protoc, both as `grpc_tools` of Python, with the same
//! flags on the same files: one file, three thousand in one call, and the start of the program.
//!
//! The files are made of the repository's own: a package for each, with imports of others.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::figures::median;
use super::programs;
use crate::report::{self, Progress, Tally};
use crate::workspace::Workspace;
use crate::{process, python};

/// What a process of `bench/compiler/measure.py` says.
#[derive(Deserialize)]
struct Said {
    seconds: Vec<f64>,
    peak: f64,
}

/// A figure of both; ours may be so many times theirs, or so large.
struct Row {
    what: &'static str,
    unit: &'static str,
    ours: f64,
    theirs: f64,
    most: f64,
}

pub(crate) fn run(workspace: &Workspace, rounds: usize, quick: bool) -> Result<Tally> {
    let progress = Progress::new();
    let ours = programs::interpreter_of_ours(workspace, &progress)?;
    let theirs = python::prepare_oracle(workspace, &progress)?;
    let folder = workspace.target.join("bench-compiler/protos");
    let files = make_files(workspace, &folder, if quick { 300 } else { MANY })?;
    let pythons = [ours.as_path(), theirs.as_path()];
    let mut one: [Vec<f64>; 2] = Default::default();
    let (mut many, mut memory, mut start) = (one.clone(), one.clone(), one.clone());
    for round in 1..=rounds {
        for (at, python) in pythons.into_iter().enumerate() {
            let name = ["ferrpc", "protoc"][at];
            progress.say(&format!("round {round} of {rounds}: {name}"));
            let said = measure(workspace, python, &folder, 50, &files[..1])?;
            one[at].push(median(said.seconds) * 1e3);
            let said = measure(workspace, python, &folder, 1, &files)?;
            many[at].push(median(said.seconds));
            memory[at].push(said.peak);
            start[at].push(start_of(python)? * 1e3);
        }
    }
    drop(progress);
    let row = |what, unit, of: [Vec<f64>; 2], most: Option<f64>, share: f64| {
        let [ours, theirs] = of.map(median);
        Row { what, unit, ours, theirs, most: most.unwrap_or(theirs * share) }
    };
    let rows = [
        row("one file", "ms", one, None, 1.0),
        row("all files in one call", "s", many, None, 0.25),
        row("memory of that", "MiB", memory, None, 1.0),
        row("start of `python -m grpc_tools.protoc`", "ms", start, Some(60.0), 1.0),
    ];
    let mut table = report::table(["", "ferrpc", "protoc", "at most", "unit"]);
    let mut tally = Tally::default();
    for row in rows {
        let good = row.ours <= row.most;
        tally.count(good);
        table.add_row([
            report::cell(row.what, true),
            report::cell(format!("{:.3}", row.ours), good),
            report::cell(format!("{:.3}", row.theirs), true),
            report::cell(format!("{:.3}", row.most), true),
            report::cell(row.unit, true),
        ]);
    }
    println!("{} files, median of {rounds} rounds\n{table}", files.len());
    Ok(tally)
}

fn measure(
    workspace: &Workspace,
    python: &Path,
    folder: &Path,
    repeats: usize,
    files: &[String],
) -> Result<Said> {
    let mut command = Command::new(python);
    command.arg("-I").arg(workspace.root.join("bench/compiler/measure.py")).arg(folder);
    command.arg(repeats.to_string()).args(files);
    let text = process::output(&mut command, "measure.py", 10 * process::MINUTE)?;
    serde_json::from_str(&text).with_context(|| format!("no JSON: {text}"))
}

fn start_of(python: &Path) -> Result<f64> {
    let mut times = Vec::new();
    for _ in 0..STARTS {
        let mut command = Command::new(python);
        command.args(["-I", "-m", "grpc_tools.protoc", "--version"]);
        let begun = Instant::now();
        process::output(&mut command, "protoc --version", process::MINUTE)?;
        times.push(begun.elapsed().as_secs_f64());
    }
    Ok(median(times))
}

/// Writes the files that are compiled; their paths below the folder.
fn make_files(workspace: &Workspace, folder: &Path, count: usize) -> Result<Vec<String>> {
    let protos = workspace.root.join("testdata/protos/python");
    let templates = ["kinds.proto", "documented.proto"];
    let mut texts = Vec::new();
    for name in templates {
        let text = fs::read_to_string(protos.join(name)).with_context(|| name.to_owned())?;
        let package = text.lines().find(|line| line.starts_with("package "));
        let package = package.with_context(|| format!("{name} has no package"))?.to_owned();
        texts.push((text, package));
    }
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    let imported = imports_of(&texts, &protos)?;
    for (name, text) in imported {
        write(folder, &name, &text)?;
    }
    let mut files = Vec::new();
    for at in 0..count {
        let (text, package) = &texts[at % texts.len()];
        let own = package.trim_start_matches("package ").trim_end_matches(';').trim();
        let mut text = text.replace(package, &format!("package load{at}.{own};"));
        if let Some(before) = at.checked_sub(1) {
            // After the package: a message that uses the file before.
            let other = texts[before % texts.len()].1.trim_start_matches("package ");
            let other = other.trim_end_matches(';').trim();
            let (head, tail) =
                text.split_once(&format!("package load{at}.{own};\n")).context("it")?;
            let import = format!("import \"load{before}/file.proto\";\n");
            let uses = format!(
                "message UsesBefore {{ map<string, .load{before}.{other}.Marker> by_name = 1; }}\n"
            );
            text = format!("{head}package load{at}.{own};\n{import}{tail}\n{uses}");
        }
        text.push_str("\nmessage Marker {}\n");
        let name = format!("load{at}/file.proto");
        write(folder, &name, &text)?;
        files.push(name);
    }
    ensure!(!files.is_empty(), "there are no files");
    Ok(files)
}

/// What the templates import of the folder itself.
fn imports_of(texts: &[(String, String)], protos: &Path) -> Result<Vec<(String, String)>> {
    let mut found: Vec<(String, String)> = Vec::new();
    let mut open: Vec<String> = texts.iter().map(|(text, _)| text.clone()).collect();
    while let Some(text) = open.pop() {
        for line in text.lines().filter(|line| line.starts_with("import ")) {
            let Some(name) = line.split('"').nth(1) else { continue };
            let path: PathBuf = protos.join(name);
            if path.exists() && !found.iter().any(|(known, _)| known == name) {
                let text = fs::read_to_string(path)?;
                open.push(text.clone());
                found.push((name.to_owned(), text));
            }
        }
    }
    Ok(found)
}

fn write(folder: &Path, name: &str, text: &str) -> Result<()> {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().context("it was joined")?)?;
    fs::write(path, text)?;
    Ok(())
}

const MANY: usize = 3000;
const STARTS: usize = 10;
