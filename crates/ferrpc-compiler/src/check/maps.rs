//! Maps and the messages that stand for their entries.

use std::collections::HashMap;

use crate::ast::{Field, File, Label, Message, Type};
use crate::link::{Linker, position};
use crate::pool::{MessageId, is_map_entry};

use super::type_path;

impl Linker<'_> {
    /// A message with `map_entry` that no map made, which only a descriptor can have.
    pub(super) fn check_map(&mut self, field: &Field, entry: MessageId) {
        let path = type_path(field);
        if !self.is_generated_entry(field, entry) {
            self.error(
                &path,
                "map_entry should not be set explicitly. Use map<KeyType, ValueType> instead.",
            );
            return;
        }
        let fields = &self.pool.message(entry).fields;
        let key = self.pool.field(fields[0]).field_type;
        let value = self.pool.field(fields[1]);
        let first = value.enumeration.and_then(|id| self.pool.enumeration(id).values.first());
        let not_zero = first.is_some_and(|value| value.number != 0);
        match key {
            Some(Type::Enum) => self.error(&path, "Key in map fields cannot be enum types."),
            Some(Type::Float | Type::Double | Type::Message | Type::Group | Type::Bytes) => self
                .error(&path, "Key in map fields cannot be float/double, bytes or message types."),
            _ => {}
        }
        if not_zero {
            self.error(&path, "Enum value in map must define 0 as the first value.");
        }
    }

    fn is_generated_entry(&self, field: &Field, entry: MessageId) -> bool {
        let node = self.pool.message(entry);
        let [key, value] = node.fields[..] else { return false };
        let part = |id, name: &str, number: i32| {
            let part = self.pool.field(id);
            part.own_name() == name && part.number == number && part.label == Label::Optional
        };
        node.extensions.is_empty()
            && node.ranges.is_empty()
            && field.label == Label::Repeated
            && node.name[node.own..] == crate::parser::entry_name(&field.name)
            && node.parent == self.pool.field(field.id).containing
            && part(key, "key", 1)
            && part(value, "value", 2)
    }

    /// When there were errors: says so if they come from a name that a map took.
    pub(crate) fn map_conflicts(&mut self, ast: &File) {
        for (at, message) in ast.messages.iter().enumerate() {
            self.at(&[4, position(at)], |linker| linker.map_conflicts_of(message));
        }
    }

    fn map_conflicts_of(&mut self, message: &Message) {
        let mut types: HashMap<&str, bool> = HashMap::new();
        for (at, nested) in message.nested.iter().enumerate() {
            let name = nested.name.as_str();
            let is_entry = is_map_entry(nested);
            if let Some(other) = types.insert(name, is_entry)
                && (other || is_entry)
            {
                self.error(
                    &[1],
                    format!(
                        "Expanded map entry type {name} conflicts with an existing nested message \
                         type."
                    ),
                );
                break;
            }
            self.at(&super::nested_path(nested, at), |linker| linker.map_conflicts_of(nested));
        }
        let fields = message.fields.iter().map(|field| (field.name.as_str(), "field"));
        let enums = message.enums.iter().map(|defined| (defined.name.as_str(), "enum type"));
        let oneofs = message.oneofs.iter().map(|oneof| (oneof.name.as_str(), "oneof type"));
        for (name, what) in fields.chain(enums).chain(oneofs) {
            if types.get(name) == Some(&true) {
                self.error(
                    &[1],
                    format!("Expanded map entry type {name} conflicts with an existing {what}."),
                );
            }
        }
    }
}
