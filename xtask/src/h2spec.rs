//! h2spec, an outside judge of HTTP/2 servers, on the example server: every case that RFC 9113
//! still binds. It asks for `/` without a gRPC content-type, which the example's fallback answers
//! with 200 and a line of text.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use roxmltree::{Document, Node};

use crate::peers::{self, Skipped};
use crate::process::{self, Server};
use crate::report::{Progress, Tally};
use crate::workspace::Workspace;

/// Cases that do not bind any more.
const EXCLUDED: &[Excluded] = &[
    Excluded {
        section: "http2/5.3.1",
        case: "Sends HEADERS frame that depend on itself",
        reason: "RFC 9113 has dropped the priorities of RFC 7540, and with them this error",
    },
    Excluded {
        section: "http2/5.3.1",
        case: "Sends PRIORITY frame that depend on itself",
        reason: "RFC 9113 has dropped the priorities of RFC 7540, and with them this error",
    },
];

struct Excluded {
    section: &'static str,
    case: &'static str,
    reason: &'static str,
}

/// Builds h2spec from `xtask/h2spec/go.mod`; skipped where there is no Go.
pub(crate) fn prepare(
    workspace: &Workspace,
    progress: &Progress,
) -> Result<Result<PathBuf, Skipped>> {
    let mut version = Command::new("go");
    version.arg("version");
    if process::output(&mut version, "go version", process::MINUTE).is_err() {
        return Ok(Err(Skipped { name: "h2spec", reason: "Go is not there".to_owned() }));
    }
    progress.say("building h2spec");
    let out = workspace.peer("h2spec");
    let program = out.join("h2spec");
    let mut build = Command::new("go");
    build
        .args(["build", "-mod=readonly", "-modcacherw", "-buildvcs=false", "-o"])
        .arg(&program)
        .arg("github.com/summerwind/h2spec/cmd/h2spec")
        .current_dir(workspace.root.join("xtask/h2spec"))
        // Without this an old Go would try to download a newer one.
        .env("GOTOOLCHAIN", "local")
        .env("GOWORK", "off")
        .env("CGO_ENABLED", "0")
        .env("GOMODCACHE", out.join("gomod"))
        .env("GOCACHE", out.join("gocache"));
    process::output(&mut build, "building h2spec (Go 1.24 or newer)", process::BUILD)?;
    Ok(Ok(program))
}

/// Runs all cases against ferrpc's example server.
pub(crate) fn run(workspace: &Workspace, progress: &Progress, program: &Path) -> Result<Tally> {
    let ferrpc = peers::examples(workspace, progress)?;
    let mut server = Server::start(&mut ferrpc.server(), "test_service_server")?;
    progress.say("h2spec");
    let (host, port) = server.address().rsplit_once(':').context("the address has a port")?;
    let report = workspace.peer("h2spec").join("report.xml");
    if report.exists() {
        fs::remove_file(&report)?;
    }
    let mut command = Command::new(program);
    command.args(["--strict", "--timeout", "2", "--host", host, "--port", port]);
    command.arg("--junit-report").arg(&report);
    // Its status is not asked: it fails for the cases that do not bind, too.
    let finished = process::finish(&mut command, "h2spec", LIMIT)?;
    let text = fs::read_to_string(&report)
        .with_context(|| format!("h2spec wrote no report; {}", finished.account()))?;
    let tally = judge(&cases(&text)?)?;
    server.check()?;
    Ok(tally)
}

/// One case of the report.
#[derive(Debug, PartialEq, Eq)]
struct Case {
    section: String,
    title: String,
    outcome: Outcome,
}

#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Passed,
    /// The server did not offer what the case needs: a red cell too.
    Skipped,
    /// What was expected and what came.
    Failed(String),
}

/// Reads the JUnit report.
fn cases(report: &str) -> Result<Vec<Case>> {
    let document = Document::parse(report).context("h2spec's report is not XML")?;
    document.descendants().filter(|node| node.has_tag_name("testcase")).map(case).collect()
}

fn case(node: Node<'_, '_>) -> Result<Case> {
    let attribute = |name| {
        let value: Option<&str> = node.attribute(name);
        value.map(str::to_owned).with_context(|| format!("a case of h2spec's has no {name}"))
    };
    let complaint = node.children().find(|child| FAILURES.contains(&child.tag_name().name()));
    let outcome = if let Some(complaint) = complaint {
        Outcome::Failed(complaint.text().unwrap_or("no reason given").trim().replace('\n', " | "))
    } else if node.children().any(|child| child.has_tag_name("skipped")) {
        Outcome::Skipped
    } else {
        Outcome::Passed
    };
    Ok(Case { section: attribute("package")?, title: attribute("classname")?, outcome })
}

/// Prints what is excluded and what failed.
fn judge(cases: &[Case]) -> Result<Tally> {
    let mut tally = Tally::default();
    println!("\nh2spec on test_service_server");
    let mut unused: Vec<_> = EXCLUDED.iter().collect();
    for case in cases {
        let Case { section, title, outcome } = case;
        if let Some(at) = unused.iter().position(|excluded| excluded.is(case)) {
            println!("excluded: {section}: {title} ({})", unused.remove(at).reason);
            continue;
        }
        match outcome {
            Outcome::Passed => {}
            Outcome::Skipped => println!("FAIL {section}: {title}: h2spec could not try it"),
            Outcome::Failed(why) => println!("FAIL {section}: {title}: expected | got: {why}"),
        }
        tally.count(*outcome == Outcome::Passed);
    }
    if let Some(excluded) = unused.first() {
        bail!("h2spec has no case {}: {} any more", excluded.section, excluded.case);
    }
    println!("h2spec: {tally}, {} excluded", EXCLUDED.len());
    Ok(tally)
}

impl Excluded {
    fn is(&self, case: &Case) -> bool {
        self.section == case.section && self.case == case.title
    }
}

/// JUnit's two words for it.
const FAILURES: [&str; 2] = ["failure", "error"];
/// Every case waits for 2 seconds at most; there are 146, some of several steps.
const LIMIT: Duration = Duration::from_secs(10 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<testsuites>
  <testsuite name="5.3.1. Stream Dependencies" package="http2/5.3.1" id="5.3.1" tests="2">
    <testcase package="http2/5.3.1" classname="Sends HEADERS frame that depend on itself" time="2"><error>GOAWAY Frame
Timeout</error></testcase>
    <testcase package="http2/5.3.1" classname="Sends PRIORITY frame that depend on itself" time="0"></testcase>
  </testsuite>
  <testsuite name="7. Error Codes" package="http2/7" id="7" tests="3">
    <testcase package="http2/7" classname="A" time="0.0003"></testcase>
    <testcase package="http2/7" classname="B" time="0.0003"><skipped></skipped></testcase>
    <testcase package="http2/7" classname="C" time="0.0003"><failure>Ping
Timeout</failure></testcase>
  </testsuite>
</testsuites>"#;

    #[test]
    fn a_report() {
        let cases = cases(REPORT).expect("it is one");
        let outcomes: Vec<_> = cases.iter().skip(2).map(|case| &case.outcome).collect();
        let failed = Outcome::Failed("Ping | Timeout".to_owned());
        assert_eq!(outcomes, [&Outcome::Passed, &Outcome::Skipped, &failed]);
        assert_eq!(judge(&cases).expect("all is known"), Tally { passed: 1, failed: 2 });
    }

    #[test]
    fn an_exclusion_of_nothing_is_an_error() {
        judge(&[]).expect_err("the excluded cases are not there");
    }
}
