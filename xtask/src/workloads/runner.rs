//! Runs a case on one of the twins, with a limit that nothing outlives, and reads its results.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result};
use roxmltree::{Document, Node};
use serde::{Deserialize, Serialize};

use super::case::{Case, Suite};
use super::descendants;
use super::environment::{Prepared, Twin};
use crate::process;
use crate::workspace::Workspace;

/// What came out on one of the twins.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// By the name of a test, or of a line of output: what came of it.
    pub(crate) results: BTreeMap<String, String>,
    /// How the program ended if it was not well.
    pub(crate) broken: Option<String>,
    pub(crate) seconds: f64,
    pub(crate) stderr_lines: usize,
    pub(crate) tracebacks: usize,
}

impl Outcome {
    /// How many tests passed, or how many lines there are.
    pub(crate) fn good(&self) -> usize {
        self.results.values().filter(|result| !BAD.contains(&result.as_str())).count()
    }
}

/// Runs it.
pub(crate) fn run(
    workspace: &Workspace,
    case: &Case,
    prepared: &Prepared,
    twin: Twin,
) -> Result<Outcome> {
    let folder = prepared.twin(twin);
    let report = folder.join("junit.xml");
    let said = folder.join("results.txt");
    let _ = fs::remove_file(&report);
    let mut command = prepared.python(case, twin)?;
    match (&case.about.suite, prepared.source()) {
        (Some(suite), Some(source)) => {
            command.current_dir(source);
            pytest(&mut command, suite, &report);
        }
        _ => {
            let own = folder.join("run");
            if own.exists() {
                fs::remove_dir_all(&own)?;
            }
            fs::create_dir_all(&own)?;
            command.current_dir(&own).arg(case.folder.join("run.py"));
            command.env("PYTHONPATH", workspace.root.join("workloads/common"));
            fs::write(&said, "")?;
            command.env("WORKLOAD_RESULTS", &said);
        }
    }
    let (stdout, stderr) = (folder.join("stdout.txt"), folder.join("stderr.txt"));
    // Files, not pipes: what a program leaves running may hold them as long as it likes.
    command.stdin(Stdio::null()).stdout(File::create(&stdout)?).stderr(File::create(&stderr)?);
    let began = Instant::now();
    let mut child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
    let status = process::wait(&mut child, case.limit())?;
    let seconds = began.elapsed().as_secs_f64();
    descendants::end()?;

    let errors = lossy(&stderr)?;
    let mut outcome = Outcome {
        seconds,
        stderr_lines: errors.lines().count(),
        tracebacks: errors.lines().filter(|line| line.contains(TRACEBACK)).count(),
        ..Outcome::default()
    };
    let wrong = match status {
        None => Some(format!("did not end within {} s", case.limit().as_secs())),
        Some(status) if status.success() => None,
        Some(status) => Some(status.to_string()),
    };
    if case.about.suite.is_some() {
        match fs::read_to_string(&report) {
            // That a test failed is no reason of its own.
            Ok(text) => outcome.results = tests(&text)?,
            Err(_) => {
                let wrong = wrong.unwrap_or_else(|| "ended".to_owned());
                outcome.broken = Some(format!("{wrong}, and pytest wrote no report"));
            }
        }
    } else {
        outcome.results = lines(&lossy(&said)?);
        outcome.broken = wrong;
    }
    Ok(outcome)
}

fn pytest(command: &mut Command, suite: &Suite, report: &Path) {
    command.args(["-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "addopts="]);
    command.args(["--continue-on-collection-errors", "--timeout", TEST_LIMIT]);
    command.arg("--junitxml").arg(report);
    for name in suite.deselect.iter().flat_map(|excused| &excused.names) {
        command.args(["--deselect", name]);
    }
    command.args(&suite.arguments).args(&suite.tests);
}

fn lossy(path: &Path) -> Result<String> {
    let bytes = fs::read(path).with_context(|| path.display().to_string())?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The results of a program, a line `NAME: RESULT` each.
fn lines(said: &str) -> BTreeMap<String, String> {
    let mut results = BTreeMap::new();
    for line in said.lines().filter(|line| !line.trim().is_empty()) {
        let (name, result) = line.split_once(": ").unwrap_or((line, ""));
        insert(&mut results, name.to_owned(), result.to_owned());
    }
    results
}

/// Reads the report of pytest.
fn tests(report: &str) -> Result<BTreeMap<String, String>> {
    let document = Document::parse(report).context("pytest's report is not XML")?;
    let mut results = BTreeMap::new();
    for node in document.descendants().filter(|node| node.has_tag_name("testcase")) {
        let attribute = |name| node.attribute(name).unwrap_or_default();
        let name = format!("{}::{}", attribute("classname"), attribute("name"));
        // A test whose tear-down fails, too, stands there twice.
        insert(&mut results, without_addresses(&name), result(node).to_owned());
    }
    Ok(results)
}

fn result(node: Node<'_, '_>) -> &'static str {
    let has = |name: &str| node.children().any(|child| child.has_tag_name(name));
    if has("failure") {
        FAILED
    } else if has("error") {
        ERROR
    } else if has("skipped") {
        "skipped"
    } else {
        "passed"
    }
}

fn insert(results: &mut BTreeMap<String, String>, name: String, result: String) {
    let mut unique = name.clone();
    let mut count = 1;
    while results.contains_key(&unique) {
        count += 1;
        unique = format!("{name} #{count}");
    }
    results.insert(unique, result);
}

/// `0x7f3a...` becomes `0x`: names of parameters may have the address of an object.
fn without_addresses(name: &str) -> String {
    let mut parts = name.split("0x");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        text.push_str("0x");
        text.push_str(part.trim_start_matches(|digit: char| digit.is_ascii_hexdigit()));
    }
    text
}

const FAILED: &str = "failed";
const ERROR: &str = "error";
/// What no result may be on ferrpc that is not so on grpcio.
const BAD: [&str; 2] = [FAILED, ERROR];
const TRACEBACK: &str = "Traceback (most recent call last)";
/// Seconds for one test of a suite.
const TEST_LIMIT: &str = "60";

#[cfg(test)]
mod tests_of_results {
    use super::*;

    #[test]
    fn the_results_of_a_suite() {
        let report = r#"<testsuites><testsuite>
            <testcase classname="a.B" name="good[&lt;x at 0x7fab12&gt;]"/>
            <testcase classname="a.B" name="bad"><failure>why</failure></testcase>
            <testcase classname="a.B" name="bad"><error>tear-down</error></testcase>
            <testcase classname="a" name="left"><skipped/></testcase>
        </testsuite></testsuites>"#;
        let results = tests(report).expect("it is XML");
        let results: Vec<_> = results.iter().map(|(name, result)| [name, result]).collect();
        let expected = [
            ["a.B::bad", "failed"],
            ["a.B::bad #2", "error"],
            ["a.B::good[<x at 0x>]", "passed"],
            ["a::left", "skipped"],
        ];
        assert_eq!(results, expected);
    }

    #[test]
    fn the_lines_of_a_program() {
        let results = lines("calls: 20 of 20\nends: OK: good\n\ndone\ncalls: 3\n");
        assert_eq!(results["calls"], "20 of 20");
        assert_eq!(results["calls #2"], "3");
        assert_eq!(results["ends"], "OK: good");
        assert_eq!(results["done"], "");
        assert_eq!(results.len(), 4);
    }
}
