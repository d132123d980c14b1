//! What must hold of a file whose names and options are resolved.

mod enums;
mod field;
mod field_features;
mod json;
mod maps;
mod ranges;
mod redaction;
mod style;
mod targets;
mod visibility;

pub(crate) use json::json_name;
pub(crate) use ranges::Declared;

use crate::ast::{Edition, Field, File, Message, Type};
use crate::link::{Linker, SYNTAX, position};
use crate::options::notes;
use crate::pool::is_map_entry;
use crate::wire;

impl Linker<'_> {
    pub(crate) fn check(&mut self, ast: &File) {
        self.check_file(ast);
        for (at, message) in ast.messages.iter().enumerate() {
            self.at(&[4, position(at)], |linker| linker.check_message(message));
        }
        for (at, defined) in ast.enums.iter().enumerate() {
            self.at(&[5, position(at)], |linker| linker.check_enum(defined));
        }
        for (at, field) in ast.extensions.iter().enumerate() {
            self.at(&[7, position(at)], |linker| linker.check_field(field, false));
        }
        for at in 0..ast.services.len() {
            let options = notes::records(&ast.options);
            let generic = wire::boolean(options, 16) || wire::boolean(options, 17);
            if generic && self.is_lite() {
                self.error(
                    &[6, position(at), 1],
                    "Files with optimize_for = LITE_RUNTIME cannot define services unless you set \
                     both options cc_generic_services and java_generic_services to false.",
                );
            }
        }
    }

    pub(super) fn is_lite(&self) -> bool {
        self.pool.file(self.file).is_lite
    }

    fn check_file(&mut self, ast: &File) {
        let features = self.pool.file(self.file).features;
        if !self.edition.is_legacy() {
            if features.is_required() {
                self.error(&[SYNTAX], "Required presence can't be specified by default.");
            }
            if wire::boolean(notes::records(&ast.options), JAVA_STRING_CHECK_UTF8) {
                self.error(
                    &[SYNTAX],
                    "File option java_string_check_utf8 is not allowed under editions. Use the \
                     (pb.java).utf8_validation feature to control this behavior.",
                );
            }
        }
        if !self.is_lite() {
            let dependencies = &self.pool.file(self.file).dependencies;
            let lite = dependencies.iter().flatten().find(|file| self.pool.file(**file).is_lite);
            if let Some(lite) = lite {
                let name = self.pool.file(*lite).ast.name.clone();
                let path = self.import_path(ast, &name);
                self.error_at(
                    path,
                    format!(
                        "Files that do not use optimize_for = LITE_RUNTIME cannot import files \
                         which do use this option.  This file is not lite, but it imports \
                         \"{name}\" which is."
                    ),
                );
            }
        }
        if self.edition == Edition::PROTO3 {
            self.check_proto3(ast);
        }
        if self.edition < Edition::E2024 && !ast.option_dependency.is_empty() {
            self.error(&[15, 0], "option imports are not supported before edition 2024.");
        }
        if self.edition >= Edition::E2024 && !ast.weak_dependency.is_empty() {
            self.error(&[11, 0], "weak imports are not allowed under edition 2024 and beyond.");
        }
    }

    fn check_proto3(&mut self, ast: &File) {
        for (at, field) in ast.extensions.iter().enumerate() {
            self.at(&[7, position(at)], |linker| linker.check_proto3_field(field));
        }
        for (at, message) in ast.messages.iter().enumerate() {
            self.at(&[4, position(at)], |linker| linker.check_proto3_message(message));
        }
    }

    fn check_proto3_message(&mut self, message: &Message) {
        for (at, nested) in message.nested.iter().enumerate() {
            let path = nested_path(nested, at);
            self.at(&path, |linker| linker.check_proto3_message(nested));
        }
        let entry = is_map_entry(message);
        for (at, field) in message.fields.iter().enumerate() {
            let path: &[i32] = if entry { &[] } else { &[2, position(at)] };
            self.at(path, |linker| linker.check_proto3_field(field));
        }
        for (at, field) in message.extensions.iter().enumerate() {
            self.at(&[6, position(at)], |linker| linker.check_proto3_field(field));
        }
        if !message.extension_ranges.is_empty() {
            self.error(&[5, 0], "Extension ranges are not allowed in proto3.");
        }
        if self.pool.message(message.id).message_set {
            self.error(&[1], "MessageSet is not supported in proto3.");
        }
    }

    fn check_proto3_field(&mut self, field: &Field) {
        let node = self.pool.field(field.id);
        let type_at = type_path(field);
        let containing = node.containing.map(|message| self.pool.message(message).name.clone());
        let containing = containing.unwrap_or_else(|| "unknown".into());
        let is_option = containing
            .strip_prefix("google.protobuf.")
            .or_else(|| containing.strip_prefix("proto2."))
            .is_some_and(|name| CUSTOM_OPTIONS.contains(&name));
        let closed = node.enumeration.map(|id| self.pool.enumeration(id));
        let closed = closed.filter(|it| it.features.is_closed()).map(|it| it.name.clone());
        let required = node.is_required();
        let group = node.field_type == Some(Type::Group);
        if node.is_extension && !is_option {
            self.error(&[2], "Extensions in proto3 are only allowed for defining options.");
        }
        if required {
            self.error(&type_at, "Required fields are not allowed in proto3.");
        }
        if field.default.is_some() {
            self.error(&[7], "Explicit default values are not allowed in proto3.");
        }
        if let Some(name) = closed {
            self.error(
                &type_at,
                format!(
                    "Enum type \"{name}\" is not an open enum, but is used in \"{containing}\" \
                     which is a proto3 message type."
                ),
            );
        }
        if group {
            self.error(&type_at, "Groups are not supported in proto3 syntax.");
        }
    }

    fn check_message(&mut self, message: &Message) {
        self.check_json_names(message);
        self.check_extension_ranges(message);
        for (at, defined) in message.enums.iter().enumerate() {
            self.at(&[4, position(at)], |linker| linker.check_enum(defined));
        }
        let entry = is_map_entry(message);
        for (at, field) in message.fields.iter().enumerate() {
            let path: &[i32] = if entry { &[] } else { &[2, position(at)] };
            self.at(path, |linker| linker.check_field(field, entry));
        }
        for (at, nested) in message.nested.iter().enumerate() {
            self.at(&nested_path(nested, at), |linker| linker.check_message(nested));
        }
        for (at, field) in message.extensions.iter().enumerate() {
            self.at(&[6, position(at)], |linker| linker.check_field(field, false));
        }
    }
}

/// The path of a nested message; what is wrong with the entry of a map is wrong with the map.
pub(crate) fn nested_path(nested: &Message, at: usize) -> [i32; 2] {
    match nested.map_field {
        Some(field) => [2, position(field)],
        None => [3, position(at)],
    }
}

/// The path of a field's type below the field.
pub(crate) fn type_path(field: &Field) -> [i32; 1] {
    match (&field.type_name, field.field_type) {
        (None, _) | (_, Some(Type::Group)) => [5],
        (Some(_), _) => [6],
    }
}

const JAVA_STRING_CHECK_UTF8: u32 = 27;
/// What extensions in proto3 may extend, in `google.protobuf` or its old name.
const CUSTOM_OPTIONS: &[&str] = &[
    "FileOptions",
    "MessageOptions",
    "FieldOptions",
    "OneofOptions",
    "ExtensionRangeOptions",
    "EnumOptions",
    "EnumValueOptions",
    "ServiceOptions",
    "MethodOptions",
];
