//! The options, and the order in which things happen.

mod attributes;
mod libraries;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use buffa_codegen::generated::descriptor::FileDescriptorProto;

use crate::descriptor::{self, Descriptors, name};
use crate::layout::Package;
use crate::messages::TypePaths;
use crate::names::{FILE_DESCRIPTOR_SET, Taken};
use crate::output::{self, GeneratedFile};
use crate::{Error, layout, messages, service, source};

pub(crate) use attributes::{Attributes, for_service, matches};
pub(crate) use libraries::ProstOptions;

/// Options for generation.
///
/// # From tonic-build and prost-build
///
/// Most options have the name that they have there. What is called otherwise, or is not there:
///
/// | there | here |
/// |---|---|
/// | `configure()`, `Config::new()` | [`Builder::new`] |
/// | `compile_protos`, `compile_with_config` | [`compile`](Self::compile) |
/// | `compile_fds`, `skip_protoc_run` | [`compile_set`](Self::compile_set) |
/// | `build_client`, `build_server` | [`client`](Self::client), [`server`](Self::server) |
/// | `generate_default_stubs` | [`default_methods`](Self::default_methods) |
/// | `skip_source_info` | [`disable_comments`](Self::disable_comments)`(".")` |
/// | `protoc_executable`, `protoc_arg` | nothing: there is no protoc |
/// | `include_file` | [`include_file`](Self::include_file); one is written without it too |
/// | `format` | nothing: the output is laid out always |
/// | `proto_path`, `build_transport`, `emit_package`, `use_arc_self`, `server_mod_attribute`, `client_mod_attribute`, `service_generator` | nothing: there is nothing of the kind in generated code |
/// | `codec_path` | nothing: `Method` takes a codec, for calls that are written by hand |
///
/// # Several calls in one build script
///
/// A build script may compile several times into one directory. The file that includes the others
/// has the packages of all calls. A package belongs to one call; a second that would write it in
/// another form is refused, since types would be lost.
///
/// ```no_run
/// # fn main() -> Result<(), ferrpc_codegen::Error> {
/// ferrpc_codegen::Builder::new()
///     .client(false)
///     .extern_path(".common", "::common_protos")
///     .compile(&["protos/example.proto"], &["protos"])
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Builder {
    options: Options,
    out_dir: Option<PathBuf>,
    descriptor_set_path: Option<PathBuf>,
    silent: bool,
    no_rerun: bool,
}

/// Which library makes the messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Messages {
    /// buffa: the default.
    #[default]
    Buffa,
    /// prost; needs this crate's feature `prost`.
    #[cfg(feature = "prost")]
    Prost,
}

#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) messages: Messages,
    pub(crate) with_messages: bool,
    pub(crate) server: bool,
    pub(crate) client: bool,
    pub(crate) default_methods: bool,
    pub(crate) descriptors: bool,
    pub(crate) views: bool,
    pub(crate) well_known_types: bool,
    pub(crate) json: bool,
    pub(crate) include_file: String,
    pub(crate) default_package_file: String,
    pub(crate) extern_paths: Vec<(String, String)>,
    pub(crate) attributes: Attributes,
    pub(crate) bytes: Vec<String>,
    pub(crate) btree_map: Vec<String>,
    pub(crate) boxed: Vec<String>,
    pub(crate) uncommented: Vec<String>,
    pub(crate) prost: ProstOptions,
}

impl Builder {
    /// The default options.
    pub fn new() -> Self {
        Self::default()
    }

