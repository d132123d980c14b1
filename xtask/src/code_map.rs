//! The code map: `docs/code-map.md` names each file with the first sentence of its documentation,
//! and `cargo xtask gen` writes it. ARCHITECTURE.md is written by hand; it must name each module at
//! the top of a crate, and no file that is not there.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::process;
use crate::report::Tally;
use crate::workspace::Workspace;

/// Where the map lies.
pub(crate) const MAP: &str = "docs/code-map.md";

/// The parts of the map: a heading, and the folder that it is of.
const PARTS: &[(&str, &str)] = &[
    ("ferrpc-http2", "crates/ferrpc-http2/src"),
    ("ferrpc-core", "crates/ferrpc-core/src"),
    ("ferrpc-net", "crates/ferrpc-net/src"),
    ("ferrpc", "crates/ferrpc/src"),
    ("ferrpc-blocking", "crates/ferrpc-blocking/src"),
    ("ferrpc-compiler", "crates/ferrpc-compiler/src"),
    ("ferrpc-codegen", "crates/ferrpc-codegen/src"),
    ("ferrpc-cli", "crates/ferrpc-cli/src"),
    ("ferrpc-python", "crates/ferrpc-python/src"),
    ("python/grpc", "python/grpc"),
    ("python/grpc_tools", "python/grpc_tools"),
    ("python/ferrpc", "python/ferrpc"),
    ("python/packaging", "python/packaging"),
    ("ferrpc-testing", "crates/ferrpc-testing/src"),
    ("xtask", "xtask/src"),
    ("xtask-base", "xtask/base/src"),
    ("xtask-bench", "xtask/bench/src"),
];

/// The map as it should be.
pub(crate) fn map(workspace: &Workspace) -> Result<String> {
    let files = files(&workspace.root)?;
    let mut text = String::from(HEAD);
    for (heading, folder) in PARTS {
        write!(text, "\n## {heading}\n\n| file | what it is |\n|---|---|\n")?;
        let folder = format!("{folder}/");
        let inside = files.iter().filter_map(|path| path.strip_prefix(&folder));
        let mut rows: Vec<_> = inside.filter(|path| is_code(path)).collect();
        ensure!(!rows.is_empty(), "the code map has a part {folder}, which has no files");
        // What a folder is stands before what is in it.
        rows.sort_by_key(|path| (above(path), !is_folder(path), *path));
        for path in rows {
            let source = fs::read_to_string(workspace.root.join(&folder).join(path))?;
            let sentence = first_sentence(&documentation(path, &source));
            ensure!(!sentence.is_empty(), "{folder}{path} does not begin with what it is");
            let name = if is_folder(path) { above(path) } else { (*path).to_owned() };
            let name = if name.is_empty() { path } else { name.as_str() };
            writeln!(text, "| `{name}` | {} |", sentence.replace('|', "\\|"))?;
        }
    }
    Ok(text)
}

/// Checks ARCHITECTURE.md; each crate is one check, and what it names that is not there another.
pub(crate) fn check(workspace: &Workspace) -> Result<Tally> {
    let page = "ARCHITECTURE.md";
    let text = fs::read_to_string(workspace.root.join(page)).context(page)?;
    let files = files(&workspace.root)?;
    let named: BTreeSet<_> = paths(&text).collect();
    let mut tally = Tally::default();
    for (crate_name, folder) in PARTS.iter().filter(|(_, folder)| folder.starts_with("crates/")) {
        let section = section(&text, crate_name);
        let missing: Vec<_> = modules(&files, folder)
            .into_iter()
            .filter(|module| {
                !section.as_deref().unwrap_or_default().contains(&format!("`{module}`"))
            })
            .collect();
        if section.is_none() {
            println!("code map: {page} has no section `### {crate_name}`");
        } else if !missing.is_empty() {
            println!("code map: {page}, {crate_name}: names no {}", missing.join(", "));
        }
        tally.count(section.is_some() && missing.is_empty());
    }
    let known: BTreeSet<_> = files.iter().flat_map(|path| suffixes(path)).collect();
    let dead: Vec<_> = named.into_iter().filter(|path| !known.contains(*path)).collect();
    if !dead.is_empty() {
        println!("code map: {page} names what is not there: {}", dead.join(", "));
    }
    tally.count(dead.is_empty());
    Ok(tally)
}

/// All files that are committed, or will be.
fn files(root: &Path) -> Result<Vec<String>> {
    let mut command = Command::new("git");
    command.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let names = process::output(command.current_dir(root), "git ls-files", process::MINUTE)?;
    let names = names.split_terminator('\0').filter(|name| root.join(name).is_file());
    let mut names: Vec<_> = names.map(str::to_owned).collect();
    names.sort();
    names.dedup();
    ensure!(!names.is_empty(), "git ls-files names nothing");
    Ok(names)
}

fn is_code(path: &str) -> bool {
    let tests = path.ends_with("/tests.rs") || path.contains("/tests/") || path == "tests.rs";
    let written =
        path.contains("_proto/") || path.ends_with("_pb2.py") || path.ends_with("_pb2_grpc.py");
    (path.ends_with(".rs") || path.ends_with(".py")) && !tests && !written
}

fn is_folder(path: &str) -> bool {
    ["mod.rs", "__init__.py"].iter().any(|name| path.rsplit('/').next() == Some(name))
}

/// The folder of a path, with a slash behind it.
fn above(path: &str) -> String {
    path.rsplit_once('/').map_or_else(String::new, |(folder, _)| format!("{folder}/"))
}

