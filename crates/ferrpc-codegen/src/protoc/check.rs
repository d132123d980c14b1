//! Whether descriptors are what the generators rest on.
//!
//! Parsed files are; those of a foreign descriptor set can be anything. What is checked here is
//! what would otherwise break out of generated code (names that are no identifiers), out of the
//! output directory (names of files), or out of the descriptors (types that are not there).

use std::collections::{HashMap, HashSet};

use buffa_codegen::generated::descriptor::field_descriptor_proto::{Label, Type};
use buffa_codegen::generated::descriptor::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto,
};

use super::sources::is_clean;
use crate::descriptor::{name, package};

/// Checks files with all that they import.
pub(super) fn files(files: &[FileDescriptorProto]) -> Result<(), String> {
    let mut names = Names::default();
    let mut seen = HashSet::new();
    let there: HashSet<&str> = files.iter().map(name).collect();
    for file in files {
        let own = name(file);
        if !is_clean(own) {
            return Err(format!("{own:?} is not the name of a file that can be generated."));
        }
        if !seen.insert(own) {
            return Err(format!("{own}: The file is there twice."));
        }
        for import in &file.dependency {
            if !there.contains(import.as_str()) {
                return Err(format!("{own}: Import \"{import}\" was not found."));
            }
        }
        names.file(file).map_err(|why| format!("{own}: {why}"))?;
    }
    for file in files {
        References { file, names: &names }
            .check()
            .map_err(|why| format!("{}: {why}", name(file)))?;
    }
    Ok(())
}

/// Whether the front end can read the file as an import: it knows proto2 and proto3 only.
pub(super) fn readable(file: &FileDescriptorProto) -> Result<(), String> {
    match file.syntax.as_deref() {
        None | Some("" | "proto2" | "proto3") if file.edition.is_none() => Ok(()),
        _ => Err(format!(
            "{}: The file has an edition; a .proto file that imports it cannot be compiled, since \
             only syntax = \"proto2\" and \"proto3\" are supported.",
            name(file)
        )),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Message,
    Enum,
    Other,
}

/// All full names, with what they stand for.
#[derive(Default)]
struct Names {
    kinds: HashMap<String, Kind>,
}

impl Names {
    fn file(&mut self, file: &FileDescriptorProto) -> Result<(), String> {
        let package = package(file);
        if !package.is_empty() {
            package.split('.').try_for_each(identifier)?;
        }
        for message in &file.message_type {
            self.message(package, message, 0)?;
        }
        for defined in &file.enum_type {
            self.enumeration(package, defined)?;
        }
        for extension in &file.extension {
            self.add(package, extension.name.as_deref(), Kind::Other)?;
        }
        for service in &file.service {
            let own = self.add(package, service.name.as_deref(), Kind::Other)?;
            for method in &service.method {
                self.add(&own, method.name.as_deref(), Kind::Other)?;
            }
        }
        Ok(())
    }

    fn message(
        &mut self,
        scope: &str,
        message: &DescriptorProto,
        depth: usize,
    ) -> Result<(), String> {
        let own = self.add(scope, message.name.as_deref(), Kind::Message)?;
        if depth > MAX_DEPTH {
            return Err(format!("{own} is nested too deeply."));
        }
        let mut numbers = HashSet::new();
        for field in &message.field {
            self.add(&own, field.name.as_deref(), Kind::Other)?;
            let number = field.number.unwrap_or_default();
            if !numbers.insert(number) {
                return Err(format!("{own} uses the field number {number} twice."));
            }
            if field.extendee.is_some() {
                return Err(format!("A field of {own} says that it extends something."));
            }
            let oneof = field.oneof_index.map(usize::try_from);
            if oneof.is_some_and(|at| !at.is_ok_and(|at| at < message.oneof_decl.len())) {
                return Err(format!("A field of {own} is in a oneof that is not there."));
            }
        }
        for oneof in &message.oneof_decl {
            self.add(&own, oneof.name.as_deref(), Kind::Other)?;
        }
        for extension in &message.extension {
            self.add(&own, extension.name.as_deref(), Kind::Other)?;
        }
        for defined in &message.enum_type {
            self.enumeration(&own, defined)?;
        }
        for nested in &message.nested_type {
            self.message(&own, nested, depth + 1)?;
        }
        Ok(())
    }

    fn enumeration(&mut self, scope: &str, defined: &EnumDescriptorProto) -> Result<(), String> {
        let own = self.add(scope, defined.name.as_deref(), Kind::Enum)?;
        if defined.value.is_empty() {
            return Err(format!("{own} has no values."));
        }
        for value in &defined.value {
            self.add(scope, value.name.as_deref(), Kind::Other)?;
        }
        Ok(())
    }

    fn add(&mut self, scope: &str, own: Option<&str>, kind: Kind) -> Result<String, String> {
        let own = own.unwrap_or_default();
        identifier(own)?;
        let full = if scope.is_empty() { own.to_owned() } else { format!("{scope}.{own}") };
        if self.kinds.insert(full.clone(), kind).is_some() {
            return Err(format!("\"{full}\" is already defined."));
        }
        Ok(full)
    }
}

/// What a file refers to.
struct References<'a> {
    file: &'a FileDescriptorProto,
    names: &'a Names,
}

