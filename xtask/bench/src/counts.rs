//! `cargo xtask bench --check`: the instructions of `bench/counts`, counted by callgrind, against
//! `bench/counts/baseline.json`. More than [`TOLERANCE`] above it is a failure.
//!
//! What the count depends on is pinned or named. The compiler's target is the default one, whatever
//! `RUSTFLAGS` says, and the C library takes its plainest routines (`GLIBC_TUNABLES`), so that the
//! features of the CPU make no difference. Rust's version, the architecture and the C library's
//! version are written into the baseline. Another Rust is a failure (the repository pins it, so
//! whoever changes it blesses new counts); another architecture or C library cannot be compared,
//! and says so.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use super::tools;
use crate::process;
use crate::report::{self, Progress, Tally};
use crate::workspace::Workspace;

/// The committed counts, and what they were counted with.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Baseline {
    rustc: String,
    /// Architecture and C library.
    system: String,
    /// Instructions of each workload.
    counts: BTreeMap<String, u64>,
}

/// Counts and compares, or writes the baseline anew; each workload is one check.
pub(crate) fn run(workspace: &Workspace, bless: bool) -> Result<Tally> {
    let path = workspace.root.join(BASELINE);
    let progress = Progress::new();
    tools::need(&progress, "valgrind", "valgrind")?;
    let now = count(workspace, &progress)?;
    drop(progress);
    if bless {
        let text = serde_json::to_string_pretty(&now)?;
        fs::write(&path, text + "\n").with_context(|| path.display().to_string())?;
        println!("{} workloads written to {BASELINE}", now.counts.len());
        return Ok(Tally { passed: now.counts.len(), failed: 0 });
    }
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let baseline: Baseline = serde_json::from_str(&text).context(BASELINE)?;
    if now.rustc == baseline.rustc && now.system != baseline.system {
        println!(
            "skipped: the instruction counts of {BASELINE} are of {}, this is {}",
            baseline.system, now.system
        );
        return Ok(Tally::default());
    }
    if now.rustc != baseline.rustc {
        bail!(
            "{BASELINE} is of {}, this is {}: look at the difference, then {BLESS}",
            baseline.rustc,
            now.rustc
        );
    }
    let lines = compare(&baseline.counts, &now.counts);
    let mut table = report::table(["workload", "instructions", "committed", "change", ""]);
    let mut tally = Tally::default();
    for Line { name, now, before, verdict } in &lines {
        let good = matches!(verdict, Verdict::Same | Verdict::Less);
        tally.count(good);
        let number = |number: &Option<u64>| number.map(|number| number.to_string());
        let change = now.zip(*before).map(|(now, before)| format!("{:+.2} %", change(now, before)));
        table.add_row([
            name.into(),
            number(now).unwrap_or_default().into(),
            number(before).unwrap_or_default().into(),
            change.unwrap_or_default().into(),
            report::cell(verdict.words(), good),
        ]);
    }
    println!("{table}");
    if tally.failed > 0 {
        println!("If that is meant to be: {BLESS}, and say why in the commit.");
    } else if lines.iter().any(|line| line.verdict == Verdict::Less) {
        println!("{BLESS} keeps what was gained.");
    }
    Ok(tally)
}

/// Builds the workloads and counts each.
fn count(workspace: &Workspace, progress: &Progress) -> Result<Baseline> {
    progress.say("cargo build --release -p ferrpc-bench-counts");
    let mut command = workspace.cargo(&["build", "--quiet", "--release", "-p", PACKAGE]);
    // Flags of the user's own would make another program of it.
    for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_RUSTFLAGS"] {
        command.env_remove(name);
    }
    process::output(&mut command, "cargo build of the workloads", process::BUILD)?;
    let program = workspace.built("release").join(PACKAGE);
    let names =
        process::output(Command::new(&program).arg("--list"), "the workloads", process::MINUTE)?;
    let folder = workspace.target.join("bench");
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let mut counts = BTreeMap::new();
    for name in names.lines() {
        progress.detail(&format!("callgrind: {name}"));
        counts.insert(name.to_owned(), instructions(&program, name, &folder)?);
    }
    let mut rustc = Command::new("rustc");
    rustc.arg("--version").current_dir(&workspace.root);
    let rustc = process::output(&mut rustc, "rustc --version", process::MINUTE)?;
    let system = format!("{}, {}", env::consts::ARCH, c_library()?);
    Ok(Baseline { rustc: rustc.trim().to_owned(), system, counts })
}

