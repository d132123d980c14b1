//! A message in the text format as protoc prints it: fields and extensions in the order of their
//! numbers, each value on a line, maps in the order of their keys, and unknown fields at the end.

use std::cmp::Ordering;
use std::fmt::Write as _;

use super::entry_fields;
use super::read::{self, Item, KEY, Message, VALUE};
use crate::ast::Type;
use crate::literal;
use crate::options::aggregate::is_group_named;
use crate::options::canonical::{is_zero, zero};
use crate::pool::{FieldId, FieldNode, MessageId, Pool};
use crate::wire::{Record, Value};

pub(super) fn message(pool: &Pool, id: MessageId, message: &Message) -> String {
    let mut printer = Printer { pool, out: String::new(), depth: 0 };
    printer.message(id, message);
    printer.out
}

/// A message of no type.
pub(super) fn unknown(records: &[Record]) -> String {
    let mut out = String::new();
    print_unknown(records, 0, RAW_DEPTH, &mut out);
    out
}

struct Printer<'p> {
    pool: &'p Pool,
    out: String,
    depth: usize,
}

impl Printer<'_> {
    fn message(&mut self, id: MessageId, message: &Message) {
        for (field, items) in message.fields.values() {
            let node = self.pool.field(*field);
            let name = self.name(*field, id);
            if self.pool.is_map(node) {
                self.map(&name, node, items);
                continue;
            }
            for item in items {
                let hidden = !node.is_repeated() && !node.has_presence();
                match item {
                    Item::Scalar(value) if hidden && is_zero(value) => {}
                    Item::Scalar(value) => self.scalar(&name, node, value),
                    Item::Message(content) => self.nested(&name, |printer| {
                        if let Some(inner) = node.message {
                            printer.message(inner, content);
                        }
                    }),
                }
            }
        }
        print_unknown(&message.unknown, self.depth, RAW_DEPTH, &mut self.out);
    }

    fn nested(&mut self, name: &str, content: impl FnOnce(&mut Self)) {
        let indent = self.depth * INDENT;
        let _ = writeln!(self.out, "{:indent$}{name} {{", "");
        self.depth += 1;
        content(self);
        self.depth -= 1;
        let _ = writeln!(self.out, "{:indent$}}}", "");
    }

    fn map(&mut self, name: &str, node: &FieldNode, items: &[Item]) {
        let Some([key, value]) = node.message.and_then(|id| entry_fields(self.pool, id)) else {
            return;
        };
        let (key, value) = (self.pool.field(key), self.pool.field(value));
        let default = zero(key.field_type);
        let mut entries: Vec<(&Value, Option<&Item>)> = Vec::new();
        for item in items {
            let Item::Message(entry) = item else { continue };
            let found = |number| entry.fields.get(&number).and_then(|(_, items)| items.last());
            let own = match found(KEY) {
                Some(Item::Scalar(value)) => value,
                _ => &default,
            };
            entries.push((own, found(VALUE)));
        }
        entries.sort_by(|a, b| compare_keys(key.field_type, a.0, b.0));
        let empty = Message::default();
        for (own, content) in entries {
            self.nested(name, |printer| {
                printer.scalar("key", key, own);
                match (content, value.message) {
                    (Some(Item::Scalar(content)), _) => printer.scalar("value", value, content),
                    (content, Some(inner)) => printer.nested("value", |printer| {
                        let content = match content {
                            Some(Item::Message(content)) => content,
                            _ => &empty,
                        };
                        printer.message(inner, content);
                    }),
                    (_, None) => {
                        let default = match value.enumeration {
                            Some(id) => first_value(printer.pool.enumeration(id)),
                            None => zero(value.field_type),
                        };
                        printer.scalar("value", value, &default);
                    }
                }
            });
        }
    }

    /// The name of a field in text: that of a group is its type's.
    fn name(&self, field: FieldId, of: MessageId) -> String {
        let node = self.pool.field(field);
        let inner = node.message.map(|id| self.pool.message(id));
        if node.is_extension {
            // In a message set, an extension has the name of the message that declares it as its
            // own.
            let named = inner.filter(|_| {
                self.pool.message(of).message_set
                    && node.field_type == Some(Type::Message)
                    && !node.is_repeated()
                    && node.scope == node.message
            });
            return format!("[{}]", named.map_or(&node.name, |message| &message.name));
        }
        match inner.map(|message| &message.name[message.own..]) {
            Some(own)
                if node.own_name() == own.to_ascii_lowercase()
                    && is_group_named(self.pool, field, own) =>
            {
                own.to_owned()
            }
            _ => node.own_name().to_owned(),
        }
    }

    fn scalar(&mut self, name: &str, node: &FieldNode, value: &Value) {
        let _ = write!(self.out, "{:1$}{name}: ", "", self.depth * INDENT);
        self.value(node, value);
        self.out.push('\n');
    }

    fn value(&mut self, node: &FieldNode, value: &Value) {
        let out = &mut self.out;
        let field_type = node.field_type.unwrap_or(Type::Int32);
        let _ = match value {
            Value::Bytes(bytes) => {
                quote(bytes, out);
                Ok(())
            }
            Value::Fixed32(bits) => match field_type {
                Type::Float => {
                    write!(out, "{}", literal::single_text(f32::from_bits(*bits)))
                }
                Type::Sfixed32 => write!(out, "{}", bits.cast_signed()),
                _ => write!(out, "{bits}"),
            },
            Value::Fixed64(bits) => match field_type {
                Type::Double => {
                    write!(out, "{}", literal::double_text(f64::from_bits(*bits)))
                }
                Type::Sfixed64 => write!(out, "{}", bits.cast_signed()),
                _ => write!(out, "{bits}"),
            },
            Value::Varint(number) => match (field_type, node.enumeration) {
                (Type::Enum, Some(id)) => {
                    let number = *number as i32;
                    let values = &self.pool.enumeration(id).values;
                    match values.iter().find(|it| it.number == number) {
                        Some(value) => write!(out, "{}", value.name),
                        None => write!(out, "{number}"),
                    }
                }
                (Type::Bool, _) => write!(out, "{}", *number != 0),
                (Type::Uint32 | Type::Uint64, _) => write!(out, "{number}"),
                (Type::Sint32 | Type::Sint64, _) => write!(out, "{}", unzigzag(*number)),
                (Type::Int32, _) => write!(out, "{}", *number as i32),
                _ => write!(out, "{}", number.cast_signed()),
            },
            Value::Message(_) | Value::Group(_) => Ok(()),
        };
    }
}

