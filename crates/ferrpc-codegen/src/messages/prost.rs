//! Messages by prost.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use buffa::Message as _;
use buffa_codegen::generated::descriptor::FileDescriptorProto;
use prost::Message as _;
use prost_build::{Config, Module, Service, ServiceGenerator};

use super::{Generated, TypePaths};
use crate::Error;
use crate::builder::Options;
use crate::descriptor::{Descriptors, name, package};

pub(super) fn generate(
    options: &Options,
    descriptors: &Descriptors,
    files: &[String],
) -> Result<Generated, Error> {
    let seen = Arc::new(Mutex::new(TypePaths::new()));
    let mut config = config(options)?;
    config.service_generator(Box::new(PathCollector { paths: Arc::clone(&seen) }));
    // All files, since prost looks into every type; it leaves out what is elsewhere by itself.
    let requests = descriptors
        .files
        .iter()
        .map(|file| Ok((Module::from_protobuf_package_name(package(file)), converted(file)?)))
        .collect::<Result<Vec<_>, Error>>()?;
    let mut modules = config.generate(requests).map_err(Error::messages)?;
    let mut packages = BTreeMap::new();
    for file in descriptors.files.iter().filter(|file| files.iter().any(|f| f == name(file))) {
        let module = Module::from_protobuf_package_name(package(file));
        // Two packages of one module (`a_b` and `aB`) are merged under the first.
        if let Some(content) = modules.remove(&module) {
            packages.insert(package(file).to_owned(), content);
        }
    }
    let paths = std::mem::replace(
        &mut *seen.lock().unwrap_or_else(PoisonError::into_inner),
        TypePaths::new(),
    );
    Ok(Generated { packages, paths, warnings: Vec::new() })
}

pub(super) fn module_names(package: &str) -> Vec<String> {
    Module::from_protobuf_package_name(package).parts().map(str::to_owned).collect()
}

fn config(options: &Options) -> Result<Config, Error> {
    if options.views {
        return Err(Error::option("prost has no views; leave out Builder::views or use buffa"));
    }
    let mut config = Config::new();
    for (proto, rust) in &options.extern_paths {
        config.extern_path(proto, rust);
    }
    for (path, attribute) in &options.type_attributes {
        config.type_attribute(path, attribute);
    }
    for (path, attribute) in &options.field_attributes {
        config.field_attribute(path, attribute);
    }
    config.bytes(&options.bytes);
    Ok(config)
}

/// prost-build has descriptor types of its own; the bytes are the same.
fn converted(file: &FileDescriptorProto) -> Result<ProstFile, Error> {
    ProstFile::decode(file.encode_to_vec().as_slice()).map_err(Error::descriptors)
}

type ProstFile = prost_types::FileDescriptorProto;

/// prost-build tells what it calls a type to service generators only. This one writes an empty line:
/// prost-build drops the module of a package that has services alone if nothing is written for
/// them, and then panics where it looks for it.
struct PathCollector {
    paths: Arc<Mutex<TypePaths>>,
}

impl ServiceGenerator for PathCollector {
    fn generate(&mut self, service: Service, module: &mut String) {
        module.push('\n');
        let mut paths = self.paths.lock().unwrap_or_else(PoisonError::into_inner);
        for method in service.methods {
            for (proto, path) in [
                (method.input_proto_type, method.input_type),
                (method.output_proto_type, method.output_type),
            ] {
                paths.insert(&service.package, proto.trim_start_matches('.'), path);
            }
        }
    }
}
