//! The front end: `.proto` files to a descriptor set.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use buffa::unknown_fields::{UnknownField, UnknownFieldData, UnknownFields};
use ferrpc_compiler::{Compilation, Diagnostic, EncodeOptions, Severity};

use crate::Error;
use crate::protoc::{NoName, Sources, render};

/// What was read.
pub(crate) struct Source {
    /// A serialised `FileDescriptorSet` of the files and their imports, with comments.
    pub(crate) descriptor_set: Vec<u8>,
    /// The files on disk that it came from.
    pub(crate) read: Vec<PathBuf>,
}

pub(crate) fn read(
    protos: &[impl AsRef<Path>],
    includes: &[impl AsRef<Path>],
) -> Result<Source, Error> {
    let mappings = includes.iter().map(|include| (String::new(), include.as_ref().to_owned()));
    let sources = Sources::new(mappings.collect(), std::collections::HashMap::new());
    let mut names = Vec::new();
    for path in protos.iter().map(AsRef::as_ref) {
        names.push(import_path(&sources, path, includes)?);
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (compilation, _) = ferrpc_compiler::compile(&sources, &names)
        .map_err(|diagnostics| proto_error(diagnostics, &sources, includes))?;
    Ok(Source { descriptor_set: encode(&compilation), read: sources.read() })
}

/// The path that an import of the file would have.
fn import_path(
    sources: &Sources,
    path: &Path,
    includes: &[impl AsRef<Path>],
) -> Result<String, Error> {
    let refuse = |why: String| {
        let message = format!("{why}\nThe include directories are: {}.", list(includes));
        let source = Box::new(io::Error::from(io::ErrorKind::NotFound));
        Err(Error::Proto { file: Some(path.to_owned()), message, source })
    };
    let shown = path.display();
    let Some(text) = path.to_str() else {
        return refuse(format!("{shown} is not UTF-8."));
    };
    match sources.input_name(text) {
        Ok(name) => Ok(name),
        Err(NoName::Missing) => refuse(format!("{shown} does not exist.")),
        Err(NoName::Directory) => refuse(format!("{shown} is a directory.")),
        Err(NoName::Outside) => refuse(format!("{shown} is not in any include directory.")),
        Err(NoName::Shadowed(other)) => {
            refuse(format!("{shown} cannot be imported: {} comes first.", other.display()))
        }
    }
}

fn encode(compilation: &Compilation) -> Vec<u8> {
    let mut options = EncodeOptions::default();
    (options.source_info, options.json_names, options.only_utf8) = (true, true, true);
    let mut set = UnknownFields::default();
    for name in compilation.files() {
        let bytes = compilation.encode(name, options).unwrap_or_default();
        let data = UnknownFieldData::LengthDelimited(bytes);
        set.push(UnknownField { number: FILE_DESCRIPTOR_SET_FILE, data });
    }
    let mut out = Vec::new();
    set.write_to(&mut out);
    out
}

fn proto_error(
    diagnostics: Vec<Diagnostic>,
    sources: &Sources,
    includes: &[impl AsRef<Path>],
) -> Error {
    let mut message = render(&diagnostics, sources);
    let mut errors: Vec<Diagnostic> = diagnostics;
    errors.retain(|it| it.severity == Severity::Error);
    if errors.iter().any(|it| it.place.is_none() && sources.on_disk(&it.file).is_none()) {
        message.push_str(&format!("\nThe include directories are: {}.", list(includes)));
    }
    // The file that is wrong, rather than one that is not there.
    let first = errors.iter().find_map(|it| sources.on_disk(&it.file));
    Error::Proto { file: first, message, source: Box::new(Refused { errors }) }
}

/// What the front end found.
#[derive(Debug)]
struct Refused {
    errors: Vec<Diagnostic>,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.errors.iter().map(Diagnostic::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for Refused {}

fn list(includes: &[impl AsRef<Path>]) -> String {
    if includes.is_empty() {
        return "none".to_owned();
    }
    let paths: Vec<_> = includes.iter().map(|path| path.as_ref().display().to_string()).collect();
    paths.join(", ")
}

const FILE_DESCRIPTOR_SET_FILE: u32 = 1;
