//! What options mean for linking: noted at the elements once the options are interpreted.

use super::visit::Owner;
use crate::ast::{Enum, EnumValue, Field, File, Message, Options};
use crate::check::Declared;
use crate::link::Linker;
use crate::pool::Support;
use crate::wire::{self, Records};

/// The numbers of fields of options messages.
pub(crate) mod numbers {
    pub(crate) const FILE_OPTIMIZE_FOR: u32 = 9;
    pub(crate) const MESSAGE_SET: u32 = 1;
    pub(crate) const FIELD_PACKED: u32 = 2;
    pub(crate) const FIELD_DEPRECATED: u32 = 3;
    pub(crate) const FIELD_LAZY: u32 = 5;
    pub(crate) const FIELD_JSTYPE: u32 = 6;
    pub(crate) const FIELD_WEAK: u32 = 10;
    pub(crate) const FIELD_UNVERIFIED_LAZY: u32 = 15;
    pub(crate) const FIELD_RETENTION: u32 = 17;
    pub(crate) const FIELD_TARGETS: u32 = 19;
    pub(crate) const FIELD_EDITION_DEFAULTS: u32 = 20;
    pub(crate) const FIELD_SUPPORT: u32 = 22;
    pub(crate) const VALUE_DEBUG_REDACT: u32 = 3;
    pub(crate) const VALUE_SUPPORT: u32 = 4;
    pub(crate) const ENUM_ALLOW_ALIAS: u32 = 2;
}

/// The records of options; none at all if there are no options.
pub(crate) fn records(options: &Option<Box<Options>>) -> &[wire::Record] {
    options.as_ref().map_or(&[], |options| &options.records)
}

/// The features that the options set, as records of a `FeatureSet`.
pub(crate) fn features(options: &Option<Box<Options>>, owner: Owner) -> Option<Records> {
    wire::message(records(options), owner.features_number())
}

impl Linker<'_> {
    /// Called when plain options are interpreted.
    pub(super) fn note_options(&mut self, ast: &File) {
        let lite = wire::varint(records(&ast.options), numbers::FILE_OPTIMIZE_FOR);
        self.pool.files[self.file.0 as usize].is_lite = lite == Some(LITE_RUNTIME);
        for message in &ast.messages {
            self.note_message(message);
        }
        ast.enums.iter().for_each(|defined| self.note_enum(defined));
        ast.extensions.iter().for_each(|field| self.note_field(field));
    }

    fn note_message(&mut self, message: &Message) {
        if message.options.is_some() {
            let is_set = wire::boolean(records(&message.options), numbers::MESSAGE_SET);
            self.pool.message_mut(message.id).message_set = is_set;
        }
        message.fields.iter().for_each(|field| self.note_field(field));
        message.extensions.iter().for_each(|field| self.note_field(field));
        message.enums.iter().for_each(|defined| self.note_enum(defined));
        message.nested.iter().for_each(|nested| self.note_message(nested));
    }

    fn note_field(&mut self, field: &Field) {
        let records = records(&field.options);
        if records.is_empty() {
            return;
        }
        let support = wire::message(records, numbers::FIELD_SUPPORT);
        let mut targets = 0;
        for record in records {
            if let (numbers::FIELD_TARGETS, wire::Value::Varint(target)) =
                (record.number, &record.value)
            {
                targets |= 1 << target.min(&15);
            }
        }
        let node = self.pool.field_mut(field.id);
        node.deprecated = wire::boolean(records, numbers::FIELD_DEPRECATED);
        node.weak = wire::boolean(records, numbers::FIELD_WEAK);
        node.source_only = wire::varint(records, numbers::FIELD_RETENTION) == Some(SOURCE);
        node.targets = targets;
        node.support = support.map(|support| Box::new(Support::read(&support)));
    }

    fn note_enum(&mut self, defined: &Enum) {
        let redacted =
            |value: &EnumValue| wire::boolean(records(&value.options), numbers::VALUE_DEBUG_REDACT);
        self.pool.enumeration_mut(defined.id).redacted = defined.values.iter().any(redacted);
        for (at, value) in defined.values.iter().enumerate() {
            let support = wire::message(records(&value.options), numbers::VALUE_SUPPORT);
            if let Some(support) = support {
                let support = Some(Box::new(Support::read(&support)));
                self.pool.enumeration_mut(defined.id).values[at].support = support;
            }
        }
    }

    /// Called when all options are interpreted: what follows from options that are extensions, or
    /// from those of ranges.
    pub(super) fn note_extensions(&mut self, ast: &File) {
        let closed = is_closed_in_cpp(&ast.options, Owner::File).unwrap_or_default();
        ast.extensions.iter().for_each(|field| self.note_closed(field, closed));
        for message in &ast.messages {
            self.note_extensions_of(message, closed);
        }
    }

    fn note_closed(&mut self, field: &Field, outer: bool) {
        if self.pool.field(field.id).enumeration.is_some() {
            let closed = is_closed_in_cpp(&field.options, Owner::Field).unwrap_or(outer);
            self.pool.field_mut(field.id).closed_in_cpp = closed;
        }
    }

    fn note_extensions_of(&mut self, message: &Message, closed: bool) {
        for field in message.fields.iter().chain(&message.extensions) {
            self.note_closed(field, closed);
        }
        for (at, range) in message.extension_ranges.iter().enumerate() {
            if range.options.is_some() {
                let declared = Declared::read(records(&range.options));
                self.pool.message_mut(message.id).ranges[at].declared = declared;
            }
        }
        message.nested.iter().for_each(|nested| self.note_extensions_of(nested, closed));
    }
}

fn is_closed_in_cpp(options: &Option<Box<Options>>, owner: Owner) -> Option<bool> {
    let own = wire::message(&features(options, owner)?, CPP_FEATURES)?;
    wire::varint(&own, LEGACY_CLOSED_ENUM).map(|closed| closed != 0)
}

/// The number of `pb.cpp`, an extension of `FeatureSet`.
const CPP_FEATURES: u32 = 1000;
const LEGACY_CLOSED_ENUM: u32 = 1;
/// `FileOptions.OptimizeMode.LITE_RUNTIME`.
const LITE_RUNTIME: u64 = 3;
/// `FieldOptions.OptionRetention.RETENTION_SOURCE`.
const SOURCE: u64 = 2;