    /// Where the files go; by default `OUT_DIR`, which cargo sets for build scripts.
    #[must_use]
    pub fn out_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.out_dir = Some(directory.into());
        self
    }

    /// Which library makes the messages; by default buffa.
    #[must_use]
    pub fn messages(mut self, library: Messages) -> Self {
        self.options.messages = library;
        self
    }

    /// Whether messages are generated at all, or services only; by default they are. Without
    /// them, the module that includes the file must have them, under the names the library would
    /// have given them.
    #[must_use]
    pub fn with_messages(mut self, yes: bool) -> Self {
        self.options.with_messages = yes;
        self
    }

    /// Whether server traits are generated; by default they are.
    #[must_use]
    #[doc(alias = "build_server")]
    pub fn server(mut self, yes: bool) -> Self {
        self.options.server = yes;
        self
    }

    /// Whether clients are generated; by default they are.
    #[must_use]
    #[doc(alias = "build_client")]
    pub fn client(mut self, yes: bool) -> Self {
        self.options.client = yes;
        self
    }

    /// Whether the methods of server traits answer UNIMPLEMENTED where an implementation leaves
    /// them out; by default they do not, so that the compiler says what is missing.
    #[must_use]
    #[doc(alias = "generate_default_stubs")]
    pub fn default_methods(mut self, yes: bool) -> Self {
        self.options.default_methods = yes;
        self
    }

    /// Whether the serialised descriptors are embedded, which reflection needs; by default they
    /// are.
    #[must_use]
    pub fn descriptors(mut self, yes: bool) -> Self {
        self.options.descriptors = yes;
        self
    }

    /// Whether buffa's borrowed views of messages are generated; by default they are not.
    #[must_use]
    pub fn views(mut self, yes: bool) -> Self {
        self.options.views = yes;
        self
    }

    /// Types that are in another crate: the Protobuf path of a package or a type (`.common`) and
    /// where it is in Rust (`::common_protos`). They are not generated here.
    #[must_use]
    pub fn extern_path(mut self, proto: impl Into<String>, rust: impl Into<String>) -> Self {
        self.options.extern_paths.push((proto.into(), rust.into()));
        self
    }

    /// Makes the `bytes` fields that a Protobuf path matches `bytes::Bytes`, which are not copied
    /// out of what was received; they are `Vec<u8>` otherwise.
    #[must_use]
    pub fn bytes(mut self, path: impl Into<String>) -> Self {
        self.options.bytes.push(path.into());
        self
    }

    /// Makes the `map` fields that a Protobuf path matches `BTreeMap`s; they are `HashMap`s
    /// otherwise.
    #[must_use]
    pub fn btree_map(mut self, path: impl Into<String>) -> Self {
        self.options.btree_map.push(path.into());
        self
    }

    /// Puts the messages of the fields that a Protobuf path matches into a `Box`. buffa boxes all
    /// that may be large anyway, so that the option has no meaning with it.
    #[must_use]
    pub fn boxed(mut self, path: impl Into<String>) -> Self {
        self.options.boxed.push(path.into());
        self
    }

    /// Leaves out the comments of what a Protobuf path matches and what is within it: messages,
    /// fields, enums, values, services and methods. `"."` matches all.
    #[must_use]
    pub fn disable_comments(mut self, path: impl Into<String>) -> Self {
        self.options.uncommented.push(path.into());
        self
    }

    /// Whether the types of `google.protobuf` that are used are generated like any others; by
    /// default they are those of `buffa-types` or `prost-types`.
    #[must_use]
    pub fn compile_well_known_types(mut self, yes: bool) -> Self {
        self.options.well_known_types = yes;
        self
    }

    /// The name of the file that includes all others; by default `ferrpc_protos.rs`.
    #[must_use]
    pub fn include_file(mut self, name: impl Into<String>) -> Self {
        self.options.include_file = name.into();
        self
    }

    /// The name of the file for what has no package, without `.rs`; by default `_`.
    #[must_use]
    pub fn default_package_filename(mut self, name: impl Into<String>) -> Self {
        self.options.default_package_file = name.into();
        self
    }

    /// Where [`compile`](Self::compile) writes the serialised `FileDescriptorSet` of all that it
    /// read, with comments; by default nowhere.
    #[must_use]
    pub fn file_descriptor_set_path(mut self, path: impl Into<PathBuf>) -> Self {
        self.descriptor_set_path = Some(path.into());
        self
    }

    /// Whether [`compile`](Self::compile) says to cargo when to run the build script again, and
    /// prints warnings; by default it does.
    #[must_use]
    pub fn emit_cargo_lines(mut self, yes: bool) -> Self {
        self.silent = !yes;
        self
    }

    /// Whether [`compile`](Self::compile) says to cargo when to run the build script again; by
    /// default it does. Warnings are printed either way.
    #[must_use]
    pub fn emit_rerun_if_changed(mut self, yes: bool) -> Self {
        self.no_rerun = !yes;
        self
    }

    /// Compiles `.proto` files and writes the result: a file for each package, `foo.bar.rs` for
    /// `package foo.bar;` and `_.rs` for files without a package, and `ferrpc_protos.rs`, which
    /// includes them all in modules nested as the packages are.
    ///
    /// `protos` are paths of files, each under one of the directories `includes`. What they import
    /// is generated too. Either all files are written or none.
    pub fn compile(
        &self,
        protos: &[impl AsRef<Path>],
        includes: &[impl AsRef<Path>],
    ) -> Result<(), Error> {
        let source = source::read(protos, includes)?;
        let warnings = self.write(&source.descriptor_set)?;
        if let Some(path) = &self.descriptor_set_path {
            output::write_single(path, &source.descriptor_set)?;
        }
        for line in self.cargo_lines(&source.read, includes, &warnings) {
            println!("{line}");
        }
        Ok(())
    }

    /// Generates from a serialised `FileDescriptorSet`, as [`generate`](Self::generate), and writes
    /// the result, as [`compile`](Self::compile). Nothing is said to cargo.
    pub fn compile_set(&self, descriptor_set: &[u8]) -> Result<(), Error> {
        self.write(descriptor_set).map(drop)
    }

    /// What cargo is told.
    fn cargo_lines(
        &self,
        read: &[PathBuf],
        includes: &[impl AsRef<Path>],
        warnings: &[String],
    ) -> Vec<String> {
        let mut lines = Vec::new();
        if self.silent {
            return lines;
        }
        if !self.no_rerun {
            lines.extend(output::rerun_lines(read, includes));
        }
        lines.extend(warnings.iter().map(|warning| format!("cargo:warning={warning}")));
        lines
    }

    fn write(&self, descriptor_set: &[u8]) -> Result<Vec<String>, Error> {
        let directory = match &self.out_dir {
            Some(directory) => directory.clone(),
            None => output::cargo_out_dir()?,
        };
        let made = self.run(descriptor_set)?;
        output::write_with_tree(&directory, &self.options, made.files, made.packages)?;
        Ok(made.warnings)
    }

    /// Generates from a serialised `FileDescriptorSet` that holds its imports; touches no file.
    ///
    /// All files of the set are generated, except those whose types live in another crate
    /// (`google.protobuf` and what [`extern_path`](Self::extern_path) names). Comments become
    /// documentation if the set has them (protoc: `--include_source_info`).
    pub fn generate(&self, descriptor_set: &[u8]) -> Result<Vec<GeneratedFile>, Error> {
        let Made { mut files, packages, .. } = self.run(descriptor_set)?;
        files.push(self.options.tree(&packages));
        Ok(files)
    }

    fn run(&self, descriptor_set: &[u8]) -> Result<Made, Error> {
        let options = &self.options;
        options.check()?;
        let mut descriptors = Descriptors::decode(descriptor_set)?;
        descriptors.remove_comments(&options.uncommented);
        let local = messages::local_files(options, &descriptors);
        let messages::Outcome { mut generated, files: seen } =
            messages::generate(options, &descriptors, &local)?;
        let wanted: BTreeSet<&str> = local.iter().map(String::as_str).collect();
        let mut files = Vec::new();
        let mut packages = Vec::new();
        for (package, members) in descriptors.packages(&wanted) {
            let mut content = layout::header(members.iter().map(|file| name(file)));
            if options.with_messages {
                let source = generated.packages.remove(package).unwrap_or_default();
                content.push_str(&layout::messages(&source)?);
            }
            content.push_str(&services(
                options,
                &descriptors,
                package,
                &members,
                &seen,
                &generated.paths,
            )?);
            let path = layout::file_name(package, &options.default_package_file);
            packages.push(Package {
                file: path.clone(),
                modules: messages::module_names(options.messages, package),
            });
            files.push(GeneratedFile { path, content });
        }
        Ok(Made { files, packages, warnings: generated.warnings })
    }
}

