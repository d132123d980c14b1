//! Files from the bytes of `FileDescriptorProto`, as descriptor sets hold them.

use crate::ast::{
    Edition, Enum, EnumValue, ExtensionRange, Field, File, Label, Message, Method, NamePart, Oneof,
    OptionValue, Options, Range, Service, Type, Uninterpreted, Visibility,
};
use crate::parser::MAX_NESTING;
use crate::source_info::{Comments, Locations};
use crate::wire::{self, Record, Records, Value};

/// Why there is no file in some bytes.
pub(crate) type Fault = String;

/// Reads a file.
pub(crate) fn decode(bytes: &[u8]) -> Result<File, Fault> {
    let mut file = File { edition: Edition::PROTO2, ..File::default() };
    let mut syntax = Vec::new();
    let mut edition = None;
    for record in records(bytes)? {
        match (record.number, record.value) {
            (1, value) => file.name = text(value)?,
            (2, value) => file.package = text(value)?,
            (3, value) => file.dependency.push(text(value)?),
            (4, value) => file.messages.push(message(&content(value)?, 1)?),
            (5, value) => file.enums.push(enumeration(&content(value)?)?),
            (6, value) => file.services.push(service(&content(value)?)?),
            (7, value) => file.extensions.push(field(&content(value)?)?),
            (8, value) => options(&mut file.options, &content(value)?)?,
            (9, value) => {
                file.has_source_info = true;
                locations(&mut file.locations, &content(value)?)?;
            }
            (10, value) => numbers(value, &mut file.public_dependency)?,
            (11, value) => numbers(value, &mut file.weak_dependency)?,
            (12, value) => syntax = content(value)?,
            (14, value) => edition = Some(number(value)?),
            (15, value) => file.option_dependency.push(text(value)?),
            _ => {}
        }
    }
    file.edition = match (edition, syntax.as_slice()) {
        (Some(edition), _) => Edition(edition),
        (None, b"" | b"proto2") => Edition::PROTO2,
        (None, b"proto3") => Edition::PROTO3,
        (None, other) => {
            return Err(format!("Unrecognized syntax: {}", String::from_utf8_lossy(other)));
        }
    };
    mark_map_entries(&mut file.messages);
    Ok(file)
}

/// The entries of maps belong to the fields of their type.
fn mark_map_entries(messages: &mut [Message]) {
    for message in messages {
        for nested in &mut message.nested {
            if crate::pool::is_map_entry(nested) {
                let own = format!(".{}", nested.name);
                nested.map_field = message.fields.iter().position(|field| {
                    field.type_name.as_ref().is_some_and(|name| name.ends_with(&own))
                });
            }
        }
        mark_map_entries(&mut message.nested);
    }
}

fn records(bytes: &[u8]) -> Result<Records, Fault> {
    wire::decode(bytes).ok_or_else(malformed)
}

fn malformed() -> Fault {
    "The descriptor cannot be read.".to_owned()
}

fn content(value: Value) -> Result<Vec<u8>, Fault> {
    match value {
        Value::Bytes(bytes) => Ok(bytes),
        _ => Err(malformed()),
    }
}

fn text(value: Value) -> Result<String, Fault> {
    String::from_utf8(content(value)?).map_err(|_| malformed())
}

fn number(value: Value) -> Result<i32, Fault> {
    match value {
        Value::Varint(value) => Ok(value as i32),
        _ => Err(malformed()),
    }
}

fn flag(value: Value) -> Result<bool, Fault> {
    Ok(number(value)? != 0)
}

/// A repeated number, packed or not.
fn numbers(value: Value, into: &mut Vec<i32>) -> Result<(), Fault> {
    let bytes = match value {
        Value::Varint(value) => {
            into.push(value as i32);
            return Ok(());
        }
        value => content(value)?,
    };
    let mut rest = bytes.as_slice();
    while !rest.is_empty() {
        into.push(wire::take_varint(&mut rest).ok_or_else(malformed)? as i32);
    }
    Ok(())
}

