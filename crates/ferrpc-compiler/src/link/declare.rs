//! All names and numbers of a file, and what is wrong with them alone.

use std::collections::HashSet;

use super::overlaps::Overlaps;
use super::{Linker, MAX_FAULTS, position};
use crate::ast::{
    Edition, Enum, ExtensionRange, Field, File, Label, Message, Range, Service, Type,
};
use crate::check::{Declared, type_path};
use crate::features::Features;
use crate::parser::{MAX_FIELD_NUMBER, MAX_NESTING};
use crate::pool::{
    EnumId, EnumNode, ExtensionRangeNode, FieldId, FieldNode, MessageId, MessageNode, Name, Symbol,
    ValueNode, is_map_entry, join,
};

impl Linker<'_> {
    pub(super) fn declare(&mut self, ast: &mut File) {
        let package = ast.package.clone();
        for (at, message) in ast.messages.iter_mut().enumerate() {
            self.at(&[4, position(at)], |linker| linker.message(message, &package, None, 1));
        }
        for (at, defined) in ast.enums.iter_mut().enumerate() {
            self.at(&[5, position(at)], |linker| linker.enumeration(defined, &package, None));
        }
        for (at, service) in ast.services.iter().enumerate() {
            self.at(&[6, position(at)], |linker| linker.service(service, &package));
        }
        for (at, field) in ast.extensions.iter_mut().enumerate() {
            self.at(&[7, position(at)], |linker| linker.field(field, &package, None, true));
        }
    }

    fn message(
        &mut self,
        message: &mut Message,
        scope: &str,
        parent: Option<MessageId>,
        depth: u32,
    ) {
        let name = self.full_name(scope, &message.name);
        let id = MessageId::next(&self.pool.messages);
        message.id = id;
        self.pool.messages.push(MessageNode {
            own: name.len() - message.name.len().min(name.len()),
            name: name.clone(),
            file: self.file,
            parent,
            fields: Vec::with_capacity(message.fields.len()),
            extensions: Vec::new(),
            oneofs: message.oneofs.iter().map(|oneof| oneof.name.clone()).collect(),
            ranges: Vec::new(),
            reserved_names: message.reserved_names.clone(),
            map_entry: is_map_entry(message),
            message_set: false,
            visibility: message.visibility,
            features: Features::of(self.edition),
        });
        for (at, oneof) in message.oneofs.iter().enumerate() {
            let full = self.full_name(&name, &oneof.name);
            self.at(&[8, position(at)], |linker| {
                linker.add_symbol(&full, Symbol::Other(linker.file));
            });
        }
        for (at, field) in message.fields.iter_mut().enumerate() {
            let path = [2, position(at)];
            self.at(&path, |linker| linker.field(field, &name, Some(id), false));
            self.pool.message_mut(id).fields.push(field.id);
        }
        for (at, defined) in message.enums.iter_mut().enumerate() {
            self.at(&[4, position(at)], |linker| linker.enumeration(defined, &name, Some(id)));
        }
        self.extension_ranges(&message.extension_ranges, id);
        for (at, field) in message.extensions.iter_mut().enumerate() {
            self.at(&[6, position(at)], |linker| linker.field(field, &name, Some(id), true));
            self.pool.message_mut(id).extensions.push(field.id);
        }
        self.reserved_ranges(message, id);
        if depth >= MAX_NESTING {
            return self.error(&[], "Reached maximum recursion limit for nested messages.");
        }
        for (at, nested) in message.nested.iter_mut().enumerate() {
            // What is wrong with the entry of a map is wrong with its field.
            let own = [3, position(at)];
            let path = match nested.map_field {
                Some(field) => [2, position(field)],
                None => own,
            };
            self.at(&path, |linker| linker.message(nested, &name, Some(id), depth + 1));
        }
        self.add_symbol(&name, Symbol::Message(id));
        self.check_reserved(message, id, &name);
    }

    fn full_name(&mut self, scope: &str, own: &str) -> Name {
        let name: Name = join(scope, own).into();
        if own.is_empty() {
            self.error(&[1], "Missing name.");
        } else if !own.bytes().all(crate::lexer::is_alphanumeric) {
            self.error(&[1], format!("\"{own}\" is not a valid identifier."));
        }
        if name.len() > MAX_NAME_LENGTH {
            self.error(&[1], "Name too long.");
        }
        name
    }

    fn field(&mut self, field: &mut Field, scope: &str, parent: Option<MessageId>, extends: bool) {
        let name = self.full_name(scope, &field.name);
        let id = FieldId::next(&self.pool.fields);
        field.id = id;
        let features = Features::of(self.edition);
        self.pool.fields.push(FieldNode {
            own: name.len() - field.name.len().min(name.len()),
            name: name.clone(),
            file: self.file,
            containing: parent.filter(|_| !extends),
            is_extension: extends,
            scope: parent.filter(|_| extends),
            number: field.number,
            label: field.label,
            field_type: field.field_type,
            message: None,
            enumeration: None,
            oneof: field.oneof,
            weak: false,
            deprecated: false,
            source_only: false,
            targets: 0,
            support: None,
            closed_in_cpp: false,
            features: features.with_legacy(
                self.edition,
                field.label == Label::Required,
                field.field_type == Some(Type::Group),
                None,
            ),
        });
        if field.label == Label::Required && extends {
            self.error(&type_path(field), format!("The extension {name} cannot be required."));
        }
        if field.default.is_some() && field.label == Label::Repeated {
            self.error(&[7], "Repeated fields can't have default values.");
        }
        self.check_default_text(field);
        match (&field.extendee, extends) {
            (Some(_), false) => {
                self.error(&[2], "FieldDescriptorProto.extendee set for non-extension field.");
            }
            (None, true) => {
                self.error(&[2], "FieldDescriptorProto.extendee not set for extension field.");
            }
            _ => {}
        }
        if extends && field.oneof.is_some() {
            self.error(
                &type_path(field),
                "FieldDescriptorProto.oneof_index should not be set for extensions.",
            );
        }
        if field.proto3_optional && self.edition != Edition::PROTO3 {
            let text = format!(
                "The [proto3_optional=true] option may only be set on proto3 fields, not {name}"
            );
            self.error(&type_path(field), text);
        }
        if field.number <= 0 {
            self.want_numbers(parent, &[3], 1);
            self.error(&[3], "Field numbers must be positive integers.");
        } else if !extends && field.number > MAX_FIELD_NUMBER {
            self.want_numbers(parent, &[3], 1);
            let message = format!("Field numbers cannot be greater than {MAX_FIELD_NUMBER}.");
            self.error(&[3], message);
        }
        self.add_symbol(&name, Symbol::Field(id));
    }

    fn extension_ranges(&mut self, ranges: &[ExtensionRange], id: MessageId) {
        for (at, extension_range) in ranges.iter().enumerate() {
            let range = extension_range.range;
            let node = ExtensionRangeNode { range, declared: Declared::default() };
            self.pool.message_mut(id).ranges.push(node);
            let path = [5, position(at)];
            if range.start <= 0 {
                self.want_numbers(Some(id), &path, span(range));
                self.error(&path, "Extension numbers must be positive integers.");
            }
            if range.start >= range.end {
                self.error(&path, "Extension range end number must be greater than start number.");
            }
        }
    }

    fn reserved_ranges(&mut self, message: &Message, id: MessageId) {
        if !message.reserved_ranges.is_empty() {
            let ranges = message.reserved_ranges.iter();
            let ranges = ranges.map(|it| (i64::from(it.start), i64::from(it.end) - 1));
            self.reserved.insert(id, ranges.collect());
        }
        for (at, range) in message.reserved_ranges.iter().enumerate() {
            let path = [9, position(at)];
            if range.start <= 0 {
                self.want_numbers(Some(id), &path, span(*range));
                self.error(&path, "Reserved numbers must be positive integers.");
            }
            if range.start >= range.end {
                self.error(&path, "Reserved range end number must be greater than start number.");
            }
        }
    }

    /// What is reserved is reserved once and used by no field; ranges do not overlap.
    fn check_reserved(&mut self, message: &Message, id: MessageId, name: &str) {
        let reserved = &message.reserved_ranges;
        self.overlaps(reserved, 9, false);
        let names = self.reserved_names(&message.reserved_names, "Field name");
        if message.fields.len() > MAX_FIELDS {
            let count = message.fields.len();
            let message = format!("{count} fields in {name} exceeds the limit of {MAX_FIELDS}");
            self.error(&[1], message);
        }
        let ranges: Vec<Range> = message.extension_ranges.iter().map(|it| it.range).collect();
        let (extensions, reserved_index) =
            (Overlaps::new(&ranges, false), Overlaps::new(reserved, false));
        for (at, field) in message.fields.iter().enumerate() {
            if self.faults.len() >= MAX_FAULTS {
                break;
            }
            let own = &field.name;
            let number = field.number;
            for at in extensions.at(number) {
                let path = [5, position(at)];
                self.want_numbers(Some(id), &path, 1);
                let (start, last) = (ranges[at].start, ranges[at].end - 1);
                self.error(
                    &path,
                    format!(
                        "Extension range {start} to {last} includes field \"{own}\" ({number})."
                    ),
                );
            }
            for at in reserved_index.at(number) {
                let path = [9, position(at)];
                self.want_numbers(Some(id), &path, 1);
                let message = format!("Field \"{own}\" uses reserved number {number}.");
                self.error(&path, message);
            }
            if names.contains(own.as_bytes()) {
                let path = [2, position(at), 1];
                self.error(&path, format!("Field name \"{own}\" is reserved."));
            }
        }
        for (at, range) in ranges.iter().enumerate() {
            if self.faults.len() >= MAX_FAULTS {
                break;
            }
            for other in reserved_index.with(*range) {
                let other = reserved[other];
                self.error(
                    &[5, position(at)],
                    format!(
                        "Extension range {} to {} overlaps with reserved range {} to {}.",
                        range.start,
                        range.end - 1,
                        other.start,
                        other.end - 1
                    ),
                );
            }
        }
        self.overlaps(&ranges, 5, false);
    }

    /// `number` is the ranges' field; the ends of an enum's are part of them.
    fn overlaps(&mut self, ranges: &[Range], number: i32, inclusive: bool) {
        let (what, less) = match number {
            5 => ("Extension range", 1),
            _ if inclusive => ("Reserved range", 0),
            _ => ("Reserved range", 1),
        };
        for (at, other) in Overlaps::new(ranges, inclusive).pairs() {
            let (one, other) = (ranges[at], ranges[other]);
            self.error(
                &[number, position(at)],
                format!(
                    "{what} {} to {} overlaps with already-defined range {} to {}.",
                    other.start,
                    other.end - less,
                    one.start,
                    one.end - less
                ),
            );
        }
    }

    fn reserved_names<'a>(&mut self, names: &'a [Vec<u8>], what: &str) -> HashSet<&'a [u8]> {
        let mut seen = HashSet::new();
        for name in names {
            if name.len() > MAX_NAME_LENGTH {
                self.error(&[1], "Reserved name too long.");
            }
            if !seen.insert(name.as_slice()) {
                let name = String::from_utf8_lossy(name);
                self.error(&[1], format!("{what} \"{name}\" is reserved multiple times."));
            }
        }
        seen
    }

    fn enumeration(&mut self, defined: &mut Enum, scope: &str, parent: Option<MessageId>) {
        let name = self.full_name(scope, &defined.name);
        let id = EnumId::next(&self.pool.enums);
        defined.id = id;
        if defined.values.is_empty() {
            self.error(&[1], "Enums must contain at least one value.");
        }
        let values = defined.values.iter();
        let values = values
            .map(|it| ValueNode { name: it.name.clone(), number: it.number, support: None })
            .collect();
        self.pool.enums.push(EnumNode {
            own: name.len() - defined.name.len().min(name.len()),
            name: name.clone(),
            file: self.file,
            parent,
            values,
            redacted: false,
            visibility: defined.visibility,
            features: Features::of(self.edition),
        });
        let mut own_names = HashSet::new();
        for (at, value) in defined.values.iter().enumerate() {
            let path = [2, position(at)];
            let full = self.at(&path, |linker| linker.full_name(scope, &value.name));
            let symbol = Symbol::Value(id, u32::try_from(at).unwrap_or(u32::MAX));
            let added = self.at(&path, |linker| linker.add_symbol(&full, symbol));
            if own_names.insert(value.name.as_str()) && !added {
                let outer = match scope {
                    "" => "the global scope".to_owned(),
                    scope => format!("\"{scope}\""),
                };
                let message = format!(
                    "Note that enum values use C++ scoping rules, meaning that enum values are \
                     siblings of their type, not children of it.  Therefore, \"{}\" must be unique \
                     within {outer}, not just within \"{}\".",
                    value.name, defined.name
                );
                self.error(&[2, position(at), 1], message);
            }
        }
        for (at, range) in defined.reserved_ranges.iter().enumerate() {
            if range.start > range.end {
                self.error(
                    &[4, position(at)],
                    "Reserved range end number must be greater than start number.",
                );
            }
        }
        self.add_symbol(&name, Symbol::Enum(id));
        self.check_reserved_values(defined);
    }

    fn check_reserved_values(&mut self, defined: &Enum) {
        self.overlaps(&defined.reserved_ranges, 4, true);
        let names = self.reserved_names(&defined.reserved_names, "Enum value");
        let reserved = Overlaps::new(&defined.reserved_ranges, true);
        for (at, value) in defined.values.iter().enumerate() {
            if self.faults.len() >= MAX_FAULTS {
                break;
            }
            let own = &value.name;
            let number = value.number;
            for range_at in reserved.at(number) {
                let message = format!("Enum value \"{own}\" uses reserved number {number}.");
                self.error(&[4, position(range_at)], message);
            }
            if names.contains(own.as_bytes()) {
                self.error(&[2, position(at), 1], format!("Enum value \"{own}\" is reserved."));
            }
        }
    }

    fn service(&mut self, service: &Service, scope: &str) {
        let name = self.full_name(scope, &service.name);
        for (at, method) in service.methods.iter().enumerate() {
            self.at(&[2, position(at)], |linker| {
                let full = linker.full_name(&name, &method.name);
                linker.add_symbol(&full, Symbol::Other(linker.file));
            });
        }
        self.add_symbol(&name, Symbol::Service(self.file));
    }
}

fn span(range: Range) -> i64 {
    i64::from(range.end) - i64::from(range.start)
}

/// Bytes of a full name.
const MAX_NAME_LENGTH: usize = 65_535;
/// Fields of a message.
const MAX_FIELDS: usize = 65_535;
