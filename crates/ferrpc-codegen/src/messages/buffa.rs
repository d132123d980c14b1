//! Messages by buffa.

use buffa_codegen::context::CodeGenContext;
use buffa_codegen::{BytesRepr, CodeGenConfig, GeneratedFileKind, MapRepr};

use super::renamed::Renamed;
use super::{Generated, TypePaths, uses};
use crate::Error;
use crate::builder::Options;
use crate::descriptor::Descriptors;

pub(super) fn generate(
    options: &Options,
    descriptors: &Descriptors,
    files: &[String],
    renamed: &Renamed,
) -> Result<Generated, Error> {
    let config = config(options);
    let (generated, warnings) =
        buffa_codegen::generate_with_diagnostics(&renamed.files, files, &config)
            .map_err(Error::messages)?;
    Ok(Generated {
        packages: generated
            .into_iter()
            // One file a package was asked for, so there is no other kind.
            .filter(|file| file.kind == GeneratedFileKind::PackageMod)
            .map(|file| (file.package, file.content))
            .collect(),
        paths: paths(&config, descriptors, files, renamed)?,
        warnings: warnings.iter().map(ToString::to_string).collect(),
    })
}

fn paths(
    config: &CodeGenConfig,
    descriptors: &Descriptors,
    files: &[String],
    renamed: &Renamed,
) -> Result<TypePaths, Error> {
    let context = CodeGenContext::for_generate(&renamed.files, files, config);
    let mut paths = TypePaths::new();
    for (package, proto) in uses(descriptors, files)? {
        let known = renamed.name(&proto);
        let path = context
            .rust_type_relative(&format!(".{known}"), &package, 0)
            .or_else(|| context.rust_type_relative(known, &package, 0))
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
    config.generate_json = options.json;
    // An old format, but what it takes is known.
    config.allow_message_set = true;
    let attributes = &options.attributes;
    config.type_attributes.clone_from(&attributes.types);
    config.message_attributes.clone_from(&attributes.messages);
    config.enum_attributes.clone_from(&attributes.enums);
    config.field_attributes.clone_from(&attributes.fields);
    config.map_fields =
        options.btree_map.iter().map(|path| (path.clone(), MapRepr::BTreeMap)).collect();
    config.bytes_fields =
        options.bytes.iter().map(|path| (path.clone(), BytesRepr::Bytes)).collect();
    config
}
