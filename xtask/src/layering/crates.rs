//! Which crate may import which, and what the pure ones must not know.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, Result};

use super::Rule;
use crate::process;
use crate::workspace::Workspace;

/// A crate of the workspace, and which of its others it may import (not counting
/// dev-dependencies, where only tests look).
struct Room {
    name: &'static str,
    imports: &'static [&'static str],
}

/// The left never sees the right: http2 <- core <- net <- ferrpc <- blocking, services <- cli; codegen <-
/// cli.
/// A new crate gets a line here.
const ROOMS: &[Room] = &[
    Room { name: "ferrpc-http2", imports: &[] },
    Room { name: "ferrpc-core", imports: &["ferrpc-http2"] },
    Room { name: "ferrpc-net", imports: &["ferrpc-core"] },
    Room { name: "ferrpc", imports: &["ferrpc-core", "ferrpc-net"] },
    Room { name: "ferrpc-blocking", imports: &["ferrpc-core", "ferrpc-net", "ferrpc"] },
    Room { name: "ferrpc-compiler", imports: &[] },
    Room { name: "ferrpc-codegen", imports: &["ferrpc-compiler"] },
    Room { name: "ferrpc-services", imports: &["ferrpc-core", "ferrpc", "ferrpc-codegen"] },
    Room {
        name: "ferrpc-cli",
        imports: &["ferrpc-core", "ferrpc", "ferrpc-services", "ferrpc-codegen"],
    },
    Room {
        name: "ferrpc-python",
        imports: &["ferrpc-core", "ferrpc", "ferrpc-blocking", "ferrpc-services", "ferrpc-codegen"],
    },
    Room {
        name: TESTING,
        imports: &["ferrpc-http2", "ferrpc-core", "ferrpc", "ferrpc-services", "ferrpc-codegen"],
    },
    Room { name: "ferrpc-examples", imports: &["ferrpc", "ferrpc-services", "ferrpc-codegen"] },
    Room {
        name: "ferrpc-bench",
        imports: &[
            "ferrpc",
            "ferrpc-blocking",
            "ferrpc-services",
            "ferrpc-codegen",
            "ferrpc-bench-load",
        ],
    },
    // Not published, and nothing but a measuring tool: `Pair` is what it drives.
    Room { name: "ferrpc-bench-counts", imports: &["ferrpc-http2", "ferrpc-core", TESTING] },
    Room { name: "ferrpc-bench-load", imports: &[] },
    Room { name: "ferrpc-bench-raw-echo", imports: &[] },
    Room { name: "xtask-base", imports: &[] },
    // Not published: it writes frames by hand.
    Room { name: "xtask-attack", imports: &["xtask-base", "ferrpc-http2", TESTING] },
    Room { name: "xtask-bench", imports: &["xtask-base"] },
    Room { name: "xtask", imports: &["xtask-base"] },
];

/// Sees all, and is a dev-dependency only.
const TESTING: &str = "ferrpc-testing";

/// The crates that do no I/O, with their folders.
pub(super) const PURE: &[(&str, &str)] =
    &[("ferrpc-http2", "crates/ferrpc-http2"), ("ferrpc-core", "crates/ferrpc-core")];

/// Not in a pure crate's tree: whoever brings one of them in does I/O.
const IMPURE_CRATES: &[&str] = &["tokio", "mio", "socket2"];

/// What the clippy.toml of a pure crate disallows.
const DISALLOWED: &[&str] = &[
    "std::time::Instant::now",
    "std::time::SystemTime::now",
    "std::thread::spawn",
    "std::env::var",
    "std::net::TcpStream",
    "std::sync::Mutex",
];

/// The imports of each crate; the tree of dependencies and the clippy.toml of each pure one.
pub(super) fn rules(workspace: &Workspace) -> Result<Vec<Rule>> {
    let mut rules = Vec::new();
    for (name, imports) in imports(workspace)? {
        rules.push(Rule { name: "imports", broken: forbidden(&name, &imports) });
    }
    for (name, folder) in PURE {
        let broken = impure(&tree(workspace, name)?, name);
        rules.push(Rule { name: "dependency tree", broken });
        let path = workspace.root.join(folder).join("clippy.toml");
        let locks = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        rules.push(Rule { name: "clippy.toml", broken: missing_locks(&locks, folder) });
    }
    Ok(rules)
}