fn message(bytes: &[u8], depth: u32) -> Result<Message, Fault> {
    if depth > MAX_NESTING {
        return Err("Reached maximum recursion limit for nested messages.".to_owned());
    }
    let mut out = Message::default();
    for record in records(bytes)? {
        match (record.number, record.value) {
            (1, value) => out.name = text(value)?,
            (2, value) => out.fields.push(field(&content(value)?)?),
            (3, value) => out.nested.push(message(&content(value)?, depth + 1)?),
            (4, value) => out.enums.push(enumeration(&content(value)?)?),
            (5, value) => {
                let bytes = content(value)?;
                let mut own = None;
                for record in records(&bytes)? {
                    if record.number == 3 {
                        options(&mut own, &content(record.value)?)?;
                    }
                }
                let range = ExtensionRange { range: range(&bytes)?, options: own };
                out.extension_ranges.push(range);
            }
            (6, value) => out.extensions.push(field(&content(value)?)?),
            (7, value) => options(&mut out.options, &content(value)?)?,
            (8, value) => {
                let mut oneof = Oneof::default();
                for record in records(&content(value)?)? {
                    match (record.number, record.value) {
                        (1, value) => oneof.name = text(value)?,
                        (2, value) => options(&mut oneof.options, &content(value)?)?,
                        _ => {}
                    }
                }
                out.oneofs.push(oneof);
            }
            (9, value) => out.reserved_ranges.push(range(&content(value)?)?),
            (10, value) => out.reserved_names.push(content(value)?),
            (11, value) => out.visibility = visibility(number(value)?),
            _ => {}
        }
    }
    Ok(out)
}

fn visibility(number: i32) -> Visibility {
    match number {
        1 => Visibility::Local,
        2 => Visibility::Export,
        _ => Visibility::Unset,
    }
}

fn range(bytes: &[u8]) -> Result<Range, Fault> {
    let mut range = Range::default();
    for record in records(bytes)? {
        match (record.number, record.value) {
            (1, value) => range.start = number(value)?,
            (2, value) => range.end = number(value)?,
            _ => {}
        }
    }
    Ok(range)
}

fn field(bytes: &[u8]) -> Result<Field, Fault> {
    let mut out = Field { label: Label::Optional, ..Field::default() };
    for record in records(bytes)? {
        match (record.number, record.value) {
            (1, value) => out.name = text(value)?,
            (2, value) => out.extendee = Some(text(value)?),
            (3, value) => out.number = number(value)?,
            (4, value) => {
                out.label = match number(value)? {
                    2 => Label::Required,
                    3 => Label::Repeated,
                    _ => Label::Optional,
                }
            }
            (5, value) => out.field_type = Some(field_type(number(value)?)?),
            (6, value) => out.type_name = Some(text(value)?),
            (7, value) => out.default = Some(content(value)?),
            (8, value) => options(&mut out.options, &content(value)?)?,
            (9, value) => {
                out.oneof = Some(usize::try_from(number(value)?).unwrap_or(usize::MAX));
            }
            (10, value) => out.json_name = Some(content(value)?),
            (17, value) => out.proto3_optional = flag(value)?,
            _ => {}
        }
    }
    // One that follows from the field's name says nothing.
    let usual = crate::check::json_name(&out.name);
    out.json_name = out.json_name.filter(|name| name.as_slice() != usual.as_bytes());
    Ok(out)
}

fn field_type(number: i32) -> Result<Type, Fault> {
    Ok(match number {
        1 => Type::Double,
        2 => Type::Float,
        3 => Type::Int64,
        4 => Type::Uint64,
        5 => Type::Int32,
        6 => Type::Fixed64,
        7 => Type::Fixed32,
        8 => Type::Bool,
        9 => Type::String,
        10 => Type::Group,
        11 => Type::Message,
        12 => Type::Bytes,
        13 => Type::Uint32,
        14 => Type::Enum,
        15 => Type::Sfixed32,
        16 => Type::Sfixed64,
        17 => Type::Sint32,
        18 => Type::Sint64,
        _ => return Err(malformed()),
    })
}

fn enumeration(bytes: &[u8]) -> Result<Enum, Fault> {
    let mut out = Enum::default();
    for record in records(bytes)? {
        match (record.number, record.value) {
            (1, value) => out.name = text(value)?,
            (2, value) => {
                let mut own = EnumValue::default();
                for record in records(&content(value)?)? {
                    match (record.number, record.value) {
                        (1, value) => own.name = text(value)?,
                        (2, value) => own.number = number(value)?,
                        (3, value) => options(&mut own.options, &content(value)?)?,
                        _ => {}
                    }
                }
                out.values.push(own);
            }
            (3, value) => options(&mut out.options, &content(value)?)?,
            (4, value) => out.reserved_ranges.push(range(&content(value)?)?),
            (5, value) => out.reserved_names.push(content(value)?),
            (6, value) => out.visibility = visibility(number(value)?),
            _ => {}
        }
    }
    Ok(out)
}

