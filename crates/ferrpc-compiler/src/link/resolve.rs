//! What types and extendees are, and whether numbers are unique.

use super::{Linker, position};
use crate::ast::{Field, File, Label, Message, Method, Type};
use crate::check::type_path;
use crate::lexer::is_identifier;
use crate::parser::MAX_FIELD_NUMBER;
use crate::pool::{FieldId, MessageId, Symbol};

impl Linker<'_> {
    pub(super) fn resolve(&mut self, ast: &mut File) {
        for (at, message) in ast.messages.iter_mut().enumerate() {
            self.at(&[4, position(at)], |linker| linker.resolve_message(message));
        }
        for (at, field) in ast.extensions.iter_mut().enumerate() {
            self.at(&[7, position(at)], |linker| linker.resolve_field(field));
        }
        for (at, service) in ast.services.iter_mut().enumerate() {
            let scope = crate::pool::join(&ast.package, &service.name);
            for (method_at, method) in service.methods.iter_mut().enumerate() {
                let path = [6, position(at), 2, position(method_at)];
                self.at(&path, |linker| linker.resolve_method(method, &scope));
            }
        }
    }

    fn resolve_message(&mut self, message: &mut Message) {
        for (at, nested) in message.nested.iter_mut().enumerate() {
            match nested.map_field {
                Some(field) => self.at(&[2, position(field)], |linker| {
                    // A fault of an entry's type is shown at its field's type.
                    for part in &mut nested.fields {
                        linker.resolve_field(part);
                    }
                    linker.check_oneofs(nested);
                }),
                None => self.at(&[3, position(at)], |linker| linker.resolve_message(nested)),
            }
        }
        for (at, field) in message.fields.iter_mut().enumerate() {
            self.at(&[2, position(at)], |linker| linker.resolve_field(field));
        }
        for (at, field) in message.extensions.iter_mut().enumerate() {
            self.at(&[6, position(at)], |linker| linker.resolve_field(field));
        }
        self.check_oneofs(message);
    }

    /// A oneof has fields, and they follow each other.
    fn check_oneofs(&mut self, message: &Message) {
        let mut counts = vec![0_usize; message.oneofs.len()];
        for (at, field) in message.fields.iter().enumerate() {
            let Some(oneof) = field.oneof else { continue };
            let Some(count) = counts.get_mut(oneof) else {
                let name = &message.name;
                self.error(
                    &[2, position(at)],
                    format!(
                        "FieldDescriptorProto.oneof_index {oneof} is out of range for type \
                         \"{name}\"."
                    ),
                );
                continue;
            };
            *count += 1;
            if field.label != Label::Optional {
                self.error(
                    &[2, position(at), 1],
                    "Fields of oneofs must themselves have label LABEL_OPTIONAL.",
                );
            }
            if *count > 1
                && let Some(before) = at.checked_sub(1).and_then(|at| message.fields.get(at))
                && before.oneof != Some(oneof)
            {
                let other = &before.name;
                let own = &message.oneofs[oneof].name;
                self.error(
                    &[2, position(at - 1), 5],
                    format!(
                        "Fields in the same oneof must be defined consecutively. \"{other}\" \
                         cannot be defined before the completion of the \"{own}\" oneof \
                         definition."
                    ),
                );
            }
        }
        self.check_synthetic(message, &counts);
        for (at, count) in counts.into_iter().enumerate() {
            if count == 0 {
                self.error(&[8, position(at), 1], "Oneof must have at least one field.");
            }
        }
    }

    /// The oneofs of proto3's `optional` fields have one field and are the last ones.
    fn check_synthetic(&mut self, message: &Message, counts: &[usize]) {
        let mut synthetic = vec![false; counts.len()];
        for (at, field) in message.fields.iter().enumerate() {
            if !field.proto3_optional {
                continue;
            }
            match field.oneof {
                Some(oneof) if counts.get(oneof) == Some(&1) => synthetic[oneof] = true,
                _ => self.error(
                    &[2, position(at)],
                    "Fields with proto3_optional set must be a member of a one-field oneof",
                ),
            }
        }
        let first = synthetic.iter().position(|it| *it).unwrap_or(synthetic.len());
        for (at, is_synthetic) in synthetic.iter().enumerate().skip(first) {
            if !is_synthetic {
                let text = "Synthetic oneofs must be after all other oneofs";
                self.error(&[8, position(at)], text);
            }
        }
    }

    fn resolve_field(&mut self, field: &mut Field) {
        let id = field.id;
        let name = self.pool.field(id).name.clone();
        if let Some(extendee) = field.extendee.clone()
            && !self.resolve_extendee(field, &extendee, &name)
        {
            return;
        }
        if let Some(type_name) = field.type_name.clone() {
            if !self.resolve_type(field, &type_name, &name) {
                return;
            }
        } else if matches!(field.field_type, Some(Type::Message | Type::Group | Type::Enum) | None)
        {
            self.error(&[5], "Field with message or enum type missing type_name.");
            return;
        }
        self.add_number(field, id);
    }

    fn resolve_extendee(&mut self, field: &mut Field, extendee: &str, name: &str) -> bool {
        let Some(found) = self.look_up(extendee, name, false) else {
            self.not_defined(&[2], extendee);
            return false;
        };
        let Symbol::Message(message) = found else {
            self.error(&[2], format!("\"{extendee}\" is not a message type."));
            return false;
        };
        if let Some(why) = self.visibility_error(found, "target of extend") {
            self.error(&[2], why);
            return false;
        }
        self.pool.field_mut(field.id).containing = Some(message);
        let full = self.pool.message(message).name.clone();
        field.extendee = Some(format!(".{full}"));
        if self.pool.extension_range(message, field.number).is_none() {
            let number = field.number;
            self.error(
                &[3],
                format!("\"{full}\" does not declare {number} as an extension number."),
            );
        }
        true
    }

    fn resolve_type(&mut self, field: &mut Field, type_name: &str, name: &str) -> bool {
        let path = type_path(field);
        let Some(found) = self.look_up(type_name, name, true) else {
            self.not_defined(&path, type_name);
            return false;
        };
        if let Some(why) = self.visibility_error(found, "") {
            self.error(&path, why);
            return false;
        }
        match (found, field.field_type) {
            (Symbol::Message(message), None | Some(Type::Message | Type::Group)) => {
                field.field_type = field.field_type.or(Some(Type::Message));
                field.type_name = Some(format!(".{}", self.pool.message(message).name));
                if field.default.is_some() {
                    self.error(&[7], "Messages can't have default values.");
                }
                self.pool.field_mut(field.id).message = Some(message);
            }
            (Symbol::Enum(defined), None | Some(Type::Enum)) => {
                field.field_type = Some(Type::Enum);
                field.type_name = Some(format!(".{}", self.pool.enumeration(defined).name));
                self.pool.field_mut(field.id).enumeration = Some(defined);
                self.check_enum_default(field);
            }
            (_, given) => {
                let what = match given {
                    None => "a type",
                    Some(Type::Message | Type::Group) => "a message type",
                    Some(Type::Enum) => "an enum type",
                    Some(_) => {
                        self.error(&path, "Field with primitive type has type_name.");
                        return false;
                    }
                };
                self.error(&path, format!("\"{type_name}\" is not {what}."));
                return false;
            }
        }
        self.pool.field_mut(field.id).field_type = field.field_type;
        true
    }

    fn check_enum_default(&mut self, field: &Field) {
        let (Some(default), Some(defined)) =
            (&field.default, self.pool.field(field.id).enumeration)
        else {
            return;
        };
        if !is_identifier(default) {
            return self.error(&[7], "Default value for an enum field must be an identifier.");
        }
        let text = String::from_utf8_lossy(default);
        if self.pool.value_named(defined, &text).is_none() {
            let node = self.pool.enumeration(defined);
            let message = format!("Enum type \"{}\" has no value named \"{text}\".", node.name);
            let values = node.values.iter().map(|value| value.name.as_str());
            let help = super::suggest::nearest(&text, values);
            self.error_with_help(&[7], message, help.map(|near| format!("did you mean {near}?")));
        }
    }

    fn add_number(&mut self, field: &Field, id: FieldId) {
        let node = self.pool.field(id);
        let Some(message) = node.containing else { return };
        let is_extension = node.is_extension;
        let Some(other) = self.pool.add_number(message, id) else {
            if is_extension {
                self.added_extensions.push((message, id));
            }
            return;
        };
        let number = field.number;
        let containing = self.pool.message(message).name.clone();
        let other_node = self.pool.field(other);
        let other_file = other_node.file;
        let other_name = other_node.name.clone();
        if !is_extension {
            let own = other_node.own_name().to_owned();
            let next = match self.free_number(message) {
                Some(number) => format!("Next available field number is {number}"),
                None => "There are no available field numbers".to_owned(),
            };
            let message = format!(
                "Field number {number} has already been used in \"{containing}\" by field \
                 \"{own}\". {next}."
            );
            self.error(&[3], message);
        } else if self.is_own(other_file) {
            let message = format!(
                "Extension number {number} has already been used in \"{containing}\" by extension \
                 \"{other_name}\"."
            );
            self.error(&[3], message);
        } else {
            let file = &self.pool.file(other_file).ast.name;
            let message = format!(
                "Extension number {number} has already been used in \"{containing}\" by extension \
                 \"{other_name}\" defined in {file}."
            );
            self.warning(&[3], message);
        }
    }

    /// The smallest number that nothing of the message uses.
    fn free_number(&mut self, message: MessageId) -> Option<i64> {
        if let Some(known) = self.free_numbers.get(&message) {
            return *known;
        }
        let free = self.find_free_number(message);
        self.free_numbers.insert(message, free);
        free
    }

    fn find_free_number(&self, message: MessageId) -> Option<i64> {
        let node = self.pool.message(message);
        let fields = node.fields.iter().map(|id| {
            let number = i64::from(self.pool.field(*id).number);
            (number, number)
        });
        let ranges = node.ranges.iter().map(|it| it.range);
        let ranges = ranges.map(|it| (i64::from(it.start), i64::from(it.end) - 1));
        let mut used: Vec<(i64, i64)> = fields.chain(ranges).collect();
        used.extend(self.reserved_of(message));
        used.sort_unstable();
        let mut free = 1;
        for (start, end) in used {
            if start > free {
                break;
            }
            free = free.max(end + 1);
        }
        (free <= i64::from(MAX_FIELD_NUMBER)).then_some(free)
    }

    fn resolve_method(&mut self, method: &mut Method, scope: &str) {
        let name = format!("{scope}.{}", method.name);
        for (number, type_name) in [(2, &mut method.input), (3, &mut method.output)] {
            let Some(found) = self.look_up(type_name, &name, false) else {
                self.not_defined(&[number], type_name);
                continue;
            };
            let Symbol::Message(message) = found else {
                self.error(&[number], format!("\"{type_name}\" is not a message type."));
                continue;
            };
            if let Some(why) = self.visibility_error(found, "") {
                self.error(&[number], why);
                continue;
            }
            *type_name = format!(".{}", self.pool.message(message).name);
        }
    }

    /// Checks the default of a file that was not parsed, whose text may be anything.
    pub(super) fn check_default_text(&mut self, field: &Field) {
        let (Some(default), Some(scalar)) = (&field.default, field.field_type) else { return };
        let text = String::from_utf8_lossy(default);
        let good = match scalar {
            Type::Int32 | Type::Sint32 | Type::Sfixed32 => text.parse::<i32>().is_ok(),
            Type::Int64 | Type::Sint64 | Type::Sfixed64 => text.parse::<i64>().is_ok(),
            Type::Uint32 | Type::Fixed32 => text.parse::<u32>().is_ok(),
            Type::Uint64 | Type::Fixed64 => text.parse::<u64>().is_ok(),
            Type::Float | Type::Double => text.parse::<f64>().is_ok(),
            Type::Bool => {
                if text != "true" && text != "false" {
                    self.error(&[7], "Boolean default must be true or false.");
                }
                true
            }
            _ => true,
        };
        if !good {
            self.error(&[7], format!("Couldn't parse default value \"{text}\"."));
        }
    }
}
