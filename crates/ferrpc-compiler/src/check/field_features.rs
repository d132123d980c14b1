//! Features of fields that do not go with their types or labels.

use crate::ast::{Field, Label, Type};
use crate::features::{self, IMPLICIT, LEGACY_REQUIRED, PACKED, explicit_value};
use crate::link::Linker;
use crate::options::notes::{self, numbers};
use crate::options::visit::Owner;
use crate::wire;

impl Linker<'_> {
    pub(super) fn check_field_features(&mut self, field: &Field, in_entry: bool) {
        if self.edition.is_legacy() {
            return;
        }
        let mut faults: Vec<&str> = Vec::new();
        if field.label == Label::Required {
            faults.push(
                "Required label is not allowed under editions.  Use the feature field_presence = \
                 LEGACY_REQUIRED to control this behavior.",
            );
        }
        if field.field_type == Some(Type::Group) {
            faults.push(
                "Group types are not allowed under editions.  Use the feature message_encoding = \
                 DELIMITED to control this behavior.",
            );
        }
        if wire::varint(notes::records(&field.options), numbers::FIELD_PACKED).is_some() {
            faults.push(
                "Field option packed is not allowed under editions.  Use the \
                 repeated_field_encoding feature to control this behavior.",
            );
        }
        let node = self.pool.field(field.id);
        let closed =
            node.enumeration.is_some_and(|id| self.pool.enumeration(id).features.is_closed());
        if !node.is_repeated() && !node.has_presence() {
            if field.default.is_some() {
                faults.push("Implicit presence fields can't specify defaults.");
            }
            if closed {
                faults.push("Implicit presence enum fields must always be open.");
            }
        }
        if node.is_extension && node.is_required() {
            faults.push("Extensions can't be required.");
        }
        if !in_entry {
            self.explicit_faults(field, &mut faults);
        }
        for fault in faults {
            self.error(&[1], fault);
        }
    }

    /// What the field itself says. Entries of maps have their map's features, whatever they are.
    fn explicit_faults(&self, field: &Field, faults: &mut Vec<&str>) {
        let Some(explicit) = notes::features(&field.options, Owner::Field) else { return };
        let node = self.pool.field(field.id);
        let is_map = self.pool.is_map(node);
        if let Some(presence) = explicit_value(&explicit, features::FIELD_PRESENCE) {
            if node.oneof.is_some() && !node.is_extension {
                faults.push("Oneof fields can't specify field presence.");
            } else if node.is_repeated() {
                faults.push("Repeated fields can't specify field presence.");
            } else if node.is_extension && presence != u64::from(LEGACY_REQUIRED) {
                faults.push("Extensions can't specify field presence.");
            } else if node.message.is_some() && presence == u64::from(IMPLICIT) {
                faults.push("Message fields can't specify implicit presence.");
            }
        }
        let encoding = explicit_value(&explicit, features::REPEATED_FIELD_ENCODING);
        if !node.is_repeated() && encoding.is_some() {
            faults.push("Only repeated fields can specify repeated field encoding.");
        }
        if explicit_value(&explicit, features::UTF8_VALIDATION).is_some()
            && node.field_type != Some(Type::String)
            && !(is_map && self.is_string_map(field))
        {
            faults.push("Only string fields can specify utf8 validation.");
        }
        if !node.is_packable() && encoding == Some(u64::from(PACKED)) {
            faults
                .push("Only repeated primitive fields can specify PACKED repeated field encoding.");
        }
        if explicit_value(&explicit, features::MESSAGE_ENCODING).is_some()
            && (!node.is_message() || is_map)
        {
            faults.push("Only message fields can specify message encoding.");
        }
    }

    fn is_string_map(&self, field: &Field) -> bool {
        let entry = self.pool.field(field.id).message.map(|entry| self.pool.message(entry));
        entry.is_some_and(|entry| {
            let mut types = entry.fields.iter().map(|part| self.pool.field(*part).field_type);
            types.any(|part| part == Some(Type::String))
        })
    }
}
