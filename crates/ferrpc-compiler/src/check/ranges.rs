//! Extension ranges, and the extensions that they declare.

use std::collections::HashSet;

use crate::ast::{Field, Message, Range, Type};
use crate::link::{Linker, position};
use crate::options::notes;
use crate::parser::MAX_FIELD_NUMBER;
use crate::wire::{self, Record, Records};

/// `ExtensionRangeOptions.Declaration`.
#[derive(Clone, Debug)]
struct Declaration {
    number: i32,
    full_name: Option<String>,
    type_name: Option<String>,
    reserved: bool,
    repeated: bool,
}

impl Declaration {
    fn read(records: &Records) -> Self {
        let text = |number| {
            wire::bytes(records, number).map(|text| String::from_utf8_lossy(text).into_owned())
        };
        Self {
            number: wire::varint(records, 1).unwrap_or_default() as i32,
            full_name: text(2),
            type_name: text(3),
            reserved: wire::boolean(records, 5),
            repeated: wire::boolean(records, 6),
        }
    }
}

fn declarations(options: &[Record]) -> Vec<Declaration> {
    wire::messages(options, DECLARATION).map(|records| Declaration::read(&records)).collect()
}

/// What a range's options say of its extensions.
#[derive(Debug, Default)]
pub(crate) struct Declared {
    /// By number.
    list: Vec<Declaration>,
    /// Whether all extensions have to be declared.
    verified: bool,
}

impl Declared {
    pub(crate) fn read(options: &[Record]) -> Self {
        let mut list = declarations(options);
        list.sort_by_key(|it| it.number);
        Self { list, verified: wire::varint(options, VERIFICATION) == Some(0) }
    }

    fn find(&self, number: i32) -> Option<&Declaration> {
        let at = self.list.partition_point(|it| it.number < number);
        self.list.get(at).filter(|it| it.number == number)
    }
}

