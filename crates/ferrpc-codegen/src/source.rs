//! The front end: `.proto` files to a descriptor set.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use miette::Diagnostic;

use crate::Error;

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
    // protox would say of a file that is not there that it is in no include directory.
    if let Some(missing) = protos.iter().map(AsRef::as_ref).find(|path| !exists(path, includes)) {
        return Err(Error::Proto {
            file: Some(missing.to_owned()),
            message: format!(
                "{} does not exist.\nThe include directories are: {}.",
                missing.display(),
                list(includes)
            ),
            source: Box::new(io::Error::from(io::ErrorKind::NotFound)),
        });
    }
    let compile = || {
        let mut compiler = protox::Compiler::new(includes)?;
        compiler.include_imports(true).include_source_info(true).open_files(protos)?;
        Ok(compiler)
    };
    let compiler = compile().map_err(|error| proto_error(error, includes))?;
    Ok(Source {
        // Encoded by protox itself: going through prost's types would lose custom options.
        descriptor_set: compiler.encode_file_descriptor_set(),
        read: compiler.files().filter_map(|file| file.path().map(Path::to_owned)).collect(),
    })
}

fn proto_error(error: protox::Error, includes: &[impl AsRef<Path>]) -> Error {
    let file = error.file().map(|name| on_disk(name, includes));
    let mut message = String::new();
    // protox puts `file:line:column: ` before its message in the `Debug` form only.
    let located = format!("{error:?}");
    match (error.file(), &file) {
        (Some(name), Some(path)) if located.starts_with(&format!("{name}:")) => {
            let _ = write!(message, "{}{}.", path.display(), &located[name.len()..]);
        }
        _ => {
            let _ = write!(message, "{}.", capitalised(&located));
        }
    }
    if error.is_file_not_found() {
        let _ = write!(message, "\nThe include directories are: {}.", list(includes));
    }
    if let Some(help) = error.help() {
        let _ = write!(message, "\nHelp: {help}.");
    }
    for other in error.related().into_iter().flatten() {
        let _ = write!(message, "\n{}", related(&error, other, file.as_deref()));
    }
    Error::Proto { file, message, source: Box::new(error) }
}

/// A further fault found in the same file.
fn related(first: &protox::Error, other: &dyn Diagnostic, file: Option<&Path>) -> String {
    let mut out = String::new();
    if let Some(file) = file {
        let _ = write!(out, "{}:", file.display());
        let span = other.labels().and_then(|mut labels| labels.next());
        if let (Some(span), Some(source)) = (span, first.source_code())
            && let Ok(contents) = source.read_span(span.inner(), 0, 0)
        {
            let _ = write!(out, "{}:{}:", contents.line() + 1, contents.column() + 1);
        }
        out.push(' ');
    }
    let _ = write!(out, "{other}.");
    out
}

/// Whether a file is there, seen from the current or from an include directory.
fn exists(path: &Path, includes: &[impl AsRef<Path>]) -> bool {
    path.is_file() || includes.iter().any(|include| include.as_ref().join(path).is_file())
}

/// Where a file that descriptors call `name` is; `name` itself if no directory has it.
fn on_disk(name: &str, includes: &[impl AsRef<Path>]) -> PathBuf {
    includes
        .iter()
        .map(|include| include.as_ref().join(name))
        .find(|path| path.is_file())
        .unwrap_or_else(|| PathBuf::from(name))
}

fn list(includes: &[impl AsRef<Path>]) -> String {
    if includes.is_empty() {
        return "none".to_owned();
    }
    let paths: Vec<_> = includes.iter().map(|path| path.as_ref().display().to_string()).collect();
    paths.join(", ")
}

fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    match characters.next() {
        Some(first) => first.to_uppercase().chain(characters).collect(),
        None => String::new(),
    }
}
