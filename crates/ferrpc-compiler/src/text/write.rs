//! A message in canonical form with the entries of its maps in the order of their keys.

use super::entry_fields;
use super::print::compare_keys;
use crate::options::canonical::zero;
use crate::pool::{FieldNode, MessageId, Pool};
use crate::wire::{self, Record, Records, Value};

pub(super) fn sorted(pool: &Pool, id: MessageId, records: &[Record]) -> Records {
    let is_set = pool.message(id).message_set;
    let mut out: Records = Vec::with_capacity(records.len());
    for part in records.chunk_by(|a, b| a.number == b.number) {
        let number = part.first().map_or(0, |record| record.number.cast_signed());
        let node = pool.field_numbered(id, number).map(|field| pool.field(field));
        let start = out.len();
        out.extend(part.iter().map(|record| match &record.value {
            Value::Group(item) if is_set => {
                Record::new(record.number, Value::Group(set_item(pool, id, item)))
            }
            value => Record::new(record.number, nested(pool, node, value)),
        }));
        let entry = node.filter(|node| pool.is_map(node)).and_then(|node| node.message);
        if let Some([key, _]) = entry.and_then(|entry| entry_fields(pool, entry)) {
            let key_type = pool.field(key).field_type;
            let default = zero(key_type);
            out[start..]
                .sort_by(|a, b| compare_keys(key_type, key_of(a, &default), key_of(b, &default)));
        }
    }
    out
}

fn nested(pool: &Pool, node: Option<&FieldNode>, value: &Value) -> Value {
    match (value, node.and_then(|node| node.message)) {
        (Value::Message(inner), Some(id)) => Value::Message(sorted(pool, id, inner)),
        (Value::Group(inner), Some(id)) => Value::Group(sorted(pool, id, inner)),
        (value, _) => value.clone(),
    }
}

/// The number of the extension, and its content.
fn set_item(pool: &Pool, id: MessageId, item: &[Record]) -> Records {
    let number = wire::varint(item, 2).and_then(|number| i32::try_from(number).ok());
    let node = number.and_then(|it| pool.field_numbered(id, it)).map(|field| pool.field(field));
    item.iter().map(|it| Record::new(it.number, nested(pool, node, &it.value))).collect()
}

fn key_of<'a>(entry: &'a Record, default: &'a Value) -> &'a Value {
    match &entry.value {
        Value::Message(parts) => {
            parts.iter().find(|part| part.number == 1).map_or(default, |part| &part.value)
        }
        _ => default,
    }
}
