//! `--encode` and `--decode`: messages between text and bytes.

use buffa::Message;
use buffa::unknown_fields::{UnknownField, UnknownFieldData, UnknownFields};
use buffa_codegen::generated::descriptor::FileDescriptorSet;
use prost_reflect::prost::Message as _;
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor,
    ReflectMessage,
};

use super::compile::Compiled;
use super::report::Failure;
use super::text;
use crate::descriptor::name;

pub(super) fn encode(
    compiled: &Compiled,
    type_name: &str,
    text: &[u8],
) -> Result<Vec<u8>, Failure> {
    let descriptor = descriptor(compiled, type_name)?;
    let text =
        std::str::from_utf8(text).map_err(|_| Failure::message("input: The text is not UTF-8."))?;
    let message = DynamicMessage::parse_text_format(descriptor, text)
        .map_err(|error| Failure::message(format!("input: {error}\nFailed to parse input.")))?;
    // Always: what is asked for with --deterministic_output does no harm without it.
    Ok(with_sorted_maps(&message.descriptor(), &message.encode_to_vec()))
}

pub(super) fn decode(
    compiled: &Compiled,
    type_name: &str,
    bytes: &[u8],
) -> Result<String, Failure> {
    let descriptor = descriptor(compiled, type_name)?;
    let message = DynamicMessage::decode(descriptor, bytes)
        .map_err(|_| Failure::message("Failed to parse input."))?;
    Ok(text::text(&message))
}

/// The same message with the entries of each map in the order of their keys.
fn with_sorted_maps(descriptor: &MessageDescriptor, encoded: &[u8]) -> Vec<u8> {
    let Ok(fields) = UnknownFields::decode_from_slice(encoded) else { return encoded.to_vec() };
    let mut out = UnknownFields::default();
    let mut entries: Vec<(MapKey, UnknownField)> = Vec::new();
    let mut current = None;
    for mut field in fields.iter().cloned() {
        if current != Some(field.number) {
            sort_into(&mut entries, &mut out);
            current = Some(field.number);
        }
        let known = descriptor.get_field(field.number);
        let kind = known
            .as_ref()
            .map(FieldDescriptor::kind)
            .or_else(|| descriptor.get_extension(field.number).map(|it| it.kind()));
        let key = match (&kind, &mut field.data) {
            (Some(Kind::Message(inner)), UnknownFieldData::LengthDelimited(content)) => {
                *content = with_sorted_maps(inner, content);
                inner.is_map_entry().then(|| key(inner, content)).flatten()
            }
            (Some(Kind::Message(inner)), UnknownFieldData::Group(content)) => {
                let mut encoded = Vec::new();
                content.write_to(&mut encoded);
                let sorted = with_sorted_maps(inner, &encoded);
                if let Ok(sorted) = UnknownFields::decode_from_slice(&sorted) {
                    *content = sorted;
                }
                None
            }
            _ => None,
        };
        match key {
            Some(key) => entries.push((key, field)),
            None => out.push(field),
        }
    }
    sort_into(&mut entries, &mut out);
    let mut bytes = Vec::new();
    out.write_to(&mut bytes);
    bytes
}

fn sort_into(entries: &mut Vec<(MapKey, UnknownField)>, out: &mut UnknownFields) {
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    entries.drain(..).for_each(|(_, field)| out.push(field));
}

fn key(entry: &MessageDescriptor, encoded: &[u8]) -> Option<MapKey> {
    let entry = DynamicMessage::decode(entry.clone(), encoded).ok()?;
    entry.get_field_by_name("key")?.into_owned().into_map_key()
}

fn descriptor(compiled: &Compiled, type_name: &str) -> Result<MessageDescriptor, Failure> {
    for file in &compiled.files {
        if file.edition.is_some() {
            let name = name(file);
            let why = "--encode and --decode are for files of proto2 and proto3 only.";
            return Err(Failure::message(format!("{name}: {why}")));
        }
    }
    let set = FileDescriptorSet { file: compiled.files.clone(), ..Default::default() };
    let pool = DescriptorPool::decode(set.encode_to_vec().as_slice())
        .map_err(|error| Failure::message(error.to_string()))?;
    pool.get_message_by_name(type_name)
        .ok_or_else(|| Failure::message(format!("Type not defined: {type_name}")))
}
