//! What options mean for linking: noted at the elements once the options are interpreted.

use super::visit::Owner;
use crate::ast::{Enum, Field, File, Message, Options};
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
    pub(crate) const FIELD_SUPPORT: u32 = 22;
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
        for (at, value) in defined.values.iter().enumerate() {
            let support = wire::message(records(&value.options), numbers::VALUE_SUPPORT);
            if let Some(support) = support {
                let support = Some(Box::new(Support::read(&support)));
                self.pool.enumeration_mut(defined.id).values[at].support = support;
            }
        }
    }

    /// Called when all options are interpreted: extensions look at their ranges' options.
    pub(super) fn note_ranges(&mut self, ast: &File) {
        for message in &ast.messages {
            self.note_ranges_of(message);
        }
    }

    fn note_ranges_of(&mut self, message: &Message) {
        for (at, range) in message.extension_ranges.iter().enumerate() {
            if range.options.is_some() {
                let records = records(&range.options).to_vec();
                self.pool.message_mut(message.id).ranges[at].options = records;
            }
        }
        message.nested.iter().for_each(|nested| self.note_ranges_of(nested));
    }
}

/// `FileOptions.OptimizeMode.LITE_RUNTIME`.
const LITE_RUNTIME: u64 = 3;
/// `FieldOptions.OptionRetention.RETENTION_SOURCE`.
const SOURCE: u64 = 2;
