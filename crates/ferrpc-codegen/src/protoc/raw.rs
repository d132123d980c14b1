//! `--decode_raw`: a message of unknown type as text.
//!
//! A length-delimited field is shown as a message if it can be one and is not empty, else as a
//! string, as protoc does.

use std::fmt::Write as _;

use buffa::unknown_fields::{UnknownField, UnknownFieldData, UnknownFields};

pub(super) fn text(bytes: &[u8]) -> Result<String, String> {
    let fields =
        UnknownFields::decode_from_slice(bytes).map_err(|_| "Failed to parse input.".to_owned())?;
    let mut out = String::new();
    print(&fields, 0, &mut out);
    Ok(out)
}

pub(super) fn print(fields: &UnknownFields, depth: usize, out: &mut String) {
    let indent = "  ".repeat(depth);
    for UnknownField { number, data } in fields.iter() {
        let _ = match data {
            UnknownFieldData::Varint(value) => writeln!(out, "{indent}{number}: {value}"),
            UnknownFieldData::Fixed32(value) => writeln!(out, "{indent}{number}: 0x{value:08x}"),
            UnknownFieldData::Fixed64(value) => writeln!(out, "{indent}{number}: 0x{value:016x}"),
            UnknownFieldData::Group(inner) => {
                message(*number, inner, depth, out);
                Ok(())
            }
            UnknownFieldData::LengthDelimited(value) => {
                let inner = UnknownFields::decode_from_slice(value).ok();
                match inner.filter(|_| !value.is_empty() && depth < MAX_DEPTH) {
                    Some(inner) => {
                        message(*number, &inner, depth, out);
                        Ok(())
                    }
                    None => writeln!(out, "{indent}{number}: \"{}\"", escape(value)),
                }
            }
        };
    }
}

fn message(number: u32, fields: &UnknownFields, depth: usize, out: &mut String) {
    let indent = "  ".repeat(depth);
    let _ = writeln!(out, "{indent}{number} {{");
    print(fields, depth + 1, out);
    let _ = writeln!(out, "{indent}}}");
}

/// As in C: what is not printable is octal.
pub(super) fn escape(value: &[u8]) -> String {
    let mut out = String::new();
    for &byte in value {
        match byte {
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            b'"' => out.push_str("\\\""),
            b'\'' => out.push_str("\\'"),
            b'\\' => out.push_str("\\\\"),
            0x20..=0x7e => out.push(char::from(byte)),
            _ => {
                let _ = write!(out, "\\{byte:03o}");
            }
        }
    }
    out
}

/// How deep a string is taken for a message in a message: protoc's recursion budget.
const MAX_DEPTH: usize = 10;
