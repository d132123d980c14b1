//! Bytes to a message whose fields are known, by protoc's rules: what has another wire type or is a
//! number that a closed enum does not have is an unknown field, and messages are nested a hundred
//! times at most.

use std::collections::BTreeMap;

use super::entry_fields;
use crate::ast::Type;
use crate::options::canonical;
use crate::pool::{FieldId, FieldNode, MessageId, Pool};
use crate::wire::{self, Record, Records, Value};

/// A message that was read.
#[derive(Debug, Default)]
pub(super) struct Message {
    /// By number.
    pub(super) fields: BTreeMap<u32, (FieldId, Vec<Item>)>,
    /// What the message's type does not have, in its order.
    pub(super) unknown: Records,
}

/// One value of a field. Entries of maps have a key and a value always.
#[derive(Debug)]
pub(super) enum Item {
    Scalar(Value),
    Message(Message),
}

/// Reads a message. The error is the string field that is not UTF-8 and should be; none if something
/// else is wrong.
pub(super) fn read(pool: &Pool, id: MessageId, bytes: &[u8]) -> Result<Message, Option<FieldId>> {
    let mut message = Message::default();
    let mut reader = Reader { pool, not_utf8: None };
    match reader.content(&mut message, id, &mut &*bytes, None, MAX_DEPTH) {
        Some(()) => Ok(message),
        None => Err(reader.not_utf8),
    }
}

/// The fields of a message of no type.
pub(super) fn unknown(bytes: &[u8]) -> Option<Records> {
    let mut records = Vec::new();
    records_until(&mut &*bytes, None, MAX_DEPTH, &mut records)?;
    Some(records)
}

/// The fields of a message of no type, in which groups are nested only so deep.
pub(super) fn unknown_within(bytes: &[u8], depth: u32) -> Option<Records> {
    let mut records = Vec::new();
    records_until(&mut &*bytes, None, depth, &mut records)?;
    Some(records)
}

struct Reader<'p> {
    pool: &'p Pool,
    /// The string that is not UTF-8 and should be.
    not_utf8: Option<FieldId>,
}

