//! Messages by buffa.

use std::fmt::Display;

use buffa_codegen::context::CodeGenContext;
use buffa_codegen::generated::descriptor::{DescriptorProto, EnumDescriptorProto};
use buffa_codegen::{BytesRepr, CodeGenConfig, GeneratedFileKind};

use super::{Generated, TypePaths, uses};
use crate::Error;
use crate::builder::Options;
use crate::descriptor::{Descriptors, name, package};

pub(super) fn generate(
    options: &Options,
    descriptors: &Descriptors,
    files: &[String],
) -> Result<Generated, Error> {
    let config = config(options);
    let (generated, warnings) =
        buffa_codegen::generate_with_diagnostics(&descriptors.files, files, &config)
            .map_err(|error| refused(&error, descriptors, files))?;
    Ok(Generated {
        packages: generated
            .into_iter()
            // One file a package was asked for, so there is no other kind.
            .filter(|file| file.kind == GeneratedFileKind::PackageMod)
            .map(|file| (file.package, file.content))
            .collect(),
        paths: paths(&config, descriptors, files)?,
        warnings: warnings.iter().map(ToString::to_string).collect(),
    })
}

/// What buffa says, and the names of types that it is known to refuse.
fn refused(error: &impl Display, descriptors: &Descriptors, files: &[String]) -> Error {
    let mut odd = Vec::new();
    for file in descriptors.files.iter().filter(|file| files.iter().any(|f| f == name(file))) {
        odd_names(package(file), &file.message_type, &file.enum_type, &mut odd);
    }
    if odd.is_empty() {
        return Error::messages(error);
    }
    Error::messages(format!(
        "{error}. buffa has no Rust names for {}: rename them, or take Messages::Prost (this \
         crate's feature `prost`)",
        odd.join(", ")
    ))
}

/// Full names of messages, enums and oneofs that are keywords of Rust.
fn odd_names(
    scope: &str,
    messages: &[DescriptorProto],
    enums: &[EnumDescriptorProto],
    odd: &mut Vec<String>,
) {
    let names = messages.iter().map(|it| &it.name).chain(enums.iter().map(|it| &it.name));
    let oneofs = messages.iter().flat_map(|it| {
        let message = it.name.as_deref().unwrap_or_default();
        it.oneof_decl.iter().map(move |oneof| (format!("{message}."), &oneof.name))
    });
    for (within, name) in names.map(|name| (String::new(), name)).chain(oneofs) {
        if let Some(name) = name.as_deref().filter(|name| is_keyword(name)) {
            odd.push(format!("{scope}.{within}{name}").trim_start_matches('.').to_owned());
        }
    }
    for message in messages {
        let scope = format!("{scope}.{}", message.name.as_deref().unwrap_or_default());
        odd_names(&scope, &message.nested_type, &message.enum_type, odd);
    }
}

/// Whether Rust takes the name for no type, raw or not.
fn is_keyword(name: &str) -> bool {
    syn::parse_str::<syn::Ident>(name).is_err()
}

fn paths(
    config: &CodeGenConfig,
    descriptors: &Descriptors,
    files: &[String],
) -> Result<TypePaths, Error> {
    let context = CodeGenContext::for_generate(&descriptors.files, files, config);
    let mut paths = TypePaths::new();
    for (package, proto) in uses(descriptors, files)? {
        let dotted = format!(".{proto}");
        let path = context
            .rust_type_relative(&dotted, &package, 0)
            .or_else(|| context.rust_type_relative(&proto, &package, 0))
            .ok_or_else(|| Error::messages(format!("buffa does not know the type {proto}")))?;
        paths.insert(&package, &proto, path);
    }
    Ok(paths)
}

fn config(options: &Options) -> CodeGenConfig {
    let mut config = CodeGenConfig::default();
    config.file_per_package = true;
    config.generate_views = options.views;
    config.extern_paths.clone_from(&options.extern_paths);
    config.type_attributes.clone_from(&options.type_attributes);
    config.field_attributes.clone_from(&options.field_attributes);
    config.bytes_fields =
        options.bytes.iter().map(|path| (path.clone(), BytesRepr::Bytes)).collect();
    config
}