/// The modules at the top of a crate: `client/`, `codec.rs`.
fn modules(files: &[String], folder: &str) -> BTreeSet<String> {
    let folder = format!("{folder}/");
    let inside = files.iter().filter_map(|path| path.strip_prefix(&folder));
    let top = |path: &str| match path.split_once('/') {
        Some((folder, _)) => format!("{folder}/"),
        None => path.to_owned(),
    };
    let mut modules: BTreeSet<_> = inside.filter(|path| path.ends_with(".rs")).map(top).collect();
    modules.retain(|module| !["lib.rs", "main.rs", "bin/"].contains(&module.as_str()));
    // A folder whose module lies beside it is named once.
    let folders: Vec<_> = modules.iter().filter_map(|module| module.strip_suffix('/')).collect();
    let beside: Vec<_> = folders.into_iter().map(|folder| format!("{folder}.rs")).collect();
    modules.retain(|module| !beside.contains(module));
    modules
}

/// The part of a page under `### name`, up to the next heading of that height or above.
fn section(text: &str, name: &str) -> Option<String> {
    let mut lines = text.lines().skip_while(|line| *line != format!("### {name}"));
    lines.next()?;
    let ends = |line: &str| line.starts_with("### ") || line.starts_with("## ");
    Some(lines.take_while(|line| !ends(line)).collect::<Vec<_>>().join("\n"))
}

/// What stands between backticks and is the path of a file or folder of code.
fn paths(text: &str) -> impl Iterator<Item = &str> {
    let quoted = text.split('`').skip(1).step_by(2);
    quoted.filter(|quoted| {
        let is_path = |letter: char| letter.is_ascii_alphanumeric() || "_-./".contains(letter);
        let ends = [".rs", ".py", ".pyi", ".md", "/"].iter().any(|end| quoted.ends_with(end));
        ends && quoted.len() > 1 && !quoted.starts_with('/') && quoted.chars().all(is_path)
    })
}

/// The ways to name a file and the folders that it is in: from anywhere above, with `src` or without.
fn suffixes(path: &str) -> Vec<String> {
    let mut all = Vec::new();
    for path in [path.to_owned(), path.replace("/src/", "/")] {
        let ends = path.match_indices('/').map(|(at, _)| at + 1).chain([path.len()]);
        for end in ends {
            let starts = path[..end - 1].match_indices('/').map(|(at, _)| at + 1);
            all.extend([0].into_iter().chain(starts).map(|start| path[start..end].to_owned()));
        }
    }
    all
}

/// What a file says of itself at its top.
fn documentation(path: &str, source: &str) -> String {
    if path.ends_with(".rs") {
        let lines = source.lines().map_while(|line| line.strip_prefix("//!"));
        return lines.map(str::trim).collect::<Vec<_>>().join("\n");
    }
    let text = source.trim_start_matches(|letter: char| letter.is_whitespace());
    let text = text.strip_prefix("r\"\"\"").or_else(|| text.strip_prefix("\"\"\""));
    text.and_then(|text| text.split_once("\"\"\""))
        .map_or_else(String::new, |(text, _)| text.into())
}

/// Up to the first full stop that ends a word, or to the first empty line; links are their text.
fn first_sentence(documentation: &str) -> String {
    let paragraph: Vec<_> =
        documentation.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
    let paragraph = plain(&paragraph.join(" "));
    let end = paragraph.find(". ").unwrap_or(paragraph.len());
    paragraph[..end].trim_end_matches(['.', ':']).to_owned()
}

/// `[text](target)` and `[text]` as `text`.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('[') {
        plain.push_str(before);
        let Some((inner, behind)) = behind.split_once(']') else {
            plain.push('[');
            rest = behind;
            continue;
        };
        plain.push_str(inner);
        rest = behind;
        if let Some((_, behind)) =
            behind.strip_prefix('(').and_then(|behind| behind.split_once(')'))
        {
            rest = behind;
        }
    }
    plain.push_str(rest);
    plain
}

const HEAD: &str = "# Code map\n\n\
    Each file, with the first sentence of its documentation. [ARCHITECTURE.md](../ARCHITECTURE.md) says\n\
    how they belong together. `cargo xtask gen` writes this page; what is said of a file stands in it.\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_sentence() {
        let text = "A [`Channel`](crate::Channel) of\n[`Call`]s. And more.\n\nMore.";
        assert_eq!(first_sentence(text), "A `Channel` of `Call`s");
        assert_eq!(first_sentence("What it is:\n\n- a"), "What it is");
        assert_eq!(documentation("a.py", "\"\"\"What it\nis.\"\"\"\nimport a\n"), "What it\nis.");
        assert_eq!(documentation("a.rs", "//! What it\n//! is.\n\nmod a;\n"), "What it\nis.");
    }

    #[test]
    fn what_is_named() {
        let text = "`client/` and `a/b.rs`, `Channel`, `x()`, `https://a/`, `c.rs`";
        assert!(paths(text).eq(["client/", "a/b.rs", "c.rs"]));
        let known = suffixes("crates/ferrpc/src/client/call.rs");
        for name in ["client/", "call.rs", "client/call.rs", "ferrpc/client/call.rs", "crates/"] {
            assert!(known.iter().any(|known| known == name), "{name}");
        }
        assert!(!known.iter().any(|known| known == "ent/call.rs"));
    }

    #[test]
    fn the_section_of_a_crate() {
        let text = "## A\n### ferrpc\none\n#### deeper\ntwo\n### ferrpc-core\nthree\n";
        assert_eq!(section(text, "ferrpc").as_deref(), Some("one\n#### deeper\ntwo"));
        assert_eq!(section(text, "none"), None);
    }

    #[test]
    fn modules_at_the_top() {
        let files = ["c/src/lib.rs", "c/src/a.rs", "c/src/b.rs", "c/src/b/c.rs", "d.rs"];
        let modules = modules(&files.map(str::to_owned), "c/src");
        assert!(modules.iter().eq(["a.rs", "b/"]));
    }
}