/// What a run comes to: a file for each package.
struct Made {
    files: Vec<GeneratedFile>,
    packages: Vec<Package>,
    warnings: Vec<String>,
}

/// All that a package's services add to its file.
fn services(
    options: &Options,
    descriptors: &Descriptors,
    package: &str,
    files: &[&FileDescriptorProto],
    seen: &[FileDescriptorProto],
    paths: &TypePaths,
) -> Result<String, Error> {
    let mut content = String::new();
    let names: BTreeSet<&str> = files.iter().map(|file| name(file)).collect();
    let own: Vec<_> = seen.iter().filter(|file| names.contains(name(file))).collect();
    let mut taken = Taken::by_messages(package, &own, seen);
    let mut with_services = files.to_vec();
    with_services.retain(|file| !file.service.is_empty());
    for file in &with_services {
        for service in descriptor::services(file)? {
            let names = taken.name(&service);
            let scope =
                service::Scope { options, package, service: &service, names: &names, paths };
            content.push_str(&layout::service(scope.tokens()?)?);
        }
    }
    if options.descriptors && !with_services.is_empty() {
        let bytes = descriptors.encode_closure(&with_services);
        content.push_str(&layout::bytes(FILE_DESCRIPTOR_SET, &bytes));
    }
    Ok(content)
}