impl Linker<'_> {
    pub(super) fn check_extension_ranges(&mut self, message: &Message) {
        let largest = match self.pool.message(message.id).message_set {
            true => i32::MAX,
            false => MAX_FIELD_NUMBER,
        };
        let mut names = HashSet::new();
        for (at, range) in message.extension_ranges.iter().enumerate() {
            if i64::from(range.range.end) > i64::from(largest) + 1 {
                let text = format!("Extension numbers cannot be greater than {largest}.");
                self.error(&[5, position(at)], text);
            }
            let options = notes::records(&range.options);
            let declared = declarations(options);
            if declared.is_empty() {
                continue;
            }
            if wire::varint(options, VERIFICATION) == Some(UNVERIFIED) {
                self.error(
                    &[5, position(at)],
                    "Cannot mark the extension range as UNVERIFIED when it has extension(s) \
                     declared.",
                );
                return;
            }
            self.at(&[5, position(at)], |linker| {
                linker.check_declarations(&declared, range.range, &mut names);
            });
        }
    }

    fn check_declarations(
        &mut self,
        declared: &[Declaration],
        range: Range,
        names: &mut HashSet<String>,
    ) {
        let mut numbers = HashSet::new();
        for Declaration { number, full_name, type_name, reserved, .. } in declared {
            if !(range.start..range.end).contains(number) {
                let text =
                    format!("Extension declaration number {number} is not in the extension range.");
                self.error(&[], text);
            }
            if !numbers.insert(*number) {
                let text =
                    format!("Extension declaration number {number} is declared multiple times.");
                self.error(&[], text);
            }
            let (Some(full_name), Some(type_name)) = (full_name, type_name) else {
                if full_name.is_some() != type_name.is_some() || !reserved {
                    let text = format!(
                        "Extension declaration #{number} should have both \"full_name\" and \
                         \"type\" set."
                    );
                    self.error(&[], text);
                }
                continue;
            };
            if !names.insert(full_name.clone()) {
                let text =
                    format!("Extension field name \"{full_name}\" is declared multiple times.");
                self.error(&[], text);
                return;
            }
            let mut wrong: Vec<String> = name_fault(full_name).into_iter().collect();
            if !is_scalar_name(type_name) {
                wrong.extend(name_fault(type_name));
            }
            for text in wrong {
                self.error(&[], text);
            }
        }
    }

    /// An extension is as its range declares it.
    pub(super) fn check_declared(&mut self, field: &Field) {
        let node = self.pool.field(field.id);
        let Some(message) = node.containing else { return };
        let container = self.pool.message(message);
        let container_name = container.name.clone();
        if self.pool_file_name(container.file) == "google/protobuf/descriptor.proto" {
            return;
        }
        let Some(range) = self.pool.extension_range(message, field.number) else { return };
        let declared = &range.declared;
        let full = node.name.clone();
        let number = field.number;
        let Some(own) = declared.find(number).cloned() else {
            if !declared.list.is_empty() || declared.verified {
                let text = format!(
                    "Missing extension declaration for field {full} with number {number} in \
                     extendee message {container_name}. An extension range must declare for all \
                     extension fields if its verification state is DECLARATION or there's any \
                     declaration in the range already. Otherwise, consider splitting up the range."
                );
                self.error(&[2], text);
            }
            return;
        };
        if own.reserved {
            let text = format!(
                "Cannot use number {number} for extension field {full}, as it is reserved in the \
                 extension declarations for message {container_name}."
            );
            return self.error(&[2], text);
        }
        let is_repeated = node.is_repeated();
        let head = format!("\"{container_name}\" extension field {number} is expected to");
        if let Some(expected) = &own.type_name {
            let expected = match is_scalar_name(expected) || expected.starts_with('.') {
                true => expected.clone(),
                false => format!(".{expected}"),
            };
            let actual = field
                .type_name
                .clone()
                .unwrap_or_else(|| scalar_name(field.field_type.unwrap_or(Type::Int32)).to_owned());
            if actual != expected {
                self.error(&[2], format!("{head} be type \"{expected}\", not \"{actual}\"."));
            }
        }
        if let Some(expected) = &own.full_name
            && *expected != format!(".{full}")
        {
            let text = format!("{head} have field name \"{expected}\", not \".{full}\".");
            self.error(&[2], text);
        }
        if own.repeated != is_repeated {
            let what = if own.repeated { "repeated" } else { "optional" };
            self.error(&[2], format!("{head} be {what}."));
        }
    }

    fn pool_file_name(&self, file: crate::pool::FileId) -> &str {
        match file == self.file {
            true => &self.file_name,
            false => &self.pool.file(file).ast.name,
        }
    }
}

/// What is wrong with a full name, which has a dot in front.
fn name_fault(name: &str) -> Option<String> {
    let Some(rest) = name.strip_prefix('.') else {
        return Some(format!(
            "\"{name}\" must have a leading dot to indicate the fully-qualified scope."
        ));
    };
    let good = |part: &str| !part.is_empty() && part.bytes().all(crate::lexer::is_alphanumeric);
    if rest.split('.').all(good) {
        return None;
    }
    Some(format!("\"{name}\" contains invalid identifiers."))
}

fn is_scalar_name(name: &str) -> bool {
    SCALARS.iter().any(|(_, known)| *known == name)
}

fn scalar_name(scalar: Type) -> &'static str {
    SCALARS.iter().find(|(known, _)| *known == scalar).map_or("", |(_, name)| name)
}

const SCALARS: &[(Type, &str)] = &[
    (Type::Double, "double"),
    (Type::Float, "float"),
    (Type::Int64, "int64"),
    (Type::Uint64, "uint64"),
    (Type::Int32, "int32"),
    (Type::Fixed64, "fixed64"),
    (Type::Fixed32, "fixed32"),
    (Type::Bool, "bool"),
    (Type::String, "string"),
    (Type::Bytes, "bytes"),
    (Type::Uint32, "uint32"),
    (Type::Enum, "enum"),
    (Type::Sfixed32, "sfixed32"),
    (Type::Sfixed64, "sfixed64"),
    (Type::Sint32, "sint32"),
    (Type::Sint64, "sint64"),
];
const DECLARATION: u32 = 2;
const VERIFICATION: u32 = 3;
const UNVERIFIED: u64 = 1;