fn first_value(defined: &crate::pool::EnumNode) -> Value {
    let number = defined.values.first().map_or(0, |value| value.number);
    Value::Varint(crate::wire::sign_extended(number))
}

pub(super) fn compare_keys(field_type: Option<Type>, a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Bytes(a), Value::Bytes(b)) => a.cmp(b),
        (Value::Fixed32(a), Value::Fixed32(b)) => match field_type {
            Some(Type::Sfixed32) => a.cast_signed().cmp(&b.cast_signed()),
            _ => a.cmp(b),
        },
        (Value::Fixed64(a), Value::Fixed64(b)) => match field_type {
            Some(Type::Sfixed64) => a.cast_signed().cmp(&b.cast_signed()),
            _ => a.cmp(b),
        },
        (Value::Varint(a), Value::Varint(b)) => match field_type {
            Some(Type::Sint32 | Type::Sint64) => unzigzag(*a).cmp(&unzigzag(*b)),
            Some(Type::Int32 | Type::Int64) => a.cast_signed().cmp(&b.cast_signed()),
            _ => a.cmp(b),
        },
        _ => Ordering::Equal,
    }
}

fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

/// `budget` is how deep strings are taken for messages.
fn print_unknown(records: &[Record], depth: usize, budget: u32, out: &mut String) {
    let indent = depth * INDENT;
    for Record { number, value } in records {
        let _ = write!(out, "{:indent$}{number}", "");
        let inner;
        let nested = match value {
            Value::Group(records) => Some(records.as_slice()),
            Value::Bytes(bytes) if !bytes.is_empty() && budget > 0 => {
                inner = read::unknown_within(bytes, budget);
                inner.as_deref()
            }
            _ => None,
        };
        if let Some(nested) = nested {
            out.push_str(" {\n");
            print_unknown(nested, depth + 1, budget.saturating_sub(1), out);
            let _ = writeln!(out, "{:indent$}}}", "");
            continue;
        }
        out.push_str(": ");
        let _ = match value {
            Value::Varint(value) => write!(out, "{value}"),
            Value::Fixed32(value) => write!(out, "0x{value:08x}"),
            Value::Fixed64(value) => write!(out, "0x{value:016x}"),
            Value::Bytes(bytes) => {
                quote(bytes, out);
                Ok(())
            }
            Value::Message(_) | Value::Group(_) => Ok(()),
        };
        out.push('\n');
    }
}

fn quote(bytes: &[u8], out: &mut String) {
    out.push('"');
    out.push_str(&String::from_utf8_lossy(&literal::c_escape(bytes)));
    out.push('"');
}

/// Spaces a level.
const INDENT: usize = 2;
/// How deep a string is taken for a message in a message: protoc's budget.
const RAW_DEPTH: u32 = 10;