/// What callgrind counts in `counted` and in all that it calls.
fn instructions(program: &Path, name: &str, folder: &Path) -> Result<u64> {
    let profile = folder.join(format!("callgrind.{name}"));
    let mut command = Command::new("valgrind");
    command
        // The length of the environment moves the stack.
        .env_clear()
        .env("PATH", env::var_os("PATH").unwrap_or_default())
        .env("GLIBC_TUNABLES", PLAIN)
        .args(["--tool=callgrind", "--collect-atstart=no", "--toggle-collect=*counted*"])
        .arg(format!("--callgrind-out-file={}", profile.display()))
        .arg(program)
        .arg(name);
    process::output(&mut command, &format!("callgrind of {name}"), process::MINUTE * 5)?;
    let text = fs::read_to_string(&profile).with_context(|| profile.display().to_string())?;
    let total = total(&text).with_context(|| format!("{} has no total", profile.display()))?;
    ensure!(
        total > 0,
        "{name}: nothing was counted; the function is not called `counted` any more"
    );
    Ok(total)
}

/// `summary: 123` or `totals: 123`.
fn total(profile: &str) -> Option<u64> {
    let total = |line: &str| line.strip_prefix("totals: ")?.trim().parse().ok();
    profile.lines().rev().find_map(total)
}

/// Its name and version.
fn c_library() -> Result<String> {
    let mut command = Command::new("getconf");
    let said = process::output(command.arg("GNU_LIBC_VERSION"), "getconf", process::MINUTE)?;
    Ok(said.trim().to_owned())
}

#[derive(Debug, PartialEq)]
struct Line {
    name: String,
    now: Option<u64>,
    before: Option<u64>,
    verdict: Verdict,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Verdict {
    Same,
    Less,
    More,
    /// On one side only.
    Unknown,
}

impl Verdict {
    fn words(self) -> &'static str {
        match self {
            Self::Same => "as committed",
            Self::Less => "less",
            Self::More => "MORE",
            Self::Unknown => "NOT ON BOTH SIDES",
        }
    }
}

fn compare(before: &BTreeMap<String, u64>, now: &BTreeMap<String, u64>) -> Vec<Line> {
    let mut names: Vec<_> = before.keys().chain(now.keys()).collect();
    names.sort();
    names.dedup();
    let line = |name: &String| {
        let (now, before) = (now.get(name).copied(), before.get(name).copied());
        let verdict = match now.zip(before).map(|(now, before)| change(now, before)) {
            None => Verdict::Unknown,
            Some(more) if more > TOLERANCE => Verdict::More,
            Some(less) if less < -TOLERANCE => Verdict::Less,
            Some(_) => Verdict::Same,
        };
        Line { name: name.clone(), now, before, verdict }
    };
    names.into_iter().map(line).collect()
}

/// In per cent.
fn change(now: u64, before: u64) -> f64 {
    (now as f64 / before as f64 - 1.0) * 100.0
}

const PACKAGE: &str = "ferrpc-bench-counts";
const BASELINE: &str = "bench/counts/baseline.json";
const BLESS: &str = "`cargo xtask bench --bless`";
/// In per cent. Seeded hash tables, and with them the path of the
/// checkout, move a count by up to 0.5.
const TOLERANCE: f64 = 3.0;
/// The names of glibc 2.33 and later; those that it does not know it ignores.
const PLAIN: &str = "glibc.cpu.hwcaps=-AVX,-AVX2,-AVX512F,-AVX_Fast_Unaligned_Load,-BMI2,-ERMS,-FSRM,-SSE4_2,-SSSE3";

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(counts: &[(&str, u64)]) -> BTreeMap<String, u64> {
        counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
    }

    #[test]
    fn more_than_the_tolerance_is_noticed_either_way() {
        let before = counts(&[("a", 1000), ("b", 1000), ("c", 1000), ("d", 1000)]);
        let now = counts(&[("a", 1029), ("b", 1031), ("c", 960), ("e", 1)]);
        let verdicts: Vec<_> =
            compare(&before, &now).iter().map(|line| (line.name.clone(), line.verdict)).collect();
        let expected = [
            ("a", Verdict::Same),
            ("b", Verdict::More),
            ("c", Verdict::Less),
            ("d", Verdict::Unknown),
            ("e", Verdict::Unknown),
        ];
        assert_eq!(verdicts, expected.map(|(name, verdict)| (name.to_owned(), verdict)));
    }

    #[test]
    fn the_profile() {
        assert_eq!(total("events: Ir\nfn=(1) main\n3 5\n\ntotals: 7617491\n"), Some(7617491));
        assert_eq!(total("events: Ir\n"), None);
    }
}
