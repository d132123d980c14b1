//! Messages in the form that protoc writes: fields in the order of their numbers, the last value of
//! a singular one, messages merged, repeated fields packed as they are declared, and behind them
//! what is unknown, in its order.

use std::collections::{BTreeMap, HashMap};

use crate::ast::Type;
use crate::pool::{FieldId, FieldNode, MessageId, Pool};
use crate::wire::{self, Record, Records, Value};

/// What to do with options that are for sources only.
pub(crate) struct Types;

impl Types {
    pub(crate) const KEEP: bool = false;
    pub(crate) const STRIP: bool = true;
}

/// The message's records in canonical form. With `strip`, fields are left out whose values are for
/// sources only.
pub(crate) fn canonical(pool: &Pool, id: MessageId, records: Records, strip: bool) -> Records {
    message(pool, id, records, strip, MAX_DEPTH)
}

fn message(pool: &Pool, id: MessageId, records: Records, strip: bool, depth: usize) -> Records {
    let Some(depth) = depth.checked_sub(1) else { return records };
    let is_set = pool.message(id).message_set;
    let records = if is_set { items(records) } else { records };
    let mut known: BTreeMap<u32, (FieldId, Vec<Value>)> = BTreeMap::new();
    let mut unknown = Vec::new();
    let mut oneofs: HashMap<usize, u32> = HashMap::new();
    for record in records {
        let number = record.number;
        let field = i32::try_from(number).ok().and_then(|it| pool.field_numbered(id, it));
        let Some(field) = field else {
            unknown.push(record);
            continue;
        };
        let node = pool.field(field);
        let values = match values(pool, node, record.value, &mut unknown) {
            Ok(values) => values,
            Err(value) => {
                unknown.push(Record { number, value });
                continue;
            }
        };
        if let Some(oneof) = node.oneof.filter(|_| !node.is_extension)
            && let Some(other) = oneofs.insert(oneof, number)
            && other != number
        {
            known.remove(&other);
        }
        known.entry(number).or_insert_with(|| (field, Vec::new())).1.extend(values);
    }
    let mut out = Vec::new();
    for (number, (field, values)) in known {
        let node = pool.field(field);
        if strip && node.source_only {
            continue;
        }
        match is_set {
            true => out.extend(values.into_iter().map(|value| {
                let inner = nested(pool, node, vec![value], strip, depth);
                let id = Record::new(2, Value::Varint(u64::from(number)));
                Record::new(1, Value::Group(vec![id, Record::new(3, inner)]))
            })),
            false => field_records(pool, node, values, strip, depth, &mut out),
        }
    }
    out.extend(unknown);
    out
}

/// The fields that items of a message set stand for.
fn items(records: Records) -> Records {
    let item = |record: Record| match record {
        Record { number: 1, value: Value::Group(parts) } => {
            let id = wire::varint(&parts, 2).and_then(|id| u32::try_from(id).ok());
            let content = wire::bytes(&parts, 3).map(<[u8]>::to_vec);
            match (id, content) {
                (Some(id), Some(content)) => Record::new(id, Value::Bytes(content)),
                _ => Record::new(1, Value::Group(parts)),
            }
        }
        record => record,
    };
    records.into_iter().map(item).collect()
}

