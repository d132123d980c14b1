//! Which field an option's name leads to, and setting it.
//!
//! A value becomes records of the options message. Options of messages are separate records for
//! each statement, as protoc has them, until the message is brought into its
//! [canonical](super::canonical) form.

use std::collections::HashMap;

use super::canonical::{Types, canonical};
use super::visit::{Element, Owner, visit};
use crate::ast::{File, Type, Uninterpreted};
use crate::link::Linker;
use crate::link::position;
use crate::pool::{FieldId, MessageId, Pool, Symbol};
use crate::wire::{self, Record, Records, Value};

/// An error was reported.
pub(super) struct Failed;

impl Linker<'_> {
    /// Options of descriptor.proto itself, which all else builds on.
    pub(crate) fn interpret_plain(&mut self, ast: &mut File) {
        visit(ast, &mut |element| self.interpret(element, false));
        self.note_options(ast);
    }

    /// Options that are extensions.
    pub(crate) fn interpret_extensions(&mut self, ast: &mut File) {
        visit(ast, &mut |element| self.interpret(element, true));
        self.note_extensions(ast);
    }

    fn interpret(&mut self, element: Element<'_>, extensions: bool) {
        let Some(options) = element.options else { return };
        if options.uninterpreted.is_empty() {
            return;
        }
        let mut records = Vec::new();
        for (at, option) in options.uninterpreted.iter().enumerate() {
            let Some(first) = option.name.first() else { continue };
            if first.text == "uninterpreted_option" {
                if extensions {
                    let message = "Option must not use reserved name \"uninterpreted_option\".";
                    self.error_place(option.name_at, message.to_owned(), None);
                    break;
                }
                continue;
            }
            if first.is_extension != extensions {
                continue;
            }
            let from = [element.path, &[UNINTERPRETED_OPTION, position(at)]].concat();
            let scope = (element.owner, element.scope, element.path);
            if self.single(option, scope, from, &mut records).is_err() {
                break;
            }
        }
        if !records.is_empty() {
            options.records.append(&mut records);
            let known = self.known.unwrap_or(self.pool);
            if let Some(message) = known.message_named(element.owner.type_name()) {
                let all = std::mem::take(&mut options.records);
                options.records = canonical(known, message, all, Types::KEEP);
            }
        }
    }

    /// The pool that an options message comes from: its own file's, if one of the files that were
    /// read defines it.
    pub(super) fn types(&self, known: bool) -> &Pool {
        match self.known {
            Some(pool) if known => pool,
            _ => self.pool,
        }
    }

    fn single(
        &mut self,
        option: &Uninterpreted,
        (owner, scope, options_path): (Owner, &str, &[i32]),
        from: Vec<i32>,
        records: &mut Records,
    ) -> Result<(), Failed> {
        let type_name = owner.type_name();
        let (mut message, known) = match (self.find_anywhere(type_name), self.known) {
            (Some(Symbol::Message(message)), _) => (message, false),
            (_, Some(pool)) => match pool.message_named(type_name) {
                Some(message) => (message, true),
                None => return Ok(()),
            },
            (_, None) => return Ok(()),
        };
        let mut shown = String::new();
        let mut to = options_path.to_vec();
        let mut path: Vec<FieldId> = Vec::new();
        for (at, part) in option.name.iter().enumerate() {
            if at > 0 {
                shown.push('.');
            }
            self.clear_undefined();
            let found = if part.is_extension {
                shown.push_str(&format!("({})", part.text));
                match self.look_up(&part.text, scope, false) {
                    Some(Symbol::Field(field)) => Some((field, false)),
                    _ => None,
                }
            } else {
                shown.push_str(&part.text);
                self.types(known).field_named(message, &part.text).map(|field| (field, known))
            };
            let Some((field, field_known)) = found else {
                return self.unknown_option(option, &shown, message, known);
            };
            let node = self.types(field_known).field(field);
            if field_known != known || node.containing != Some(message) {
                let full = self.types(known).message(message);
                let message = format!(
                    "Option field \"{shown}\" is not a field or extension of message \"{}\".",
                    &full.name[full.own..]
                );
                return self.name_error(option, message);
            }
            to.push(node.number);
            let first = &option.name[0];
            if !known
                && node.file == self.file
                && first.text == "features"
                && !first.is_extension
                && self.known.is_some()
            {
                let message =
                    format!("Feature \"{shown}\" can't be used in the same file it's defined in.");
                return self.name_error(option, message);
            }
            path.push(field);
            if at + 1 < option.name.len() {
                if !node.is_message() {
                    let message = format!("Option \"{shown}\" is an atomic type, not a message.");
                    return self.name_error(option, message);
                }
                if node.is_repeated() {
                    let message = format!(
                        "Option field \"{shown}\" is a repeated message. Repeated message options \
                         must be initialized using an aggregate value."
                    );
                    return self.name_error(option, message);
                }
                message = node.message.unwrap_or(message);
            }
        }
        let Some((&leaf, outer)) = path.split_last() else { return Ok(()) };
        let repeated = self.types(known).field(leaf).is_repeated();
        if !repeated && is_set(self.types(known), &path, records) {
            return self.name_error(option, format!("Option \"{shown}\" was already set."));
        }
        let mut value = self.option_value(option, leaf, known)?;
        let types = self.types(known);
        let mut number = types.field(leaf).number;
        for field in outer.iter().rev() {
            let inner = vec![Record::new(number.cast_unsigned(), value)];
            let node = types.field(*field);
            value = match node.field_type {
                Some(Type::Group) => Value::Group(inner),
                _ => Value::Message(inner),
            };
            number = node.number;
        }
        records.push(Record::new(number.cast_unsigned(), value));
        if repeated {
            let next = self.repeated.entry(to.clone()).or_default();
            to.push(*next);
            *next += 1;
        }
        self.moved.insert(from, to);
        Ok(())
    }

    fn unknown_option(
        &mut self,
        option: &Uninterpreted,
        shown: &str,
        message: MessageId,
        known: bool,
    ) -> Result<(), Failed> {
        if let Some(full) = self.take_undefined() {
            let message = format!(
                "Option \"{shown}\" is resolved to \"({full})\", which is not defined. The \
                 innermost scope is searched first in name resolution. Consider using a leading \
                 '.'(i.e., \"(.{}\") to start from the outermost scope.",
                &shown[1..]
            );
            return self.name_error(option, message);
        }
        let text = format!(
            "Option \"{shown}\" unknown. Ensure that your proto definition file imports the proto \
             which defines the option (i.e. via import option after edition 2024)."
        );
        let types = self.types(known);
        let fields = types.message(message).fields.iter();
        let names = fields.map(|field| types.field(*field).own_name());
        let own = shown.rsplit('.').next().unwrap_or_default();
        let near = crate::link::nearest(own, names);
        let help = near.map(|near| format!("did you mean {near}?"));
        self.error_place(option.name_at, text, help);
        Err(Failed)
    }

    pub(super) fn name_error<T>(
        &mut self,
        option: &Uninterpreted,
        message: String,
    ) -> Result<T, Failed> {
        self.error_place(option.name_at, message, None);
        Err(Failed)
    }

    pub(super) fn value_error<T>(
        &mut self,
        option: &Uninterpreted,
        message: String,
    ) -> Result<T, Failed> {
        self.error_place(option.value_at, message, None);
        Err(Failed)
    }

    /// Gives interpreted options their places: what stood at the option as it was written stands
    /// at the field that it sets, and its parts stand nowhere.
    pub(crate) fn move_option_locations(&mut self, _ast: &File) {
        let moved: HashMap<Vec<i32>, Vec<i32>> = std::mem::take(&mut self.moved);
        if moved.is_empty() {
            return;
        }
        let old = std::mem::take(self.locations_mut());
        let new = self.locations_mut();
        let mut inside: Option<&[i32]> = None;
        for location in &old.list {
            let path = old.path(location);
            if inside.is_some_and(|outer| path.starts_with(outer)) {
                continue;
            }
            inside = None;
            match moved.get(path) {
                Some(to) => {
                    new.push(to, location);
                    inside = Some(path);
                }
                None => new.push(path, location),
            }
        }
    }
}

/// Whether a field is set that the path of fields leads to.
fn is_set(types: &Pool, path: &[FieldId], records: &[Record]) -> bool {
    let Some((first, rest)) = path.split_first() else { return false };
    let number = types.field(*first).number.cast_unsigned();
    records.iter().filter(|record| record.number == number).any(|record| match &record.value {
        _ if rest.is_empty() => true,
        Value::Message(inner) | Value::Group(inner) => is_set(types, rest, inner),
        Value::Bytes(bytes) => wire::decode(bytes).is_some_and(|inner| is_set(types, rest, &inner)),
        _ => false,
    })
}

/// The number of `uninterpreted_option` in all messages of options.
const UNINTERPRETED_OPTION: i32 = 999;
