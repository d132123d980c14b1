//! `cargo xtask tutorial`: does what docs/tutorial.md says, as a newcomer would, and compares what
//! comes out.
//!
//! Code blocks are read by their info strings: `LANGUAGE file=NAME` is saved, `sh` is run in one
//! shell with those before it, an `output` block is what the `sh` block before it prints. `sh
//! needs=PROGRAM` is left out where there is no such program. `sh matrix` is another command of
//! ours, which is run elsewhere.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use std::{env, fs, iter};

use anyhow::{Context, Result, bail};
use clap::Args;
use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag, TagEnd};

use crate::process;
use crate::report::{Progress, Tally};
use crate::workspace::Workspace;

/// How to run the tutorial.
#[derive(Args, Default)]
pub(crate) struct Options {
    /// A language whose toolchain is missing is an error; else it is skipped aloud.
    #[arg(long)]
    pub(crate) require_all: bool,
}

/// A fenced code block.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Block {
    info: String,
    text: String,
}

/// What a newcomer does with a block.
#[derive(Debug, PartialEq, Eq)]
enum Step<'a> {
    Save { name: &'a str, text: &'a str },
    Run { script: &'a str, output: Option<&'a str>, needs: Option<&'a str> },
}

/// Follows the tutorial; each command block is one check, and so is that its twin has the same
/// blocks.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<Tally> {
    let read = |name: &str| {
        let path = workspace.root.join("docs").join(name);
        fs::read_to_string(&path).with_context(|| path.display().to_string())
    };
    let blocks = blocks(&read(TUTORIAL)?);
    let mut tally = Tally::default();
    let equal = self::blocks(&read(TWIN)?) == blocks;
    if !equal {
        println!("the code blocks of {TWIN} are not those of {TUTORIAL}");
    }
    tally.count(equal);

    let (mut wanted, mut skipped) = (Vec::new(), Vec::new());
    for step in steps(&blocks)? {
        match step {
            Step::Run { needs: Some(program), .. } if !is_there(program) => skipped.push(program),
            step => wanted.push(step),
        }
    }
    for program in &skipped {
        println!("skipped: there is no {program}");
    }
    if options.require_all && !skipped.is_empty() {
        bail!("missing: {}", skipped.join(", "));
    }

    // Anew, as for a newcomer; what was built for it is cargo's and pip's to keep.
    let folder = workspace.target.join("tutorial");
    let outputs = workspace.target.join("tutorial-output");
    for folder in [&folder, &outputs] {
        if folder.exists() {
            fs::remove_dir_all(folder).with_context(|| folder.display().to_string())?;
        }
        fs::create_dir_all(folder)?;
    }
    let progress = Progress::new();
    progress.say("following docs/tutorial.md");
    let mut shell = Command::new("bash");
    shell.arg("-c").arg(script(&wanted, &outputs)).current_dir(&workspace.root);
    shell.env("PIP_DISABLE_PIP_VERSION_CHECK", "1");
    let finished = process::finish(&mut shell, "the tutorial", LIMIT)?;
    drop(progress);
    if !finished.status.is_some_and(|status| status.success()) {
        println!("a command failed: {}", finished.account());
    }
    for (number, step) in wanted.iter().enumerate() {
        let Step::Run { script, output, .. } = step else { continue };
        let printed = fs::read_to_string(outputs.join(number.to_string())).ok();
        let done = outputs.join(format!("{number}.done")).exists();
        let right = done && output.is_none_or(|wanted| printed.as_deref() == Some(wanted));
        tally.count(right);
        if !right {
            println!("WRONG:\n{script}printed:\n{}", printed.unwrap_or_default());
            if let Some(wanted) = output {
                println!("expected:\n{wanted}");
            }
        }
    }
    Ok(tally)
}

/// The fenced code blocks of a page.
fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for event in Parser::new(page) {
        match event {
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) => {
                open = Some(Block { info: info.to_string(), text: String::new() });
            }
            Event::Text(text) => {
                if let Some(block) = &mut open {
                    block.text.push_str(&text);
                }
            }
            Event::End(TagEnd::CodeBlock) => blocks.extend(open.take()),
            _ => {}
        }
    }
    blocks
}

fn steps(blocks: &[Block]) -> Result<Vec<Step<'_>>> {
    let mut steps = Vec::new();
    let after = blocks.iter().skip(1).map(Some).chain(iter::once(None));
    for (block, next) in blocks.iter().zip(after) {
        let mut words = block.info.split_whitespace();
        let language = words.next().unwrap_or_default();
        let word = words.next();
        match (language, word.and_then(|word| word.split_once('='))) {
            (_, Some(("file", name))) => steps.push(Step::Save { name, text: &block.text }),
            ("sh", argument) if word != Some("matrix") => {
                let needs = match argument {
                    Some(("needs", program)) => Some(program),
                    None if word.is_none() => None,
                    _ => bail!("a block of the tutorial says `{}`", block.info),
                };
                let output = next.filter(|next| next.info == "output").map(|next| &*next.text);
                steps.push(Step::Run { script: &block.text, output, needs });
            }
            ("sh" | "output", None) => {}
            _ => bail!("a block of the tutorial says `{}`", block.info),
        }
    }
    Ok(steps)
}

/// All steps for one shell. What step N prints goes to the file N of `outputs`; N.done says that
/// it succeeded. Files are saved where the shell is then.
fn script(steps: &[Step<'_>], outputs: &Path) -> String {
    let mut script = String::from("set -eu\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n");
    let outputs = outputs.display();
    for (number, step) in steps.iter().enumerate() {
        // Writing to a String cannot fail.
        let _ = match step {
            Step::Save { name, text } => {
                writeln!(script, "cat > '{name}' <<'END OF THE BLOCK'\n{text}END OF THE BLOCK")
            }
            Step::Run { script: lines, .. } => writeln!(
                script,
                "{{\n{lines}}} > '{outputs}/{number}'\ntouch '{outputs}/{number}.done'"
            ),
        };
    }
    script
}

/// Whether there is such a program on PATH.
fn is_there(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

const TUTORIAL: &str = "tutorial.md";
const TWIN: &str = "tutorial.zh-CN.md";

/// The package is compiled, and so are the peers.
const LIMIT: Duration = process::BUILD;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_newcomer_does() {
        let page = "Save this:\n\n```python file=a.py\nprint(1)\n```\n\n```sh\npython a.py\n```\n\n\
                    ```output\n1\n```\n\n```sh needs=go\ngo version\n```\n\n```sh matrix\nx\n```\n";
        let blocks = blocks(page);
        let steps = steps(&blocks).expect("well formed");
        assert_eq!(
            steps,
            [
                Step::Save { name: "a.py", text: "print(1)\n" },
                Step::Run { script: "python a.py\n", output: Some("1\n"), needs: None },
                Step::Run { script: "go version\n", output: None, needs: Some("go") },
            ]
        );
        let script = script(&steps, Path::new("/tmp/out"));
        assert!(script.contains("python a.py\n} > '/tmp/out/1'\ntouch '/tmp/out/1.done'"));
    }

    #[test]
    fn unknown_blocks_are_errors() {
        let blocks = blocks("```sh wants=go\nx\n```\n");
        assert!(steps(&blocks).is_err());
    }
}
