//! Which files must not stand in a circle, and what the pure crates must not keep for the process.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::Rule;
use super::crates::PURE;
use crate::workspace::Workspace;

/// Folders whose files form no circle: each can be read, and changed, with those it names alone. A
/// folder in one of them counts as one file.
const WITHOUT_CIRCLES: &[&str] = &[
    "crates/ferrpc-blocking/src",
    "crates/ferrpc-net/src",
    "crates/ferrpc-net/src/connect",
    "crates/ferrpc-net/src/credentials",
    "crates/ferrpc-net/src/listen",
    "crates/ferrpc-net/src/resolver",
    "crates/ferrpc-net/src/streams",
    "crates/ferrpc-net/src/tls",
    "crates/ferrpc/src/server",
    "crates/ferrpc/src/transport",
];

/// What can change, and would be the process's if it were static.
const CHANGEABLE: &[&str] =
    &["Atomic", "Cell<", "LazyLock<", "Mutex<", "Once", "RwLock<", "static mut "];

/// What is kept although it should not be, by file and line, with the reason.
const STILL_KEPT: &[(&str, &str)] = &[
    // The compressors of a thread, some 300 KiB each: they have yet to become an input, as the
    // memory of messages is.
    ("crates/ferrpc-core/src/encoding.rs", "thread_local! {"),
    ("crates/ferrpc-core/src/encoding.rs", "static STATES: RefCell<States> = RefCell::default();"),
];

/// The circles of all folders, and what each of the pure crates keeps.
pub(super) fn rules(workspace: &Workspace) -> Result<Vec<Rule>> {
    let mut rules = vec![Rule { name: "circles", broken: circles(workspace)? }];
    for (_, folder) in PURE {
        let broken = process_state(workspace, folder)?;
        rules.push(Rule { name: "state of the process", broken });
    }
    Ok(rules)
}

/// Which files form circles.
fn circles(workspace: &Workspace) -> Result<Vec<String>> {
    let mut broken = Vec::new();
    for folder in WITHOUT_CIRCLES {
        let all = named_by(&workspace.root.join(folder))?;
        let circle = in_circles(&all);
        if !circle.is_empty() {
            broken.push(format!("{folder}: {}", circle.join(", ")));
        }
    }
    Ok(broken)
}

/// What the sources in `folder` keep for the whole process.
fn process_state(workspace: &Workspace, folder: &str) -> Result<Vec<String>> {
    let sources = sources(&workspace.root.join(folder).join("src"))?;
    let kept = sources.iter().flat_map(|(path, code)| {
        let known = |line: &str| {
            STILL_KEPT.iter().any(|(file, kept)| path.ends_with(file) && line.trim() == *kept)
        };
        let lines = code.lines().filter(move |line| is_process_state(line) && !known(line));
        lines.map(move |line| format!("{}: {}", path.display(), line.trim()))
    });
    Ok(kept.collect())
}

fn is_process_state(line: &str) -> bool {
    let is_static = line.split_whitespace().any(|word| word == "static") && line.contains(':');
    line.contains("thread_local!")
        || is_static && CHANGEABLE.iter().any(|changeable| line.contains(changeable))
}

/// The Rust files in a folder and below, without comments and tests.
fn sources(folder: &Path) -> Result<Vec<(PathBuf, String)>> {
    let mut all = Vec::new();
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            all.extend(sources(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") && !is_test(&path) {
            let code = code(&fs::read_to_string(&path)?);
            all.push((path, code));
        }
    }
    all.sort();
    Ok(all)
}

fn is_test(path: &Path) -> bool {
    path.file_stem().is_some_and(|stem| stem == "tests")
}

/// A file's text without its comments, and without the tests at its end.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// Which of its files (folders) each file of a folder names.
fn named_by(folder: &Path) -> Result<BTreeMap<String, BTreeSet<String>>> {
    let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let own = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let by_path = if own == "src" { "crate::".to_owned() } else { format!("crate::{own}::") };
    for (path, code) in sources(folder)? {
        let inside = path.strip_prefix(folder)?;
        let first = inside.iter().next().and_then(|name| name.to_str()).unwrap_or_default();
        let name = first.trim_end_matches(".rs");
        if matches!(name, "mod" | "lib") {
            continue;
        }
        let depth = inside.components().count();
        let above = format!("{}super::", "super::".repeat(depth - 1));
        all.entry(name.to_owned()).or_default().extend(mentions(&code, &[&by_path, &above]));
    }
    let names: BTreeSet<_> = all.keys().cloned().collect();
    for (name, named) in &mut all {
        named.retain(|other| names.contains(other) && other != name);
    }
    Ok(all)
}

/// The names that follow one of `prefixes`, in braces or not.
fn mentions(code: &str, prefixes: &[&str]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for prefix in prefixes {
        for (at, _) in code.match_indices(prefix) {
            // "super::super::a" names nothing that "super::" does.
            if code[..at].ends_with("::") {
                continue;
            }
            let rest = &code[at + prefix.len()..];
            match rest.strip_prefix('{') {
                Some(list) => names.extend(in_braces(list)),
                None => names.extend(identifier(rest)),
            }
        }
    }
    names
}

/// The first name of each path in a list that begins behind its brace.
fn in_braces(list: &str) -> Vec<String> {
    let (mut names, mut depth, mut begins) = (Vec::new(), 0, true);
    for (at, letter) in list.char_indices() {
        match letter {
            '}' if depth == 0 => break,
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => begins = true,
            letter if letter.is_whitespace() => {}
            _ if begins => {
                names.extend(identifier(&list[at..]));
                begins = false;
            }
            _ => {}
        }
    }
    names
}

fn identifier(text: &str) -> Option<String> {
    let end = text.find(|letter: char| !letter.is_alphanumeric() && letter != '_');
    let name = &text[..end.unwrap_or(text.len())];
    (!name.is_empty()).then(|| name.to_owned())
}

/// Those from which a way leads back to themselves.
fn in_circles(all: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let comes_back = |start: &&String| {
        let (mut seen, mut next) = (BTreeSet::new(), vec![*start]);
        while let Some(name) = next.pop() {
            for named in all.get(name).into_iter().flatten() {
                if named == *start {
                    return true;
                }
                if seen.insert(named) {
                    next.push(named);
                }
            }
        }
        false
    };
    all.keys().filter(comes_back).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_file_names() {
        let text =
            "use super::a::B;\nuse crate::room::{b::C, d};\nuse super::super::e;\n// super::f\n";
        let names = mentions(&code(text), &["super::", "crate::room::"]);
        assert_eq!(names.into_iter().collect::<Vec<_>>(), ["a", "b", "d", "super"]);
    }

    #[test]
    fn a_circle_of_files() {
        let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect();
        let mut all = BTreeMap::from([
            ("a".to_owned(), names(&["b"])),
            ("b".to_owned(), names(&["c"])),
            ("c".to_owned(), names(&["b"])),
        ]);
        assert_eq!(in_circles(&all), ["b", "c"]);
        all.insert("c".to_owned(), names(&[]));
        assert_eq!(in_circles(&all), [""; 0]);
    }

    #[test]
    fn what_a_process_has_once() {
        assert!(is_process_state("    static SHOWN: AtomicUsize = AtomicUsize::new(0);"));
        assert!(is_process_state("thread_local! {"));
        assert!(!is_process_state("static TABLE: [u8; 256] = make();"));
        assert!(!is_process_state("    name: &'static str,"));
    }
}
