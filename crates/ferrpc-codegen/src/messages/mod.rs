//! The message libraries: what they generate, and what they call a type.

mod buffa;
#[cfg(feature = "prost")]
mod prost;
mod renamed;

use std::collections::{BTreeMap, HashMap, HashSet};

use buffa_codegen::generated::descriptor::FileDescriptorProto;

use crate::builder::{Messages, Options};
use crate::descriptor::{Descriptors, name, package};
use crate::{Error, descriptor};
use renamed::Renamed;

/// What a message library made of a descriptor set.
pub(crate) struct Generated {
    /// Rust source by package.
    pub(crate) packages: BTreeMap<String, String>,
    pub(crate) paths: TypePaths,
    pub(crate) warnings: Vec<String>,
}

/// What was generated, and the files with the names that the library saw.
pub(crate) struct Outcome {
    pub(crate) generated: Generated,
    pub(crate) files: Vec<FileDescriptorProto>,
}

/// Where the request and response messages are, seen from the root of a package's module.
pub(crate) struct TypePaths {
    /// By the package that uses the type and the type's full name.
    by_use: HashMap<(String, String), String>,
}

/// How the modules are called that the library's relative paths expect.
pub(crate) fn module_names(messages: Messages, package: &str) -> Vec<String> {
    match messages {
        Messages::Buffa => package
            .split('.')
            .filter(|part| !part.is_empty())
            .map(::buffa_codegen::idents::escape_mod_ident)
            .collect(),
        #[cfg(feature = "prost")]
        Messages::Prost => prost::module_names(package),
    }
}

pub(crate) fn generate(
    options: &Options,
    descriptors: &Descriptors,
    files: &[String],
) -> Result<Outcome, Error> {
    let wanted: HashSet<&str> = files.iter().map(String::as_str).collect();
    let renamed = Renamed::new(options.messages, &descriptors.files, &wanted);
    let mut generated = match options.messages {
        Messages::Buffa => buffa::generate(options, descriptors, files, &renamed),
        #[cfg(feature = "prost")]
        Messages::Prost => prost::generate(options, descriptors, files, &renamed),
    }?;
    generated.packages.values_mut().for_each(|source| renamed.restore(source));
    Ok(Outcome { generated, files: renamed.files })
}

/// The files to generate: all but those whose types live in another crate.
pub(crate) fn local_files(options: &Options, descriptors: &Descriptors) -> Vec<String> {
    descriptors
        .files
        .iter()
        .filter(|file| {
            let package = package(file);
            // A file that only has services may extend a package that is elsewhere.
            let only_services = !file.service.is_empty()
                && file.message_type.is_empty()
                && file.enum_type.is_empty();
            let elsewhere = !options.well_known_types && is_below(package, WELL_KNOWN)
                || options.extern_paths.iter().any(|(proto, _)| is_below(package, proto));
            only_services || !elsewhere
        })
        .map(|file| name(file).to_owned())
        .collect()
}

/// Whether a package is that of the path `.a.b` or below it.
fn is_below(package: &str, path: &str) -> bool {
    let path = path.trim_start_matches('.');
    if path.is_empty() {
        return true;
    }
    package.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

impl TypePaths {
    pub(crate) fn new() -> Self {
        Self { by_use: HashMap::new() }
    }

    fn insert(&mut self, package: &str, proto: &str, path: String) {
        self.by_use.insert((package.to_owned(), proto.to_owned()), path);
    }

    /// The path of a type at the root of the package's module.
    pub(crate) fn at_root(&self, package: &str, proto: &str) -> Result<&str, Error> {
        self.by_use
            .get(&(package.to_owned(), proto.to_owned()))
            .map(String::as_str)
            .ok_or_else(|| Error::messages(format!("the type {proto} is not known")))
    }

    /// The same in a module below that.
    pub(crate) fn in_module(&self, package: &str, proto: &str) -> Result<String, Error> {
        let path = self.at_root(package, proto)?;
        let absolute = path.starts_with("::") || path.starts_with("crate::");
        Ok(if absolute || PRIMITIVES.contains(&path) {
            path.to_owned()
        } else {
            format!("super::{path}")
        })
    }
}

/// Every use of a type in a service: the package and the type's full name.
fn uses(descriptors: &Descriptors, files: &[String]) -> Result<Vec<(String, String)>, Error> {
    let mut uses = Vec::new();
    for file in descriptors.files.iter().filter(|file| files.iter().any(|f| f == name(file))) {
        for method in descriptor::services(file)?.into_iter().flat_map(|service| service.methods) {
            uses.push((package(file).to_owned(), method.input));
            uses.push((package(file).to_owned(), method.output));
        }
    }
    Ok(uses)
}

/// The package whose types both libraries have in a crate of their own.
const WELL_KNOWN: &str = ".google.protobuf";

/// What prost puts in place of the wrapper messages and `Empty`.
const PRIMITIVES: [&str; 8] = ["()", "bool", "f64", "f32", "i32", "i64", "u32", "u64"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_compared_by_whole_segments() {
        assert!(is_below("google.protobuf", ".google.protobuf"));
        assert!(is_below("google.protobuf.compiler", ".google.protobuf"));
        assert!(!is_below("google.protobuf2", ".google.protobuf"));
        assert!(!is_below("google", ".google.protobuf"));
    }

    #[test]
    fn only_relative_paths_change_in_a_module() {
        let mut paths = TypePaths::new();
        for path in ["Request", "super::b::Request", "::c::Request", "crate::d::Request", "()"] {
            paths.insert("a", path, path.to_owned());
        }
        let check = |path: &str, expect: &str| {
            assert_eq!(paths.in_module("a", path).expect("inserted above"), expect);
        };
        check("Request", "super::Request");
        check("super::b::Request", "super::super::b::Request");
        check("::c::Request", "::c::Request");
        check("crate::d::Request", "crate::d::Request");
        check("()", "()");
    }
}
