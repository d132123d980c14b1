//! Where things are, and how cargo is called.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::process;
use crate::report::Progress;

/// The folders of this checkout.
pub struct Workspace {
    /// The folder with the workspace's Cargo.toml.
    pub root: PathBuf,
    /// Where cargo builds to.
    pub target: PathBuf,
}

impl Workspace {
    /// Asks cargo.
    pub fn find() -> Result<Self> {
        // Cargo sets it when it runs us; a binary started by hand knows where it was built.
        let own = env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = own.ancestors().find(|folder| folder.join("Cargo.lock").is_file());
        let root = root.context("xtask lies in the workspace's folder")?.to_owned();
        let mut workspace = Self { target: root.join("target"), root };
        let metadata = workspace.metadata()?;
        let target = metadata["target_directory"].as_str();
        workspace.target = target.context("cargo metadata names no target_directory")?.into();
        Ok(workspace)
    }

    /// A cargo command in the root, without what cargo tells the programs that it runs (build
    /// scripts would see the difference and run again).
    pub fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.args(arguments).current_dir(&self.root);
        for (name, _) in env::vars_os() {
            let text = name.to_string_lossy();
            if ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"]
                .iter()
                .any(|prefix| text.starts_with(prefix))
            {
                command.env_remove(&name);
            }
        }
        command
    }

    /// `cargo metadata` of the workspace's own crates.
    pub fn metadata(&self) -> Result<Value> {
        let mut command = self.cargo(&["metadata", "--no-deps", "--format-version", "1"]);
        let text = process::output(&mut command, "cargo metadata", process::MINUTE)?;
        serde_json::from_str(&text).context("cargo metadata is not JSON")
    }

    /// Builds quietly; cargo's output is shown if it fails.
    pub fn build(&self, progress: &Progress, arguments: &[&str]) -> Result<()> {
        let what = format!("cargo build {}", arguments.join(" "));
        progress.say(&what);
        let mut command = self.cargo(&["build", "--quiet"]);
        command.args(arguments);
        process::output(&mut command, &what, process::BUILD)?;
        Ok(())
    }

    /// What is checked out, `-dirty` behind it if files differ.
    pub fn commit(&self) -> String {
        let mut commit = self.said("git", &["rev-parse", "--short", "HEAD"]);
        let changes = ["status", "--porcelain", "--untracked-files=no"];
        if !self.said("git", &changes).is_empty() {
            commit.push_str("-dirty");
        }
        commit
    }

    /// Today, in UTC.
    pub fn date(&self) -> String {
        self.said("date", &["-u", "+%Y-%m-%d"])
    }

    /// What a program says in the root, or nothing.
    pub fn said(&self, program: &str, arguments: &[&str]) -> String {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(&self.root);
        let said = process::output(&mut command, program, process::MINUTE).unwrap_or_default();
        said.trim().to_owned()
    }

    /// Where the peers are built.
    pub fn peer(&self, name: &str) -> PathBuf {
        self.target.join("peers").join(name)
    }

    /// A program that cargo built, `debug/examples/test_service_server` say.
    pub fn built(&self, path: impl AsRef<Path>) -> PathBuf {
        self.target.join(path)
    }
}
