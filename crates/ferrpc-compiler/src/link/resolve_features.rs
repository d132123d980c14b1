//! Features from the file down to the fields.

use super::{Linker, SYNTAX, position};
use crate::ast::{Enum, Field, File, Label, Message, Options, Type};
use crate::features::Features;
use crate::options::notes::{self, numbers};
use crate::options::visit::Owner;
use crate::pool::is_map_entry;
use crate::wire;

impl Linker<'_> {
    pub(super) fn resolve_features(&mut self, ast: &File) {
        let default = Features::of(self.edition);
        let file = self.merged(default, &ast.options, Owner::File, &[SYNTAX]);
        self.pool.files[self.file.0 as usize].features = file;
        for (at, message) in ast.messages.iter().enumerate() {
            self.at(&[4, position(at)], |linker| linker.message_features(message, file));
        }
        for (at, defined) in ast.enums.iter().enumerate() {
            self.at(&[5, position(at)], |linker| linker.enum_features(defined, file));
        }
        for (at, field) in ast.extensions.iter().enumerate() {
            self.at(&[7, position(at)], |linker| linker.field_features(field, file, false));
        }
        for (at, service) in ast.services.iter().enumerate() {
            self.at(&[6, position(at)], |linker| {
                let own = linker.merged(file, &service.options, Owner::Service, &[1]);
                for (at, method) in service.methods.iter().enumerate() {
                    linker.at(&[2, position(at)], |linker| {
                        linker.merged(own, &method.options, Owner::Method, &[1]);
                    });
                }
            });
        }
    }

    /// An element's features; a fault is reported at `below` it.
    fn merged(
        &mut self,
        outer: Features,
        options: &Option<Box<Options>>,
        owner: Owner,
        below: &[i32],
    ) -> Features {
        let Some(explicit) = notes::features(options, owner) else { return outer };
        if self.edition.is_legacy() {
            self.error(below, "Features are only valid under editions.");
        }
        match outer.merged(&explicit) {
            Ok(features) => features,
            Err(name) => {
                let upper = match name {
                    // Its enum is in a message of its own.
                    "default_symbol_visibility" => {
                        "VisibilityFeature::DEFAULT_SYMBOL_VISIBILITY".to_owned()
                    }
                    name => name.to_ascii_uppercase(),
                };
                let message = format!(
                    "Feature field `{name}` must resolve to a known value, found {upper}_UNKNOWN"
                );
                self.error(below, message);
                outer
            }
        }
    }

    fn message_features(&mut self, message: &Message, outer: Features) {
        let own = self.merged(outer, &message.options, Owner::Message, &[1]);
        self.pool.message_mut(message.id).features = own;
        for (at, defined) in message.enums.iter().enumerate() {
            self.at(&[4, position(at)], |linker| linker.enum_features(defined, own));
        }
        let mut oneofs = Vec::with_capacity(message.oneofs.len());
        for (at, oneof) in message.oneofs.iter().enumerate() {
            oneofs.push(self.at(&[8, position(at)], |linker| {
                linker.merged(own, &oneof.options, Owner::Oneof, &[1])
            }));
        }
        let entry = is_map_entry(message);
        for (at, field) in message.fields.iter().enumerate() {
            let outer = field.oneof.and_then(|oneof| oneofs.get(oneof)).copied().unwrap_or(own);
            // The fields of an entry stand where the map does.
            let path: &[i32] = if entry { &[] } else { &[2, position(at)] };
            self.at(path, |linker| linker.field_features(field, outer, entry));
        }
        for (at, nested) in message.nested.iter().enumerate() {
            let path = match nested.map_field {
                Some(field) => [2, position(field)],
                None => [3, position(at)],
            };
            self.at(&path, |linker| linker.message_features(nested, own));
        }
        for (at, field) in message.extensions.iter().enumerate() {
            self.at(&[6, position(at)], |linker| linker.field_features(field, own, false));
        }
        for (at, range) in message.extension_ranges.iter().enumerate() {
            self.at(&[5, position(at)], |linker| {
                linker.merged(own, &range.options, Owner::Range, &[]);
            });
        }
        self.oneof_features.insert(message.id, oneofs);
    }

    fn enum_features(&mut self, defined: &Enum, outer: Features) {
        let own = self.merged(outer, &defined.options, Owner::Enum, &[1]);
        self.pool.enumeration_mut(defined.id).features = own;
        for (at, value) in defined.values.iter().enumerate() {
            self.at(&[2, position(at)], |linker| {
                linker.merged(own, &value.options, Owner::Value, &[1]);
            });
        }
    }

    fn field_features(&mut self, field: &Field, outer: Features, in_entry: bool) {
        let mut own = self.merged(outer, &field.options, Owner::Field, &[1]);
        if self.edition.is_legacy() {
            let packed = wire::varint(notes::records(&field.options), numbers::FIELD_PACKED);
            own = own.with_legacy(
                self.edition,
                field.label == Label::Required,
                field.field_type == Some(Type::Group),
                packed.map(|packed| packed != 0),
            );
        }
        let node = self.pool.field(field.id);
        let map = node.message.is_some_and(|message| self.pool.message(message).map_entry);
        let delimited =
            field.field_type == Some(Type::Message) && own.is_delimited() && !map && !in_entry;
        let node = self.pool.field_mut(field.id);
        node.features = own;
        if own.is_required() && node.label == Label::Optional {
            node.label = Label::Required;
        }
        if delimited {
            node.field_type = Some(Type::Group);
        }
    }
}
