//! The options, and the order in which things happen.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use buffa_codegen::generated::descriptor::FileDescriptorProto;

use crate::descriptor::{self, Descriptors, name};
use crate::messages::TypePaths;
use crate::names::{FILE_DESCRIPTOR_SET, Taken};
use crate::output::{self, GeneratedFile};
use crate::{Error, layout, messages, service, source};

/// Options for generation.
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
    silent: bool,
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
    pub(crate) extern_paths: Vec<(String, String)>,
    pub(crate) type_attributes: Vec<(String, String)>,
    pub(crate) field_attributes: Vec<(String, String)>,
    pub(crate) bytes: Vec<String>,
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
    pub fn server(mut self, yes: bool) -> Self {
        self.options.server = yes;
        self
    }

    /// Whether clients are generated; by default they are.
    #[must_use]
    pub fn client(mut self, yes: bool) -> Self {
        self.options.client = yes;
        self
    }

    /// Whether the methods of server traits answer UNIMPLEMENTED where an implementation leaves
    /// them out; by default they do not, so that the compiler says what is missing.
    #[must_use]
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

    /// An attribute for the types that a Protobuf path matches, for instance
    /// `(".example", "#[derive(Hash)]")`; `"."` matches all.
    #[must_use]
    pub fn type_attribute(mut self, path: impl Into<String>, attribute: impl Into<String>) -> Self {
        self.options.type_attributes.push((path.into(), attribute.into()));
        self
    }

    /// An attribute for the fields that a Protobuf path matches.
    #[must_use]
    pub fn field_attribute(
        mut self,
        path: impl Into<String>,
        attribute: impl Into<String>,
    ) -> Self {
        self.options.field_attributes.push((path.into(), attribute.into()));
        self
    }

    /// Makes the `bytes` fields that a Protobuf path matches `bytes::Bytes`, which are not copied
    /// out of what was received; they are `Vec<u8>` otherwise.
    #[must_use]
    pub fn bytes(mut self, path: impl Into<String>) -> Self {
        self.options.bytes.push(path.into());
        self
    }

    /// Whether [`compile`](Self::compile) says to cargo when to run the build script again, and
    /// prints warnings; by default it does.
    #[must_use]
    pub fn emit_cargo_lines(mut self, yes: bool) -> Self {
        self.silent = !yes;
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
        let directory = match &self.out_dir {
            Some(directory) => directory.clone(),
            None => output::cargo_out_dir()?,
        };
        let source = source::read(protos, includes)?;
        let (files, warnings) = self.run(&source.descriptor_set)?;
        output::write(&directory, &files)?;
        if !self.silent {
            let warnings = warnings.iter().map(|warning| format!("cargo:warning={warning}"));
            for line in output::rerun_lines(&source.read, includes).into_iter().chain(warnings) {
                println!("{line}");
            }
        }
        Ok(())
    }

    /// Generates from a serialised `FileDescriptorSet` that holds its imports; touches no file.
    ///
    /// All files of the set are generated, except those whose types live in another crate
    /// (`google.protobuf` and what [`extern_path`](Self::extern_path) names). Comments become
    /// documentation if the set has them (protoc: `--include_source_info`).
    pub fn generate(&self, descriptor_set: &[u8]) -> Result<Vec<GeneratedFile>, Error> {
        Ok(self.run(descriptor_set)?.0)
    }

    fn run(&self, descriptor_set: &[u8]) -> Result<(Vec<GeneratedFile>, Vec<String>), Error> {
        let options = &self.options;
        options.check()?;
        let descriptors = Descriptors::decode(descriptor_set)?;
        let local = messages::local_files(options, &descriptors);
        let mut generated = messages::generate(options, &descriptors, &local)?;
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
                &generated.paths,
            )?);
            files.push(GeneratedFile { path: layout::file_name(package), content });
            packages.push((package, messages::module_names(options.messages, package)));
        }
        files.push(GeneratedFile {
            path: layout::TREE_FILE.to_owned(),
            content: layout::module_tree(&packages),
        });
        Ok((files, generated.warnings))
    }
}

/// All that a package's services add to its file.
fn services(
    options: &Options,
    descriptors: &Descriptors,
    package: &str,
    files: &[&FileDescriptorProto],
    paths: &TypePaths,
) -> Result<String, Error> {
    let mut content = String::new();
    let mut taken = Taken::by_messages(package, files, &descriptors.files);
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
    fn check(&self) -> Result<(), Error> {
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
            extern_paths: Vec::new(),
            type_attributes: Vec::new(),
            field_attributes: Vec::new(),
            bytes: Vec::new(),
        }
    }
}
