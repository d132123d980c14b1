//! Features built apart: each of a crate's alone, and none of them. In the workspace's own builds
//! all are on, and what one of them lacks comes from another.

use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::process;
use crate::report::Tally;
use crate::workspace::Workspace;

/// Sets that users have beside one feature alone.
const TOGETHER: &[(&str, &[&str])] = &[("ferrpc", &["prost", "tls-ring"])];

/// Built apart by another step: the wheel is `ferrpc` with its default features and no others. Alone,
/// `tls` would build the C of aws-lc once more.
const ELSEWHERE: &[(&str, &str)] = &[("ferrpc", "tls"), ("ferrpc-net", "tls")];

/// Builds all sets without linking, by clippy; each is one check.
pub(crate) fn run(workspace: &Workspace) -> Result<Tally> {
    let metadata = workspace.metadata()?;
    let packages = metadata["packages"].as_array().context("cargo metadata has packages")?;
    let sets: Vec<_> = packages.iter().flat_map(sets).chain(together()).collect();
    anyhow::ensure!(
        sets.len() > TOGETHER.len(),
        "no crate has a feature: cargo metadata is not read"
    );
    let mut tally = Tally::default();
    for (name, features) in &sets {
        let mut command = command(workspace, name, features);
        let good = process::shown(&mut command, "cargo clippy", process::BUILD)?;
        if !good {
            println!(
                "features: cargo clippy --lib -p {name} --no-default-features --features \
                 {features:?} -- --deny warnings"
            );
        }
        tally.count(good);
    }
    Ok(tally)
}

/// No feature, and each alone, of a crate that is published. `_name` is only switched on by others.
fn sets(package: &Value) -> Vec<(String, String)> {
    let name = package["name"].as_str().unwrap_or_default();
    let published = package["publish"].is_null();
    let features = package["features"].as_object().into_iter().flatten();
    let alone = |feature: &str| {
        feature != "default" && !feature.starts_with('_') && !ELSEWHERE.contains(&(name, feature))
    };
    let own: Vec<_> =
        features.map(|(feature, _)| feature.as_str()).filter(|it| alone(it)).collect();
    if own.is_empty() || !published {
        return Vec::new();
    }
    let sets = [""].into_iter().chain(own);
    sets.map(|features| (name.to_owned(), features.to_owned())).collect()
}

fn together() -> impl Iterator<Item = (String, String)> {
    TOGETHER.iter().map(|(name, features)| ((*name).to_owned(), features.join(",")))
}

/// The crate as its users have it: without its tests, whose dependencies bring features of their own.
fn command(workspace: &Workspace, name: &str, features: &str) -> Command {
    let mut command = workspace.cargo(&["clippy", "--quiet", "--lib", "--no-default-features"]);
    command.args(["-p", name, "--features", features, "--", "--deny", "warnings"]);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_feature_alone() {
        let package = |publish| {
            let features = serde_json::json!({
                "default": ["tls"], "tls": ["_rustls"], "tls-ring": [], "prost": [], "_rustls": []
            });
            serde_json::json!({ "name": "ferrpc", "publish": publish, "features": features })
        };
        let names = |package| sets(&package).into_iter().map(|(_, features)| features);
        assert!(names(package(Value::Null)).eq(["", "prost", "tls-ring"]));
        assert!(names(package(serde_json::json!([]))).eq([""; 0]));
        let none = serde_json::json!({ "name": "xtask", "features": { "default": [] } });
        assert_eq!(sets(&none), []);
    }
}