impl Reader<'_> {
    /// Reads fields up to the end of the bytes or of the group.
    fn content(
        &mut self,
        into: &mut Message,
        id: MessageId,
        rest: &mut &[u8],
        group: Option<u32>,
        depth: u32,
    ) -> Option<()> {
        let is_set = self.pool.message(id).message_set;
        while !rest.is_empty() {
            let (number, kind) = take_tag(rest)?;
            if kind == END_GROUP {
                return (group == Some(number)).then_some(());
            }
            if is_set && (number, kind) == (ITEM, START_GROUP) {
                self.item(into, id, rest, depth.checked_sub(1)?)?;
            } else {
                self.field(into, id, number, kind, rest, depth)?;
            }
        }
        group.is_none().then_some(())
    }

    fn field(
        &mut self,
        into: &mut Message,
        id: MessageId,
        number: u32,
        kind: u32,
        rest: &mut &[u8],
        depth: u32,
    ) -> Option<()> {
        let signed = number.cast_signed();
        let found = self.pool.field_numbered(id, signed).and_then(|field| {
            let node = self.pool.field(field);
            Some((field, node, node.field_type?))
        });
        let Some((field, node, field_type)) = found else {
            into.unknown.push(unknown_field(number, kind, rest, depth)?);
            return Some(());
        };
        if wire_type(field_type) != kind {
            if kind != DELIMITED || !node.is_packable() {
                into.unknown.push(unknown_field(number, kind, rest, depth)?);
                return Some(());
            }
            let mut packed = take_delimited(rest)?;
            while !packed.is_empty() {
                let value = scalar(wire_type(field_type), &mut packed)?;
                self.add_scalar(into, field, node, field_type, value);
            }
            return Some(());
        }
        match (field_type, node.message) {
            (Type::Message, Some(inner)) if self.pool.is_map(node) => {
                let mut content = take_delimited(rest)?;
                let depth = depth.checked_sub(1)?;
                self.entry(into, field, node, inner, &mut content, depth)
            }
            (Type::Message, Some(inner)) => {
                let mut content = take_delimited(rest)?;
                let depth = depth.checked_sub(1)?;
                self.message(into, field, inner, &mut content, None, depth)
            }
            (Type::Group, Some(inner)) => {
                let depth = depth.checked_sub(1)?;
                self.message(into, field, inner, rest, Some(number), depth)
            }
            (Type::String | Type::Bytes, _) => {
                let bytes = take_delimited(rest)?;
                let checked = field_type == Type::String && node.features.verifies_utf8();
                if checked && std::str::from_utf8(bytes).is_err() {
                    self.not_utf8 = Some(field);
                    return None;
                }
                self.add_scalar(into, field, node, field_type, Value::Bytes(bytes.to_vec()));
                Some(())
            }
            _ => {
                let value = scalar(kind, rest)?;
                self.add_scalar(into, field, node, field_type, value);
                Some(())
            }
        }
    }

    /// A message in a message: a singular one is merged with what came before.
    fn message(
        &mut self,
        into: &mut Message,
        field: FieldId,
        id: MessageId,
        rest: &mut &[u8],
        group: Option<u32>,
        depth: u32,
    ) -> Option<()> {
        let repeated = self.pool.field(field).is_repeated();
        let before = if repeated { None } else { into.items(self.pool, field).pop() };
        let mut message = match before {
            Some(Item::Message(before)) => before,
            _ => Message::default(),
        };
        self.content(&mut message, id, rest, group, depth)?;
        into.items(self.pool, field).push(Item::Message(message));
        Some(())
    }

    fn add_scalar(
        &mut self,
        into: &mut Message,
        field: FieldId,
        node: &FieldNode,
        field_type: Type,
        value: Value,
    ) {
        let value = match value {
            Value::Varint(number) => {
                let number = canonical::normal(field_type, number);
                if self.is_outside(node, number) {
                    let record = Record::new(node.number.cast_unsigned(), Value::Varint(number));
                    into.unknown.push(record);
                    return;
                }
                Value::Varint(number)
            }
            value => value,
        };
        let items = into.items(self.pool, field);
        if !node.is_repeated() {
            items.clear();
        }
        items.push(Item::Scalar(value));
    }

    /// Whether the number is none of a closed enum.
    fn is_outside(&self, node: &FieldNode, number: u64) -> bool {
        let Some(id) = node.enumeration else { return false };
        let defined = self.pool.enumeration(id);
        defined.features.is_closed()
            && !defined.values.iter().any(|it| wire::sign_extended(it.number) == number)
    }

    /// An entry of a map. What it has besides key and value is dropped; one whose value is outside
    /// of a closed enum is an unknown field of the message.
    fn entry(
        &mut self,
        into: &mut Message,
        field: FieldId,
        node: &FieldNode,
        id: MessageId,
        content: &mut &[u8],
        depth: u32,
    ) -> Option<()> {
        let [key, value] = entry_fields(self.pool, id)?;
        let (key_node, value_node) = (self.pool.field(key), self.pool.field(value));
        let mut entry = Message::default();
        let mut outside = None;
        while !content.is_empty() {
            let (number, kind) = take_tag(content)?;
            if kind == END_GROUP {
                return None;
            }
            self.field(&mut entry, id, number, kind, content, depth)?;
            if number == VALUE && kind == wire_type(value_node.field_type?) {
                outside = entry.unknown.drain(..).next_back();
            }
            entry.unknown.clear();
        }
        if let Some(value) = outside {
            let key = match entry.fields.remove(&KEY).and_then(|(_, mut items)| items.pop()) {
                Some(Item::Scalar(value)) => value,
                _ => canonical::zero(key_node.field_type),
            };
            let records = [Record::new(KEY, key), value];
            let bytes = Value::Bytes(wire::encode(&records));
            into.unknown.push(Record::new(node.number.cast_unsigned(), bytes));
            return Some(());
        }
        into.items(self.pool, field).push(Item::Message(entry));
        Some(())
    }

    /// An item of a message set: a group with the number of an extension and its bytes.
    fn item(
        &mut self,
        into: &mut Message,
        id: MessageId,
        rest: &mut &[u8],
        depth: u32,
    ) -> Option<()> {
        let mut number: Option<u32> = None;
        let mut early: Option<&[u8]> = None;
        let mut done = false;
        loop {
            let (part, kind) = take_tag(rest)?;
            match (part, kind) {
                (ITEM, END_GROUP) => return Some(()),
                (_, END_GROUP) => return None,
                (ITEM_TYPE, VARINT) => {
                    let given = wire::take_varint(rest)?;
                    if number.is_some() || done {
                        continue;
                    }
                    let given = u32::try_from(given & u64::from(u32::MAX)).ok()?;
                    number = Some(given);
                    if let Some(bytes) = early.take() {
                        done = true;
                        self.item_content(into, id, given, bytes, depth)?;
                    }
                }
                (ITEM_CONTENT, DELIMITED) => {
                    let bytes = take_delimited(rest)?;
                    match number {
                        Some(number) if !done => {
                            done = true;
                            self.item_content(into, id, number, bytes, depth)?;
                        }
                        None if early.is_none() => early = Some(bytes),
                        _ => {}
                    }
                }
                _ => drop(unknown_field(part, kind, rest, depth)?),
            }
        }
    }

    fn item_content(
        &mut self,
        into: &mut Message,
        id: MessageId,
        number: u32,
        bytes: &[u8],
        depth: u32,
    ) -> Option<()> {
        let field = self.pool.field_numbered(id, number.cast_signed());
        match field.and_then(|field| Some((field, self.pool.field(field).message?))) {
            Some((field, inner)) => {
                let depth = depth.checked_sub(1)?;
                self.message(into, field, inner, &mut &*bytes, None, depth)
            }
            None => {
                into.unknown.push(Record::new(number, Value::Bytes(bytes.to_vec())));
                Some(())
            }
        }
    }
}

