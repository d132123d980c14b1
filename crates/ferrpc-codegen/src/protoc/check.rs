//! Whether descriptors of others are what the generators rest on.
//!
//! The front end links them as it links sources, but protoc lets names begin with digits, which
//! would break generated code, and files have names that would lead out of the output directory.

use buffa_codegen::generated::descriptor::{
    DescriptorProto, EnumDescriptorProto, FileDescriptorProto,
};

use super::sources::is_clean;
use crate::descriptor::{name, package};

/// Checks the names in a file that was not parsed.
pub(super) fn names(file: &FileDescriptorProto) -> Result<(), String> {
    let own = name(file);
    if !is_clean(own) {
        return Err(format!("{own:?} is not the name of a file that can be generated."));
    }
    file_names(file).map_err(|why| format!("{own}: {why}"))
}

fn file_names(file: &FileDescriptorProto) -> Result<(), String> {
    let package = package(file);
    if !package.is_empty() {
        package.split('.').try_for_each(|part| identifier(Some(part)))?;
    }
    file.message_type.iter().try_for_each(message)?;
    file.enum_type.iter().try_for_each(enumeration)?;
    for service in &file.service {
        identifier(service.name.as_deref())?;
        service.method.iter().try_for_each(|method| identifier(method.name.as_deref()))?;
    }
    file.extension.iter().try_for_each(|field| identifier(field.name.as_deref()))
}

/// The front end bounds how deep messages are nested.
fn message(message: &DescriptorProto) -> Result<(), String> {
    identifier(message.name.as_deref())?;
    message.field.iter().try_for_each(|field| identifier(field.name.as_deref()))?;
    message.extension.iter().try_for_each(|field| identifier(field.name.as_deref()))?;
    message.oneof_decl.iter().try_for_each(|oneof| identifier(oneof.name.as_deref()))?;
    message.enum_type.iter().try_for_each(enumeration)?;
    message.nested_type.iter().try_for_each(self::message)
}

fn enumeration(defined: &EnumDescriptorProto) -> Result<(), String> {
    identifier(defined.name.as_deref())?;
    defined.value.iter().try_for_each(|value| identifier(value.name.as_deref()))
}

fn identifier(name: Option<&str>) -> Result<(), String> {
    let name = name.unwrap_or_default();
    match crate::python::is_identifier(name) {
        true => Ok(()),
        false => Err(format!("{name:?} is not a valid identifier.")),
    }
}