impl References<'_> {
    fn check(&self) -> Result<(), String> {
        let file = self.file;
        for list in [&file.public_dependency, &file.weak_dependency] {
            let inside = |at: &i32| usize::try_from(*at).is_ok_and(|at| at < file.dependency.len());
            if !list.iter().all(inside) {
                return Err("A public or weak import is not there.".to_owned());
            }
        }
        self.extensions(&file.extension)?;
        for message in &file.message_type {
            self.message(message)?;
        }
        for method in file.service.iter().flat_map(|service| &service.method) {
            for type_name in [&method.input_type, &method.output_type] {
                self.is(type_name.as_deref(), Kind::Message)?;
            }
        }
        Ok(())
    }

    fn message(&self, message: &DescriptorProto) -> Result<(), String> {
        message.field.iter().try_for_each(|field| self.field(field))?;
        self.extensions(&message.extension)?;
        message.nested_type.iter().try_for_each(|nested| self.message(nested))
    }

    fn extensions(&self, extensions: &[FieldDescriptorProto]) -> Result<(), String> {
        for extension in extensions {
            self.is(extension.extendee.as_deref(), Kind::Message)?;
            self.field(extension)?;
        }
        Ok(())
    }

    fn field(&self, field: &FieldDescriptorProto) -> Result<(), String> {
        let own = field.name.as_deref().unwrap_or_default();
        if !field.number.is_some_and(|number| (1..=MAX_NUMBER).contains(&number)) {
            return Err(format!("The number of {own} is out of range."));
        }
        if field.label.is_none() && field.extendee.is_none() {
            return Err(format!("{own} is neither optional nor repeated nor required."));
        }
        match field.r#type {
            Some(Type::TYPE_MESSAGE | Type::TYPE_GROUP) => {
                self.is(field.type_name.as_deref(), Kind::Message)
            }
            Some(Type::TYPE_ENUM) => self.is(field.type_name.as_deref(), Kind::Enum),
            Some(_) if field.type_name.is_some() => {
                Err(format!("{own} is of a simple type and names another one."))
            }
            Some(_) => Ok(()),
            None => Err(format!("{own} has no type.")),
        }?;
        if field.oneof_index.is_some() && field.label == Some(Label::LABEL_REPEATED) {
            return Err(format!("{own} is repeated and in a oneof."));
        }
        Ok(())
    }

    fn is(&self, type_name: Option<&str>, kind: Kind) -> Result<(), String> {
        let wanted = type_name.unwrap_or_default();
        let Some(full) = wanted.strip_prefix('.') else {
            return Err(format!("\"{wanted}\" is not a full name of a type."));
        };
        match self.names.kinds.get(full) {
            Some(found) if *found == kind => Ok(()),
            Some(_) => Err(format!("\"{full}\" is not {}.", a(kind))),
            None => Err(format!("\"{full}\" is not defined.")),
        }
    }
}

fn a(kind: Kind) -> &'static str {
    match kind {
        Kind::Message => "a message type",
        Kind::Enum => "an enum type",
        Kind::Other => "that",
    }
}

fn identifier(name: &str) -> Result<(), String> {
    match crate::python::is_identifier(name) {
        true => Ok(()),
        false => Err(format!("{name:?} is not a valid identifier.")),
    }
}

/// The largest field number there is: 29 bits.
const MAX_NUMBER: i32 = (1 << 29) - 1;
/// Above what the decoder lets through; a second line of defence for our own recursion.
const MAX_DEPTH: usize = 100;
