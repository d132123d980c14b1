//! What protoc checks of the files that it is asked for only: options at elements that they are
//! not for, and numbers that are the implementation's.

use crate::ast::{Field, File, Message};
use crate::link::{Linker, position};
use crate::options::visit::{Owner, visit};
use crate::pool::{MessageId, Pool, is_map_entry};
use crate::wire::{self, Record, Value};

impl Linker<'_> {
    pub(crate) fn check_targets(&mut self, ast: &mut File) {
        for (at, message) in ast.messages.iter().enumerate() {
            self.at(&[4, position(at)], |linker| linker.reserved_numbers(message));
        }
        for (at, field) in ast.extensions.iter().enumerate() {
            self.at(&[7, position(at)], |linker| linker.reserved_number(field));
        }
        let mut faults = Vec::new();
        visit(ast, &mut |element| {
            let Some(options) = element.options else { return };
            let type_name = element.owner.type_name();
            let own = self.pool.message_named(type_name).map(|message| (&*self.pool, message));
            let known = || Some((self.known?, self.known?.message_named(type_name)?));
            let Some((types, message)) = own.or_else(known) else { return };
            let mut found = Vec::new();
            wrong_targets(types, message, &options.records, element.owner, &mut found);
            faults.extend(found.into_iter().map(|text| (element.path.to_vec(), text)));
        });
        for (path, text) in faults {
            self.error_at(path, text);
        }
    }

    fn reserved_numbers(&mut self, message: &Message) {
        if !is_map_entry(message) {
            for (at, field) in message.fields.iter().enumerate() {
                self.at(&[2, position(at)], |linker| linker.reserved_number(field));
            }
        }
        for (at, field) in message.extensions.iter().enumerate() {
            self.at(&[6, position(at)], |linker| linker.reserved_number(field));
        }
        for (at, nested) in message.nested.iter().enumerate() {
            self.at(&[3, position(at)], |linker| linker.reserved_numbers(nested));
        }
    }

    fn reserved_number(&mut self, field: &Field) {
        if (FIRST_RESERVED..=LAST_RESERVED).contains(&field.number) {
            let text = format!(
                "Field numbers {FIRST_RESERVED} through {LAST_RESERVED} are reserved for the \
                 protocol buffer library implementation."
            );
            self.error(&[3], text);
        }
    }
}

fn wrong_targets(
    types: &Pool,
    message: MessageId,
    records: &[Record],
    owner: Owner,
    out: &mut Vec<String>,
) {
    for record in records {
        let number = i32::try_from(record.number).unwrap_or_default();
        let Some(field) = types.field_numbered(message, number) else { continue };
        let node = types.field(field);
        let (target, name) = owner.target();
        if node.targets != 0 && node.targets & (1 << target) == 0 {
            let option = &node.name;
            let text = format!("Option {option} cannot be set on an entity of type `{name}`.");
            if !out.contains(&text) || !node.is_repeated() {
                out.push(text);
            }
        }
        let Some(inner) = node.message else { continue };
        match &record.value {
            Value::Message(records) | Value::Group(records) => {
                wrong_targets(types, inner, records, owner, out);
            }
            Value::Bytes(bytes) => {
                let records = wire::decode(bytes).unwrap_or_default();
                wrong_targets(types, inner, &records, owner, out);
            }
            _ => {}
        }
    }
}

impl Owner {
    /// The number of the element in `OptionTargetType`, and its name in messages.
    fn target(self) -> (u16, &'static str) {
        match self {
            Self::File => (1, "file"),
            Self::Range => (2, "extension range"),
            Self::Message => (3, "message"),
            Self::Field => (4, "field"),
            Self::Oneof => (5, "oneof"),
            Self::Enum => (6, "enum"),
            Self::Value => (7, "enum entry"),
            Self::Service => (8, "service"),
            Self::Method => (9, "method"),
        }
    }
}

const FIRST_RESERVED: i32 = 19_000;
const LAST_RESERVED: i32 = 19_999;