/// The values in one record of a field; the record's value if it is of another type. Numbers that
/// a closed enum does not have are unknown fields.
fn values(
    pool: &Pool,
    node: &FieldNode,
    value: Value,
    unknown: &mut Records,
) -> Result<Vec<Value>, Value> {
    let Some(field_type) = node.field_type else { return Err(value) };
    let values = match (&value, field_type) {
        (Value::Bytes(_) | Value::Message(_), Type::Message | Type::String | Type::Bytes)
        | (Value::Group(_), Type::Group) => return Ok(vec![value]),
        (Value::Bytes(bytes), _) if node.is_packable() => match unpacked(bytes, field_type) {
            Some(values) => values,
            None => return Err(value),
        },
        (Value::Fixed32(_), Type::Float | Type::Fixed32 | Type::Sfixed32)
        | (Value::Fixed64(_), Type::Double | Type::Fixed64 | Type::Sfixed64) => {
            return Ok(vec![value]);
        }
        (Value::Varint(_), _) if is_varint(field_type) => vec![value],
        _ => return Err(value),
    };
    let mut out = Vec::with_capacity(values.len());
    for value in values {
        let Value::Varint(number) = value else {
            out.push(value);
            continue;
        };
        let number = normal(field_type, number);
        if let Some(id) = node.enumeration
            && pool.enumeration(id).features.is_closed()
            && !pool
                .enumeration(id)
                .values
                .iter()
                .any(|it| wire::sign_extended(it.number) == number)
        {
            unknown.push(Record::new(node.number.cast_unsigned(), Value::Varint(number)));
            continue;
        }
        out.push(Value::Varint(number));
    }
    Ok(out)
}

fn is_varint(field_type: Type) -> bool {
    matches!(
        field_type,
        Type::Int32
            | Type::Int64
            | Type::Uint32
            | Type::Uint64
            | Type::Sint32
            | Type::Sint64
            | Type::Bool
            | Type::Enum
    )
}

pub(crate) fn normal(field_type: Type, number: u64) -> u64 {
    match field_type {
        Type::Int32 | Type::Enum => wire::sign_extended(number as i32),
        Type::Uint32 | Type::Sint32 => u64::from(number as u32),
        Type::Bool => u64::from(number != 0),
        _ => number,
    }
}

fn unpacked(bytes: &[u8], field_type: Type) -> Option<Vec<Value>> {
    let mut rest = bytes;
    let mut values = Vec::new();
    while !rest.is_empty() {
        values.push(match field_type {
            Type::Float | Type::Fixed32 | Type::Sfixed32 => {
                let (value, after) = rest.split_first_chunk()?;
                rest = after;
                Value::Fixed32(u32::from_le_bytes(*value))
            }
            Type::Double | Type::Fixed64 | Type::Sfixed64 => {
                let (value, after) = rest.split_first_chunk()?;
                rest = after;
                Value::Fixed64(u64::from_le_bytes(*value))
            }
            _ => Value::Varint(wire::take_varint(&mut rest)?),
        });
    }
    Some(values)
}

fn field_records(
    pool: &Pool,
    node: &FieldNode,
    mut values: Vec<Value>,
    strip: bool,
    depth: usize,
    out: &mut Records,
) {
    let number = node.number.cast_unsigned();
    if node.is_packed() {
        if !values.is_empty() {
            out.push(Record::new(number, Value::Bytes(packed(&values))));
        }
    } else if pool.is_map(node) {
        for value in values {
            let entry = nested(pool, node, vec![value], strip, depth);
            out.push(Record::new(number, whole_entry(pool, node, entry)));
        }
    } else if node.is_repeated() && node.is_message() {
        for value in values {
            out.push(Record::new(number, nested(pool, node, vec![value], strip, depth)));
        }
    } else if node.is_repeated() {
        out.extend(values.into_iter().map(|value| Record::new(number, value)));
    } else if node.is_message() {
        if !values.is_empty() {
            out.push(Record::new(number, nested(pool, node, values, strip, depth)));
        }
    } else if let Some(value) = values.pop()
        && (node.has_presence() || !is_zero(&value))
    {
        out.push(Record::new(number, value));
    }
}

pub(crate) fn is_zero(value: &Value) -> bool {
    match value {
        Value::Varint(value) | Value::Fixed64(value) => *value == 0,
        Value::Fixed32(value) => *value == 0,
        Value::Bytes(bytes) => bytes.is_empty(),
        Value::Message(_) | Value::Group(_) => false,
    }
}