impl Message {
    /// The values of a field that is about to get one: other members of its oneof are gone.
    fn items(&mut self, pool: &Pool, field: FieldId) -> &mut Vec<Item> {
        let node = pool.field(field);
        if let Some(oneof) = node.oneof.filter(|_| !node.is_extension) {
            let own = node.number.cast_unsigned();
            self.fields.retain(|number, (other, _)| {
                let other = pool.field(*other);
                *number == own || other.is_extension || other.oneof != Some(oneof)
            });
        }
        &mut self.fields.entry(node.number.cast_unsigned()).or_insert((field, Vec::new())).1
    }

    /// The paths of required fields that are missing, as protoc lists them; none if there are none.
    /// protoc does not name those of a map's value that is not there.
    pub(super) fn missing(&self, pool: &Pool, id: MessageId) -> Option<String> {
        let mut found = Missing { pool, paths: Vec::new() };
        found.message(self, id, "");
        (!found.paths.is_empty()).then(|| found.paths.join(", "))
    }
}

struct Missing<'p> {
    pool: &'p Pool,
    paths: Vec<String>,
}

impl Missing<'_> {
    fn message(&mut self, message: &Message, id: MessageId, prefix: &str) {
        let pool = self.pool;
        for field in &pool.message(id).fields {
            let node = pool.field(*field);
            if node.is_required() && !message.fields.contains_key(&node.number.cast_unsigned()) {
                self.paths.push(format!("{prefix}{}", node.own_name()));
            }
        }
        for (field, items) in message.fields.values() {
            let node = pool.field(*field);
            let Some(inner) = node.message else { continue };
            let name = match node.is_extension {
                true => format!("({})", node.name),
                false => node.own_name().to_owned(),
            };
            for (at, item) in items.iter().enumerate() {
                let Item::Message(content) = item else { continue };
                let path = match node.is_repeated() {
                    true => format!("{prefix}{name}[{at}]."),
                    false => format!("{prefix}{name}."),
                };
                self.message(content, inner, &path);
                if pool.is_map(node)
                    && !content.fields.contains_key(&VALUE)
                    && let Some(value) =
                        entry_fields(pool, inner).and_then(|it| pool.field(it[1]).message)
                {
                    self.message(&Message::default(), value, &format!("{path}value."));
                }
            }
        }
    }
}

fn unknown_field(number: u32, kind: u32, rest: &mut &[u8], depth: u32) -> Option<Record> {
    let value = match kind {
        DELIMITED => Value::Bytes(take_delimited(rest)?.to_vec()),
        START_GROUP => {
            let mut records = Vec::new();
            records_until(rest, Some(number), depth.checked_sub(1)?, &mut records)?;
            Value::Group(records)
        }
        _ => scalar(kind, rest)?,
    };
    Some(Record::new(number, value))
}

fn records_until(
    rest: &mut &[u8],
    group: Option<u32>,
    depth: u32,
    into: &mut Records,
) -> Option<()> {
    while !rest.is_empty() {
        let (number, kind) = take_tag(rest)?;
        if kind == END_GROUP {
            return (group == Some(number)).then_some(());
        }
        into.push(unknown_field(number, kind, rest, depth)?);
    }
    group.is_none().then_some(())
}

/// The number of a field and its wire type. A tag has five bytes at most.
fn take_tag(rest: &mut &[u8]) -> Option<(u32, u32)> {
    let before = rest.len();
    let tag = wire::take_varint(rest)?;
    if before - rest.len() > MAX_TAG {
        return None;
    }
    let tag = u32::try_from(tag & u64::from(u32::MAX)).ok()?;
    (tag >> 3 != 0).then_some((tag >> 3, tag & 7))
}

fn take_delimited<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(wire::take_varint(rest)?).ok()?;
    let (taken, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(taken)
}

/// A value of a wire type with a length of its own.
fn scalar(kind: u32, rest: &mut &[u8]) -> Option<Value> {
    match kind {
        VARINT => wire::take_varint(rest).map(Value::Varint),
        FIXED64 => {
            let (value, after) = rest.split_first_chunk()?;
            *rest = after;
            Some(Value::Fixed64(u64::from_le_bytes(*value)))
        }
        FIXED32 => {
            let (value, after) = rest.split_first_chunk()?;
            *rest = after;
            Some(Value::Fixed32(u32::from_le_bytes(*value)))
        }
        _ => None,
    }
}

fn wire_type(field_type: Type) -> u32 {
    match field_type {
        Type::Double | Type::Fixed64 | Type::Sfixed64 => FIXED64,
        Type::Float | Type::Fixed32 | Type::Sfixed32 => FIXED32,
        Type::String | Type::Bytes | Type::Message => DELIMITED,
        Type::Group => START_GROUP,
        _ => VARINT,
    }
}

const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const DELIMITED: u32 = 2;
const START_GROUP: u32 = 3;
const END_GROUP: u32 = 4;
const FIXED32: u32 = 5;
/// 32 bits, seven a byte.
const MAX_TAG: usize = 5;
/// Fields of a map's entry.
pub(super) const KEY: u32 = 1;
pub(super) const VALUE: u32 = 2;
/// Fields of a message set and its items.
const ITEM: u32 = 1;
const ITEM_TYPE: u32 = 2;
const ITEM_CONTENT: u32 = 3;
/// protoc's limit of nested messages.
const MAX_DEPTH: u32 = 100;