fn service(bytes: &[u8]) -> Result<Service, Fault> {
    let mut out = Service::default();
    for record in records(bytes)? {
        match (record.number, record.value) {
            (1, value) => out.name = text(value)?,
            (2, value) => out.methods.push(method(&content(value)?)?),
            (3, value) => options(&mut out.options, &content(value)?)?,
            _ => {}
        }
    }
    Ok(out)
}

fn method(bytes: &[u8]) -> Result<Method, Fault> {
    let mut out = Method::default();
    for record in records(bytes)? {
        match (record.number, record.value) {
            (1, value) => out.name = text(value)?,
            (2, value) => out.input = text(value)?,
            (3, value) => out.output = text(value)?,
            (4, value) => options(&mut out.options, &content(value)?)?,
            (5, value) => out.client_streaming = flag(value)?,
            (6, value) => out.server_streaming = flag(value)?,
            _ => {}
        }
    }
    Ok(out)
}

fn options(into: &mut Option<Box<Options>>, bytes: &[u8]) -> Result<(), Fault> {
    let out = into.get_or_insert_default();
    for record in records(bytes)? {
        match record {
            Record { number: UNINTERPRETED_OPTION, value } => {
                out.uninterpreted.push(uninterpreted(&content(value)?)?);
            }
            record => out.records.push(record),
        }
    }
    Ok(())
}

fn uninterpreted(bytes: &[u8]) -> Result<Uninterpreted, Fault> {
    let nowhere = crate::parser::NOWHERE;
    let mut out = Uninterpreted {
        name: Vec::new(),
        value: OptionValue::None,
        name_at: nowhere,
        value_at: nowhere,
    };
    for record in records(bytes)? {
        match (record.number, record.value) {
            (2, value) => {
                let mut part = NamePart { text: String::new(), is_extension: false };
                for record in records(&content(value)?)? {
                    match (record.number, record.value) {
                        (1, value) => part.text = text(value)?,
                        (2, value) => part.is_extension = flag(value)?,
                        _ => {}
                    }
                }
                out.name.push(part);
            }
            (3, value) => out.value = OptionValue::Identifier(text(value)?),
            (4, Value::Varint(value)) => out.value = OptionValue::Positive(value),
            (5, Value::Varint(value)) => out.value = OptionValue::Negative(value.cast_signed()),
            (6, Value::Fixed64(value)) => out.value = OptionValue::Double(f64::from_bits(value)),
            (7, value) => out.value = OptionValue::String(content(value)?),
            (8, value) => out.value = OptionValue::Aggregate(content(value)?),
            _ => {}
        }
    }
    Ok(out)
}

fn locations(into: &mut Locations, bytes: &[u8]) -> Result<(), Fault> {
    for record in records(bytes)? {
        if record.number != 1 {
            continue;
        }
        let (mut path, mut span) = (Vec::new(), Vec::new());
        let mut comments = Comments::default();
        for record in records(&content(record.value)?)? {
            match (record.number, record.value) {
                (1, value) => numbers(value, &mut path)?,
                (2, value) => numbers(value, &mut span)?,
                (3, value) => comments.leading = content(value)?,
                (4, value) => comments.trailing = content(value)?,
                (6, value) => comments.detached.push(content(value)?),
                _ => {}
            }
        }
        let number = |at: usize| span.get(at).copied().unwrap_or_default().cast_unsigned();
        let end = match span.len() {
            4 => (number(2), number(3)),
            _ => (number(0), number(2)),
        };
        let at = into.open(None, &path, (number(0), number(1)));
        let location = into.get_mut(at);
        location.end = Some(end);
        let none = comments.leading.is_empty()
            && comments.trailing.is_empty()
            && comments.detached.is_empty();
        location.comments = (!none).then(|| Box::new(comments));
    }
    Ok(())
}

/// The number of `uninterpreted_option` in all messages of options.
const UNINTERPRETED_OPTION: u32 = 999;