/// The imports of each crate of the workspace among its others, dev-dependencies left out.
fn imports(workspace: &Workspace) -> Result<Vec<(String, Vec<String>)>> {
    let metadata = workspace.metadata()?;
    let packages = metadata["packages"].as_array().context("cargo metadata has packages")?;
    let name = |value: &serde_json::Value| value["name"].as_str().unwrap_or_default().to_owned();
    let own: BTreeSet<_> = packages.iter().map(name).collect();
    let of = |package: &serde_json::Value| {
        let dependencies = package["dependencies"].as_array().into_iter().flatten();
        let imported = dependencies.filter(|dependency| dependency["kind"] != "dev").map(name);
        imported.filter(|name| own.contains(name)).collect()
    };
    Ok(packages.iter().map(|package| (name(package), of(package))).collect())
}

fn forbidden(name: &str, imports: &[String]) -> Vec<String> {
    let Some(room) = ROOMS.iter().find(|room| room.name == name) else {
        return vec![format!("{name} has no line in xtask/src/layering/crates.rs")];
    };
    let broken = imports.iter().filter(|import| !room.imports.contains(&import.as_str()));
    broken
        .map(|import| match import.as_str() {
            TESTING => format!("{name} imports {TESTING}, which may be a dev-dependency only"),
            _ => format!("{name} imports {import}, which it must not see"),
        })
        .collect()
}

/// All that a crate pulls in with any feature, a line each: `bytes v1.12.1`.
fn tree(workspace: &Workspace, name: &str) -> Result<String> {
    let arguments =
        ["tree", "--all-features", "--prefix", "none", "-e", "normal,build", "-p", name];
    process::output(&mut workspace.cargo(&arguments), "cargo tree", process::MINUTE)
}

fn impure(tree: &str, name: &str) -> Vec<String> {
    let crates: BTreeSet<_> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    let found = IMPURE_CRATES.iter().filter(|impure| crates.contains(**impure));
    found.map(|impure| format!("{name} depends on {impure}: it must do no I/O")).collect()
}

/// Each entry stands on a line of its own, with its reason.
fn missing_locks(locks: &str, folder: &str) -> Vec<String> {
    let holds = |path: &str| {
        let entry = format!("path = \"{path}\"");
        locks.lines().any(|line| line.contains(&entry) && line.contains("reason = \""))
    };
    let missing = DISALLOWED.iter().filter(|path| !holds(path));
    missing.map(|path| format!("{folder}/clippy.toml lacks {path} with its reason")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_import_against_the_order() {
        let core = ["ferrpc-http2".to_owned()];
        assert_eq!(forbidden("ferrpc-core", &core), [""; 0]);
        let up = ["ferrpc".to_owned()];
        assert_eq!(
            forbidden("ferrpc-core", &up),
            ["ferrpc-core imports ferrpc, which it must not see"]
        );
        let testing = [TESTING.to_owned()];
        assert_eq!(forbidden("ferrpc", &testing).len(), 1);
        assert_eq!(forbidden("newcomer", &[]).len(), 1);
    }

    #[test]
    fn a_runtime_in_the_tree() {
        assert_eq!(impure("ferrpc-core v0.1.0\nbytes v1.12.1\n", "ferrpc-core"), [""; 0]);
        assert_eq!(impure("bytes v1.12.1\ntokio v1.54.1 (*)\n", "ferrpc-core").len(), 1);
    }

    #[test]
    fn a_lock_needs_its_reason() {
        let entry = "    { path = \"std::sync::Mutex\", reason = \"one owner\" },";
        assert_eq!(missing_locks(entry, "crates/x").len(), DISALLOWED.len() - 1);
        let bare = "    { path = \"std::sync::Mutex\" },";
        assert_eq!(missing_locks(bare, "crates/x").len(), DISALLOWED.len());
    }
}
