//! Each file of a crate is a module of it, and its tests are one program: a file that nobody declares
//! is neither built nor run, and each test program is linked by itself.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::Result;

use super::Rule;
use super::source::{Source, rust_files};
use crate::workspace::Workspace;

/// Tests that are a program of their own, each with its reason.
const ALONE: &[(&str, &str)] = &[
    // A subscriber of `tracing` for the whole process.
    ("ferrpc", "events"),
    // What `tracing` knows of its subscribers is the process's.
    ("ferrpc", "spans"),
    // It measures the memory of the process.
    ("ferrpc-testing", "floods"),
    // A test for each line of a table, by a harness of its own.
    ("ferrpc-testing", "apis"),
];

/// Files without a declaration, and test programs beside `tests/main`.
pub(super) fn rules(workspace: &Workspace, sources: &[Source]) -> Result<Vec<Rule>> {
    let mut undeclared = Vec::new();
    let mut programs = Vec::new();
    for source in sources {
        let folder = workspace.root.join("crates").join(&source.name);
        let declared = |path: &str| {
            parents(path).iter().any(|(parent, name)| {
                source.files.get(parent).is_some_and(|file| file.declares.contains(name))
            })
        };
        let lost = source.files.keys().filter(|path| !is_root(path) && !declared(path));
        undeclared
            .extend(lost.map(|path| format!("nobody declares crates/{}/src/{path}", source.name)));
        let tests = folder.join("tests");
        if tests.is_dir() {
            programs.extend(beside(&source.name, &tests)?);
            undeclared.extend(undeclared_tests(&source.name, &tests.join("main"))?);
        }
    }
    Ok(vec![
        Rule { name: "modules", broken: undeclared },
        Rule { name: "test programs", broken: programs },
    ])
}

/// Where a file's module may be declared, and by which name.
fn parents(path: &str) -> Vec<(String, String)> {
    let path = path.trim_end_matches(".rs");
    let path = path.strip_suffix("/mod").unwrap_or(path);
    match path.rsplit_once('/') {
        None => ["lib.rs", "main.rs"].map(|root| (root.to_owned(), path.to_owned())).to_vec(),
        Some((above, name)) => [format!("{above}/mod.rs"), format!("{above}.rs")]
            .map(|parent| (parent, name.to_owned()))
            .to_vec(),
    }
}

fn is_root(path: &str) -> bool {
    matches!(path, "lib.rs" | "main.rs") || path.starts_with("bin/")
}

/// Programs beside `main`.
fn beside(name: &str, tests: &Path) -> Result<Vec<String>> {
    let mut broken = Vec::new();
    for entry in fs::read_dir(tests)? {
        let path = entry?.path();
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let program = if path.is_dir() {
            path.join("main.rs").is_file() && stem != "main"
        } else {
            path.extension().is_some_and(|extension| extension == "rs")
        };
        if program && !ALONE.contains(&(name, stem.as_str())) {
            broken.push(format!(
                "crates/{name}/tests/{stem} is a program of its own: make it a module of \
                 tests/main, or give its reason in xtask/src/layering/modules.rs"
            ));
        }
    }
    Ok(broken)
}

/// Files of `tests/main` that none of the files above declares.
fn undeclared_tests(name: &str, main: &Path) -> Result<Vec<String>> {
    let mut broken = Vec::new();
    for path in rust_files(main)? {
        let inner = path.strip_prefix(main)?.to_string_lossy().into_owned();
        let mut above = BTreeSet::new();
        for (parent, module) in parents(&inner) {
            if let Ok(text) = fs::read_to_string(main.join(parent)) {
                above.insert(text.lines().any(|line| line.ends_with(&format!("mod {module};"))));
            }
        }
        if inner != "main.rs" && !above.contains(&true) {
            broken.push(format!("nobody declares crates/{name}/tests/main/{inner}"));
        }
    }
    Ok(broken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_module_is_declared() {
        let of = |path| parents(path).into_iter().map(|(file, name)| format!("{file} {name}"));
        assert!(of("a.rs").eq(["lib.rs a", "main.rs a"]));
        assert!(of("a/mod.rs").eq(["lib.rs a", "main.rs a"]));
        assert!(of("a/b.rs").eq(["a/mod.rs b", "a.rs b"]));
        assert!(of("a/b/mod.rs").eq(["a/mod.rs b", "a.rs b"]));
    }
}