/// The merged and canonical form of a message field's values.
fn nested(pool: &Pool, node: &FieldNode, values: Vec<Value>, strip: bool, depth: usize) -> Value {
    let mut records = Vec::new();
    for value in values {
        match value {
            Value::Message(inner) | Value::Group(inner) => records.extend(inner),
            Value::Bytes(bytes) => match wire::decode(&bytes) {
                Some(inner) => records.extend(inner),
                None => return Value::Bytes(bytes),
            },
            _ => {}
        }
    }
    if let Some(id) = node.message {
        records = message(pool, id, records, strip, depth);
    }
    match node.field_type {
        Some(Type::Group) => Value::Group(records),
        _ => Value::Message(records),
    }
}

/// Entries of maps always have both fields.
fn whole_entry(pool: &Pool, node: &FieldNode, entry: Value) -> Value {
    let (Value::Message(mut records), Some(id)) = (entry, node.message) else {
        return Value::Message(Vec::new());
    };
    for (at, field) in pool.message(id).fields.iter().enumerate() {
        let part = pool.field(*field);
        let number = part.number.cast_unsigned();
        if !records.iter().any(|record| record.number == number) {
            let at = at.min(records.len());
            records.insert(at, Record::new(number, zero(part.field_type)));
        }
    }
    Value::Message(records)
}

pub(crate) fn zero(field_type: Option<Type>) -> Value {
    match field_type {
        Some(Type::Float | Type::Fixed32 | Type::Sfixed32) => Value::Fixed32(0),
        Some(Type::Double | Type::Fixed64 | Type::Sfixed64) => Value::Fixed64(0),
        Some(Type::String | Type::Bytes) => Value::Bytes(Vec::new()),
        Some(Type::Message) => Value::Message(Vec::new()),
        Some(Type::Group) => Value::Group(Vec::new()),
        _ => Value::Varint(0),
    }
}

fn packed(values: &[Value]) -> Vec<u8> {
    let mut out = Vec::new();
    for value in values {
        match value {
            Value::Varint(value) => wire::put_varint(&mut out, *value),
            Value::Fixed32(value) => out.extend_from_slice(&value.to_le_bytes()),
            Value::Fixed64(value) => out.extend_from_slice(&value.to_le_bytes()),
            Value::Bytes(_) | Value::Message(_) | Value::Group(_) => {}
        }
    }
    out
}

/// The names of required fields that are missing, also in messages of the message.
pub(crate) fn missing(
    pool: &Pool,
    id: MessageId,
    records: &[Record],
    prefix: &str,
    out: &mut Vec<String>,
) {
    for field in &pool.message(id).fields {
        let node = pool.field(*field);
        let number = node.number.cast_unsigned();
        if node.is_required() && !records.iter().any(|record| record.number == number) {
            out.push(format!("{prefix}{}", node.own_name()));
        }
    }
    let mut counts: HashMap<u32, usize> = HashMap::new();
    for record in records {
        let (Value::Message(inner) | Value::Group(inner)) = &record.value else { continue };
        if pool.message(id).message_set
            && let Some(Value::Message(content)) = inner.get(1).map(|record| &record.value)
            && let Some(number) = wire::varint(inner, 2)
        {
            let number = i32::try_from(number).unwrap_or_default();
            let extension = pool.field_numbered(id, number).map(|field| pool.field(field));
            if let Some((node, inner)) = extension.and_then(|node| Some((node, node.message?))) {
                missing(pool, inner, content, &format!("{prefix}({}).", node.name), out);
            }
            continue;
        }
        let number = i32::try_from(record.number).unwrap_or_default();
        let Some(node) = pool.field_numbered(id, number).map(|field| pool.field(field)) else {
            continue;
        };
        let Some(message) = node.message else { continue };
        let mut name = match node.is_extension {
            true => format!("({})", node.name),
            false => node.own_name().to_owned(),
        };
        if node.is_repeated() {
            let count = counts.entry(record.number).or_default();
            name.push_str(&format!("[{count}]"));
            *count += 1;
        }
        missing(pool, message, inner, &format!("{prefix}{name}."), out);
    }
}

/// As deep as messages may be decoded.
const MAX_DEPTH: usize = 600;
