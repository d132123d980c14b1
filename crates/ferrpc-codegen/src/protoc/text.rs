//! A message as text, as protoc prints it: a line for each value, repeated fields spelt out, maps
//! in the order of their keys, extensions and unknown fields behind the others.

use std::fmt::Write as _;

use buffa::unknown_fields::UnknownFields;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, ReflectMessage, Value};

use super::raw;

pub(super) fn text(message: &DynamicMessage) -> String {
    let mut out = String::new();
    print(message, 0, &mut out);
    out
}

fn print(message: &DynamicMessage, depth: usize, out: &mut String) {
    if expand_any(message, depth, out).is_some() {
        return;
    }
    for (field, content) in message.fields() {
        values(&field_name(&field), &field.kind(), content, depth, out);
    }
    for (extension, content) in message.extensions() {
        values(&format!("[{}]", extension.full_name()), &extension.kind(), content, depth, out);
    }
    for field in message.unknown_fields() {
        let mut encoded = Vec::new();
        field.encode(&mut encoded);
        if let Ok(fields) = UnknownFields::decode_from_slice(&encoded) {
            raw::print(&fields, depth, out);
        }
    }
}

/// A group's field has the name of its type in text.
fn field_name(field: &FieldDescriptor) -> String {
    match field.kind() {
        Kind::Message(group) if field.is_group() => group.name().to_owned(),
        _ => field.name().to_owned(),
    }
}

fn values(name: &str, kind: &Kind, content: &Value, depth: usize, out: &mut String) {
    match content {
        Value::List(list) => list.iter().for_each(|it| value(name, kind, it, depth, out)),
        Value::Map(map) => {
            let Kind::Message(entry) = kind else { return };
            let (key_kind, value_kind) =
                (entry.map_entry_key_field().kind(), entry.map_entry_value_field().kind());
            let mut entries: Vec<(&MapKey, &Value)> = map.iter().collect();
            entries.sort_by(|a, b| a.0.cmp(b.0));
            let indent = "  ".repeat(depth);
            for (key, content) in entries {
                let _ = writeln!(out, "{indent}{name} {{");
                value("key", &key_kind, &Value::from(key.clone()), depth + 1, out);
                value("value", &value_kind, content, depth + 1, out);
                let _ = writeln!(out, "{indent}}}");
            }
        }
        single => value(name, kind, single, depth, out),
    }
}

fn value(name: &str, kind: &Kind, value: &Value, depth: usize, out: &mut String) {
    let indent = "  ".repeat(depth);
    if let Value::Message(message) = value {
        let _ = writeln!(out, "{indent}{name} {{");
        print(message, depth + 1, out);
        let _ = writeln!(out, "{indent}}}");
        return;
    }
    let shown = match value {
        Value::Bool(value) => value.to_string(),
        Value::I32(value) => value.to_string(),
        Value::I64(value) => value.to_string(),
        Value::U32(value) => value.to_string(),
        Value::U64(value) => value.to_string(),
        Value::F32(value) => float(f64::from(*value), 6, 9, |text| {
            text.parse::<f32>().is_ok_and(|read| read == *value)
        }),
        Value::F64(value) => {
            float(*value, 15, 17, |text| text.parse::<f64>().is_ok_and(|read| read == *value))
        }
        Value::String(text) => format!("\"{}\"", raw::escape(text.as_bytes())),
        Value::Bytes(bytes) => format!("\"{}\"", raw::escape(bytes)),
        Value::EnumNumber(number) => match kind {
            Kind::Enum(defined) => defined
                .get_value(*number)
                .map_or_else(|| number.to_string(), |value| value.name().to_owned()),
            _ => number.to_string(),
        },
        Value::Message(_) | Value::List(_) | Value::Map(_) => return,
    };
    let _ = writeln!(out, "{indent}{name}: {shown}");
}

/// An `Any` of a known type is shown as what is in it.
fn expand_any(message: &DynamicMessage, depth: usize, out: &mut String) -> Option<()> {
    let descriptor = message.descriptor();
    if descriptor.full_name() != "google.protobuf.Any" {
        return None;
    }
    let url = message.get_field_by_name("type_url")?;
    let content = message.get_field_by_name("value")?;
    let url = url.as_str()?;
    let inner = descriptor.parent_pool().get_message_by_name(url.rsplit('/').next()?)?;
    let inner = DynamicMessage::decode(inner, content.as_bytes()?.as_ref()).ok()?;
    let indent = "  ".repeat(depth);
    let _ = writeln!(out, "{indent}[{url}] {{");
    print(&inner, depth + 1, out);
    let _ = writeln!(out, "{indent}}}");
    Some(())
}

/// With as few digits as are read back as the same number, of two choices: `%.15g`, `%.17g`.
fn float(value: f64, few: usize, many: usize, same: impl Fn(&str) -> bool) -> String {
    if value.is_nan() {
        return "nan".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let short = general(value, few);
    if same(&short) { short } else { general(value, many) }
}

/// C's `%.{digits}g`.
fn general(value: f64, digits: usize) -> String {
    let scientific = format!("{value:.*e}", digits - 1);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let wide = i32::try_from(digits).unwrap_or(i32::MAX);
    if exponent < -4 || exponent >= wide {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{}e{sign}{:02}", without_zeros(mantissa), exponent.abs());
    }
    let decimals = usize::try_from(wide - 1 - exponent).unwrap_or_default();
    without_zeros(&format!("{value:.decimals$}")).to_owned()
}

fn without_zeros(number: &str) -> &str {
    match number.contains('.') {
        true => number.trim_end_matches('0').trim_end_matches('.'),
        false => number,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_as_c_writes_them() {
        let double = |value: f64| {
            float(value, 15, 17, |text| text.parse::<f64>().is_ok_and(|read| read == value))
        };
        for (value, expect) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (0.1, "0.1"),
            (1e20, "1e+20"),
            (123_456_789.0, "123456789"),
            (1e-5, "1e-05"),
            (0.1 + 0.2, "0.30000000000000004"),
            (1.5e300, "1.5e+300"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(double(value), expect);
        }
    }
}
