//! Where things are, and how cargo is called.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::process;
use crate::report::Progress;

/// The folders of this checkout.
pub(crate) struct Workspace {
    /// The folder with the workspace's Cargo.toml.
    pub(crate) root: PathBuf,
    /// Where cargo builds to.
    pub(crate) target: PathBuf,
}

impl Workspace {
    /// Asks cargo.
    pub(crate) fn find() -> Result<Self> {
        // Cargo sets it when it runs us; a binary started by hand knows where it was built.
        let own = env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = own.parent().context("xtask lies in the workspace's folder")?.to_owned();
        let mut workspace = Self { target: root.join("target"), root };
        let metadata = workspace.metadata()?;
        let target = metadata["target_directory"].as_str();
        workspace.target = target.context("cargo metadata names no target_directory")?.into();
        Ok(workspace)
    }

    /// A cargo command in the root, without what cargo tells the programs that it runs (build
    /// scripts would see the difference and run again).
    pub(crate) fn cargo(&self, arguments: &[&str]) -> Command {
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
    pub(crate) fn metadata(&self) -> Result<Value> {
        let mut command = self.cargo(&["metadata", "--no-deps", "--format-version", "1"]);
        let text = process::output(&mut command, "cargo metadata", process::MINUTE)?;
        serde_json::from_str(&text).context("cargo metadata is not JSON")
    }

    /// Builds quietly; cargo's output is shown if it fails.
    pub(crate) fn build(&self, progress: &Progress, arguments: &[&str]) -> Result<()> {
        let what = format!("cargo build {}", arguments.join(" "));
        progress.say(&what);
        let mut command = self.cargo(&["build", "--quiet"]);
        command.args(arguments);
        process::output(&mut command, &what, process::BUILD)?;
        Ok(())
    }

    /// Where the peers are built.
    pub(crate) fn peer(&self, name: &str) -> PathBuf {
        self.target.join("peers").join(name)
    }

    /// A program that cargo built, `debug/examples/test_service_server` say.
    pub(crate) fn built(&self, path: impl AsRef<Path>) -> PathBuf {
        self.target.join(path)
    }
}
