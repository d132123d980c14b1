//! Options of fields that do not go with their types.

use crate::ast::{Edition, Field, Type};
use crate::link::Linker;
use crate::options::notes::{self, numbers};
use crate::wire;

use super::json::json_name;
use super::type_path;

impl Linker<'_> {
    pub(super) fn check_field(&mut self, field: &Field, in_entry: bool) {
        let path = type_path(field);
        self.check_support(field);
        self.check_field_features(field, in_entry);
        let records = notes::records(&field.options);
        let flag = |number| wire::boolean(records, number);
        if self.edition >= Edition::E2024 && wire::varint(records, FIELD_CTYPE).is_some() {
            self.error(
                &path,
                "ctype option is not allowed under edition 2024 and beyond. Use the feature \
                 string_type = VIEW|CORD|STRING|... instead.",
            );
        }
        let node = self.pool.field(field.id);
        let (field_type, is_extension) = (node.field_type, node.is_extension);
        let packable = node.is_packable();
        let unverified = flag(numbers::FIELD_UNVERIFIED_LAZY);
        if (flag(numbers::FIELD_LAZY) || unverified) && field_type != Some(Type::Message) {
            self.error(&path, "[lazy = true] can only be specified for submessage fields.");
        }
        if unverified && is_extension {
            self.error(&path, "Extensions cannot be marked as unverified_lazy.");
        }
        if flag(numbers::FIELD_PACKED) && !packable {
            self.error(
                &path,
                "[packed = true] can only be specified for repeated primitive fields.",
            );
        }
        self.check_container(field);
        let node = self.pool.field(field.id);
        if let Some(entry) = node.message.filter(|message| self.pool.message(*message).map_entry) {
            self.check_map(field, entry);
        }
        self.check_js_type(field);
        if let Some(name) = &field.json_name {
            if is_extension && name.as_slice() != json_name(&field.name).as_bytes() {
                self.error(&[10], "option json_name is not allowed on extension fields.");
            }
            if name.contains(&0) {
                self.error(&[10], "json_name cannot have embedded null characters.");
            }
        }
        if is_extension {
            self.check_declared(field);
        }
    }

    /// `feature_support` of a field and of its enum's values.
    fn check_support(&mut self, field: &Field) {
        let node = self.pool.field(field.id);
        let Some(own) = &node.support else { return };
        let fault = own.fault(&node.name).or_else(|| {
            let defined = self.pool.enumeration(node.enumeration?);
            defined.values.iter().find_map(|value| {
                let full = format!("{}{}", &defined.name[..defined.own], value.name);
                let support = own.of_value(value.support.as_deref()?);
                let field = &node.name;
                support.fault(&full).or_else(|| {
                    if support.introduced < own.introduced {
                        Some(format!("value {full} was introduced before {field} was."))
                    } else if own.removed.is_some() && support.removed > own.removed {
                        Some(format!("value {full} was removed after {field} was."))
                    } else if own.deprecated.is_some() && support.deprecated > own.deprecated {
                        Some(format!("value {full} was deprecated after {field} was."))
                    } else {
                        None
                    }
                })
            })
        });
        if let Some(fault) = fault {
            self.error(&[8], fault);
        }
    }

    /// Message sets have extensions only; lite files extend lite messages.
    fn check_container(&mut self, field: &Field) {
        let node = self.pool.field(field.id);
        let Some(containing) = node.containing.map(|message| self.pool.message(message)) else {
            return;
        };
        let foreign_lite = self.is_lite() && !self.pool.file(containing.file).is_lite;
        if containing.message_set {
            let good = !node.is_required()
                && !node.is_repeated()
                && node.field_type == Some(Type::Message);
            match (node.is_extension, good) {
                (true, true) => {}
                (true, false) => self.error(
                    &type_path(field),
                    "Extensions of MessageSets must be optional messages.",
                ),
                (false, _) => {
                    self.error(&[1], "MessageSets cannot have fields, only extensions.");
                }
            }
        }
        if foreign_lite {
            self.error(
                &[2],
                "Extensions to non-lite types can only be declared in non-lite files.  Note that \
                 you cannot extend a non-lite type to contain a lite type, but the reverse is \
                 allowed.",
            );
        }
    }

    fn check_js_type(&mut self, field: &Field) {
        let value = wire::varint(notes::records(&field.options), numbers::FIELD_JSTYPE);
        if value.is_none_or(|value| value == 0) {
            return;
        }
        let fits = matches!(
            field.field_type,
            Some(Type::Uint64 | Type::Int64 | Type::Sint64 | Type::Fixed64 | Type::Sfixed64)
        );
        if !fits {
            self.error(
                &type_path(field),
                "jstype is only allowed on int64, uint64, sint64, fixed64 or sfixed64 fields.",
            );
        }
    }
}

const FIELD_CTYPE: u32 = 1;
