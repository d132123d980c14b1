//! Messages by prost.

mod editions;

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use buffa::Message as _;
use buffa_codegen::generated::descriptor::FileDescriptorProto;
use prost::Message as _;
use prost_build::{Config, Module, Service, ServiceGenerator};

use super::renamed::Renamed;
use super::{Generated, TypePaths};
use crate::Error;
use crate::builder::Options;
use crate::descriptor::{Descriptors, name, package};

pub(super) fn generate(
    options: &Options,
    descriptors: &Descriptors,
    files: &[String],
    renamed: &Renamed,
) -> Result<Generated, Error> {
    let seen = Arc::new(Mutex::new(TypePaths::new()));
    let mut config = config(options);
    config.service_generator(Box::new(PathCollector { paths: Arc::clone(&seen) }));
    // All files, since prost looks into every type; it leaves out what is elsewhere by itself.
    let requests = renamed
        .files
        .iter()
        .map(|file| {
            Ok((
                Module::from_protobuf_package_name(package(file)),
                converted(&editions::lowered(file))?,
            ))
        })
        .collect::<Result<Vec<_>, Error>>()?;
    let mut modules = catch_unwind(AssertUnwindSafe(|| config.generate(requests)))
        .map_err(|payload| Error::messages(format!("prost-build: {}", said(payload.as_ref()))))?
        .map_err(Error::messages)?;
    let mut packages = BTreeMap::new();
    for file in descriptors.files.iter().filter(|file| files.iter().any(|f| f == name(file))) {
        let module = Module::from_protobuf_package_name(package(file));
        // Two packages of one module (`a_b` and `aB`) are merged under the first.
        if let Some(content) = modules.remove(&module) {
            packages.insert(package(file).to_owned(), content);
        }
    }
    let seen = std::mem::replace(
        &mut *seen.lock().unwrap_or_else(PoisonError::into_inner),
        TypePaths::new(),
    );
    let mut paths = TypePaths::new();
    for ((package, proto), path) in seen.by_use {
        paths.insert(&package, renamed.original(&proto), path);
    }
    Ok(Generated { packages, paths, warnings: Vec::new() })
}

pub(super) fn module_names(package: &str) -> Vec<String> {
    Module::from_protobuf_package_name(package).parts().map(str::to_owned).collect()
}

fn config(options: &Options) -> Config {
    let mut config = Config::new();
    if options.well_known_types {
        config.compile_well_known_types();
    }
    for (proto, rust) in &options.extern_paths {
        config.extern_path(proto, rust);
    }
    let attributes = &options.attributes;
    for (path, attribute) in &attributes.types {
        config.type_attribute(path, attribute);
    }
    for (path, attribute) in &attributes.messages {
        config.message_attribute(path, attribute);
    }
    for (path, attribute) in &attributes.enums {
        config.enum_attribute(path, attribute);
    }
    for (path, attribute) in &attributes.fields {
        config.field_attribute(path, attribute);
    }
    config.bytes(&options.bytes);
    config.btree_map(&options.btree_map);
    for path in &options.boxed {
        config.boxed(path);
    }
    let own = &options.prost;
    config.skip_debug(&own.skip_debug);
    if own.type_names {
        config.enable_type_names();
    }
    for (path, domain) in &own.type_name_domains {
        config.type_name_domain([path], domain);
    }
    if own.retain_enum_prefix {
        config.retain_enum_prefix();
    }
    if let Some(path) = &own.prost_path {
        config.prost_path(path);
    }
    if let Some(path) = &own.prost_types_path {
        config.prost_types_path(path);
    }
    config
}

/// What prost-build said when it gave up: some names, and defaults that are not valid, it does not
/// expect.
fn said(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().cloned();
    text.or_else(|| payload.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "it gave up".to_owned())
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
