//! `.proto` to Python: `_pb2.py`, `_pb2.pyi`, `_pb2_grpc.py` and `_pb2_grpc.pyi`.
//!
//! The modules hold what the official generators' hold: the same names, the same behaviour under
//! the `protobuf` package, the same insertion points. They differ where those break:
//!
//! - no module asks for a version of `protobuf` or of grpcio; it asks for what it uses. The same
//!   file loads under protobuf 4.21 and whatever came after it;
//! - names that are Python keywords work in stubs and servicers, and in `.pyi` files;
//! - `relative_imports` makes modules that find each other inside a package.
//!
//! ```text
//! names.rs    names of modules and literals          index.rs   types by full name
//! pb2.rs      messages                               pyi.rs     their types
//! service.rs  stubs, servicers, handlers             service_pyi.rs  their types
//! beta.rs     what grpc_1_0 adds to `_pb2.py`         imports.rs  how modules refer to each other
//! ```

mod beta;
mod imports;
mod index;
mod names;
mod pb2;
mod positions;
mod pyi;
mod service;
mod service_pyi;

pub(crate) use index::Index;
pub(crate) use names::{is_identifier, module_path};

use buffa_codegen::generated::descriptor::FileDescriptorProto;

use crate::descriptor::name;
use crate::output::GeneratedFile;

/// What goes into a file at a named point of it, for another generator's file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Insertion {
    /// The file that has the point.
    pub(crate) path: String,
    /// The point's name.
    pub(crate) point: &'static str,
    /// Whole lines.
    pub(crate) content: String,
}

/// Parameters of `--python_out`.
#[derive(Clone, Debug, Default)]
pub(crate) struct MessageOptions {
    /// Write `_pb2.pyi` as well.
    pub(crate) pyi: bool,
    /// Find other modules from the place of this one.
    pub(crate) relative_imports: bool,
}

/// Parameters of `--grpc_python_out`.
#[derive(Clone, Debug, Default)]
pub(crate) struct ServiceOptions {
    /// Write `_pb2_grpc.pyi` as well.
    pub(crate) pyi: bool,
    /// Find other modules from the place of this one.
    pub(crate) relative_imports: bool,
    /// Put stubs and the beta API into `_pb2.py`, as grpcio 1.0 had them.
    pub(crate) in_messages: bool,
}

impl MessageOptions {
    /// Reads `a,b=c`; says of an unknown one what protoc says.
    pub(crate) fn parse(parameter: &str) -> Result<Self, String> {
        let mut options = Self::default();
        for (key, _) in parameters(parameter) {
            match key {
                "pyi_out" => options.pyi = true,
                "relative_imports" => options.relative_imports = true,
                // Where in `_pb2.pyi` a name comes from, for code search: not written by ours. What
                // the other one takes out stands behind a condition in our modules.
                "annotate_code" | "experimental_strip_nonfunctional_codegen" => {}
                _ => return Err(format!("Unknown generator option: {key}")),
            }
        }
        Ok(options)
    }
}

impl ServiceOptions {
    /// Reads `grpc_2_0` and the like.
    pub(crate) fn parse(parameter: &str) -> Result<Self, String> {
        let mut options = Self::default();
        for (key, value) in parameters(parameter) {
            match key {
                "grpc_2_0" => options.in_messages = false,
                "grpc_1_0" => options.in_messages = true,
                "pyi_out" => options.pyi = true,
                "relative_imports" => options.relative_imports = true,
                _ => {
                    let shown = if value.is_empty() { key } else { parameter };
                    return Err(format!("Invalid grpc version '{shown}'."));
                }
            }
        }
        Ok(options)
    }
}

/// The parameters of a generator, split as protoc splits them.
fn parameters(parameter: &str) -> impl Iterator<Item = (&str, &str)> {
    parameter
        .split(',')
        .filter(|part| !part.is_empty())
        .map(|part| part.split_once('=').unwrap_or((part, "")))
}

/// `_pb2.py`, and `_pb2.pyi` if it is wanted.
pub(crate) fn messages(
    index: &Index<'_>,
    file: &FileDescriptorProto,
    options: &MessageOptions,
) -> Vec<GeneratedFile> {
    let path = module_path(name(file));
    let mut files = vec![GeneratedFile {
        path: format!("{path}.py"),
        content: pb2::module(index, file, options.relative_imports),
    }];
    if options.pyi {
        files.push(message_types(index, file, options.relative_imports));
    }
    files
}

/// `_pb2.pyi`.
pub(crate) fn message_types(
    index: &Index<'_>,
    file: &FileDescriptorProto,
    relative_imports: bool,
) -> GeneratedFile {
    GeneratedFile {
        path: format!("{}.pyi", module_path(name(file))),
        content: pyi::module_types(index, file, relative_imports),
    }
}

/// `_pb2_grpc.py`, and `_pb2_grpc.pyi` if it is wanted; and what `_pb2.py` gets.
pub(crate) fn services(
    index: &Index<'_>,
    file: &FileDescriptorProto,
    options: &ServiceOptions,
) -> (Vec<GeneratedFile>, Vec<Insertion>) {
    let path = module_path(name(file));
    let relative = options.relative_imports;
    let mut files = vec![GeneratedFile {
        path: format!("{path}_grpc.py"),
        content: service::module(index, file, relative),
    }];
    if options.pyi {
        files.push(GeneratedFile {
            path: format!("{path}_grpc.pyi"),
            content: service_pyi::module_types(index, file, relative),
        });
    }
    let mut insertions = Vec::new();
    if options.in_messages {
        insertions.push(Insertion {
            path: format!("{path}.py"),
            point: "module_scope",
            content: beta::block(index, file),
        });
    }
    (files, insertions)
}
