//! Messages as records of the wire format: what option values are until they are written.

/// The records of a message, in order.
pub(crate) type Records = Vec<Record>;

/// One field with its value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Record {
    pub(crate) number: u32,
    pub(crate) value: Value,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Varint(u64),
    Fixed64(u64),
    Bytes(Vec<u8>),
    /// A length-delimited message that is not encoded yet.
    Message(Records),
    Group(Records),
    Fixed32(u32),
}

impl Record {
    pub(crate) fn new(number: u32, value: Value) -> Self {
        Self { number, value }
    }
}

/// The last varint of a field.
pub(crate) fn varint(records: &[Record], number: u32) -> Option<u64> {
    records.iter().rev().find_map(|record| match record.value {
        Value::Varint(value) if record.number == number => Some(value),
        _ => None,
    })
}

/// The last value of a boolean field.
pub(crate) fn boolean(records: &[Record], number: u32) -> bool {
    varint(records, number).is_some_and(|value| value != 0)
}

/// All values of a length-delimited field.
pub(crate) fn all_bytes(records: &[Record], number: u32) -> impl Iterator<Item = &[u8]> {
    records.iter().filter_map(move |record| match &record.value {
        Value::Bytes(bytes) if record.number == number => Some(bytes.as_slice()),
        _ => None,
    })
}

/// The last value of a length-delimited field.
pub(crate) fn bytes(records: &[Record], number: u32) -> Option<&[u8]> {
    all_bytes(records, number).last()
}

/// The records of a singular message field, all its occurrences merged.
pub(crate) fn message(records: &[Record], number: u32) -> Option<Records> {
    let mut found = None::<Records>;
    for record in records.iter().filter(|record| record.number == number) {
        match &record.value {
            Value::Bytes(bytes) => {
                found.get_or_insert_default().extend(decode(bytes).unwrap_or_default());
            }
            Value::Message(part) => found.get_or_insert_default().extend_from_slice(part),
            _ => {}
        }
    }
    found
}

/// The records of each value of a repeated message field; none of those that are not messages.
pub(crate) fn messages(records: &[Record], number: u32) -> impl Iterator<Item = Records> {
    let own = records.iter().filter(move |record| record.number == number);
    own.filter_map(|record| match &record.value {
        Value::Message(records) => Some(records.clone()),
        Value::Bytes(bytes) => decode(bytes),
        _ => None,
    })
}

/// Reads records; none if the bytes are not a message, or groups are nested too deeply.
pub(crate) fn decode(bytes: &[u8]) -> Option<Records> {
    let mut rest = bytes;
    let records = read(&mut rest, None, MAX_DEPTH)?;
    rest.is_empty().then_some(records)
}

fn read(rest: &mut &[u8], group: Option<u32>, depth: usize) -> Option<Records> {
    let mut records = Vec::new();
    while !rest.is_empty() {
        let tag = u32::try_from(take_varint(rest)?).ok()?;
        let number = tag >> 3;
        if number == 0 {
            return None;
        }
        let value = match tag & 7 {
            0 => Value::Varint(take_varint(rest)?),
            1 => Value::Fixed64(u64::from_le_bytes(take(rest, 8)?.try_into().ok()?)),
            2 => {
                let length = usize::try_from(take_varint(rest)?).ok()?;
                Value::Bytes(take(rest, length)?.to_vec())
            }
            3 => Value::Group(read(rest, Some(number), depth.checked_sub(1)?)?),
            4 => return (group == Some(number)).then_some(records),
            5 => Value::Fixed32(u32::from_le_bytes(take(rest, 4)?.try_into().ok()?)),
            _ => return None,
        };
        records.push(Record { number, value });
    }
    group.is_none().then_some(records)
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(taken)
}

/// Reads a varint of at most ten bytes.
pub(crate) fn take_varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for at in 0..10 {
        let byte = take(rest, 1)?[0];
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

/// The records' bytes.
pub(crate) fn encode(records: &[Record]) -> Vec<u8> {
    let mut out = Vec::new();
    encode_to(records, &mut out);
    out
}

pub(crate) fn encode_to(records: &[Record], out: &mut Vec<u8>) {
    for Record { number, value } in records {
        match value {
            Value::Varint(value) => {
                put_tag(out, *number, 0);
                put_varint(out, *value);
            }
            Value::Fixed64(value) => {
                put_tag(out, *number, 1);
                out.extend_from_slice(&value.to_le_bytes());
            }
            Value::Bytes(bytes) => put_bytes(out, *number, bytes),
            Value::Message(records) => put_message(out, *number, |out| encode_to(records, out)),
            Value::Group(records) => {
                put_tag(out, *number, 3);
                encode_to(records, out);
                put_tag(out, *number, 4);
            }
            Value::Fixed32(value) => {
                put_tag(out, *number, 5);
                out.extend_from_slice(&value.to_le_bytes());
            }
        }
    }
}

pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

pub(crate) fn put_tag(out: &mut Vec<u8>, number: u32, kind: u64) {
    put_varint(out, u64::from(number) << 3 | kind);
}

pub(crate) fn put_bytes(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    put_tag(out, number, 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// A field of type int32 or of an enum: negative numbers take ten bytes.
pub(crate) fn put_int32(out: &mut Vec<u8>, number: u32, value: i32) {
    put_tag(out, number, 0);
    put_varint(out, sign_extended(value));
}

/// Negative numbers of 32 bits are sent as those of 64.
pub(crate) fn sign_extended(value: i32) -> u64 {
    i64::from(value).cast_unsigned()
}

/// A message field; `write` appends its content.
pub(crate) fn put_message(out: &mut Vec<u8>, number: u32, write: impl FnOnce(&mut Vec<u8>)) {
    put_tag(out, number, 2);
    let start = out.len();
    // Most messages here are longer than one byte of length can say: leave room for two.
    out.extend_from_slice(&[0, 0]);
    write(out);
    let length = out.len() - start - 2;
    let mut prefix = Vec::with_capacity(10);
    put_varint(&mut prefix, length as u64);
    out.splice(start..start + 2, prefix);
}

/// As deep as groups may be nested in what is decoded.
const MAX_DEPTH: usize = 100;