impl Options {
    /// The file that includes all others.
    pub(crate) fn tree(&self, packages: &[Package]) -> GeneratedFile {
        let content = layout::module_tree(packages);
        GeneratedFile { path: self.include_file.clone(), content }
    }

    fn check(&self) -> Result<(), Error> {
        self.check_libraries()?;
        for name in [&self.include_file, &self.default_package_file] {
            if name.is_empty() || name.contains(['/', '\\']) {
                return Err(Error::option(format!(
                    "\"{name}\" is not the name of a file in the output directory"
                )));
            }
        }
        for (proto, rust) in &self.extern_paths {
            if !proto.starts_with('.') {
                return Err(Error::option(format!(
                    "extern_path takes a Protobuf path with a dot in front; write \".{proto}\""
                )));
            }
            if !rust.starts_with("::") && !rust.starts_with("crate::") {
                return Err(Error::option(format!(
                    "extern_path takes a Rust path that begins with \"::\" or \"crate::\"; \
                     \"{rust}\" would depend on where the file is included"
                )));
            }
        }
        Ok(())
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            messages: Messages::default(),
            with_messages: true,
            server: true,
            client: true,
            default_methods: false,
            descriptors: true,
            views: false,
            well_known_types: false,
            json: false,
            include_file: layout::TREE_FILE.to_owned(),
            default_package_file: layout::NO_PACKAGE.to_owned(),
            extern_paths: Vec::new(),
            attributes: Attributes::default(),
            bytes: Vec::new(),
            btree_map: Vec::new(),
            boxed: Vec::new(),
            uncommented: Vec::new(),
            prost: ProstOptions::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_is_told_what_is_wanted() {
        let read = [PathBuf::from("a.proto")];
        let lines = |builder: Builder| {
            builder.cargo_lines(&read, &[] as &[&Path], &["odd".to_owned()]).join("\n")
        };
        let rerun = "cargo:rerun-if-changed=a.proto";
        assert_eq!(lines(Builder::new()), format!("{rerun}\ncargo:warning=odd"));
        assert_eq!(lines(Builder::new().emit_rerun_if_changed(false)), "cargo:warning=odd");
        assert_eq!(lines(Builder::new().emit_cargo_lines(false)), "");
    }
}
