//! Messages by buffa.

use buffa_codegen::context::CodeGenContext;
use buffa_codegen::{BytesRepr, CodeGenConfig, GeneratedFileKind};

use super::{Generated, TypePaths, uses};
use crate::Error;
use crate::builder::Options;
use crate::descriptor::Descriptors;

pub(super) fn generate(
    options: &Options,
    descriptors: &Descriptors,
    files: &[String],
) -> Result<Generated, Error> {
    let config = config(options);
    let (generated, warnings) =
        buffa_codegen::generate_with_diagnostics(&descriptors.files, files, &config)
            .map_err(Error::messages)?;
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
