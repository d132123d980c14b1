//! Files of editions for prost, which knows proto2 and proto3 only: as files of proto3 that mean
//! the same, field by field.
//!
//! What prost has no word for stays as it does for proto2: strings are UTF-8 whatever
//! `utf8_validation` says, and enums are open.

use ::buffa::editions::{FieldPresence, MessageEncoding, RepeatedFieldEncoding, ResolvedFeatures};
use buffa_codegen::generated::descriptor::field_descriptor_proto::{Label, Type};
use buffa_codegen::generated::descriptor::{
    DescriptorProto, FieldDescriptorProto, FileDescriptorProto,
};
use buffa_descriptor::features::{
    field_features, for_file, message_features, oneof_features, resolve_child,
};

/// The file as one of proto3, if it is of an edition.
pub(super) fn lowered(file: &FileDescriptorProto) -> FileDescriptorProto {
    let mut lowered = file.clone();
    if file.edition.is_none() {
        return lowered;
    }
    let features = for_file(file);
    lowered.syntax = Some("proto3".to_owned());
    lowered.edition = None;
    for message in &mut lowered.message_type {
        lower_message(message, &features);
    }
    lowered
}

fn lower_message(message: &mut DescriptorProto, outer: &ResolvedFeatures) {
    let own = resolve_child(outer, message_features(message));
    let is_entry = message.options.map_entry.unwrap_or(false);
    for field in &mut message.field {
        let oneof = field.oneof_index.and_then(|at| usize::try_from(at).ok());
        let around = match oneof.and_then(|at| message.oneof_decl.get(at)) {
            Some(oneof) => resolve_child(&own, oneof_features(oneof)),
            None => own,
        };
        let features = resolve_child(&around, field_features(field));
        if !is_entry {
            lower_field(field, &features);
        }
    }
    for nested in &mut message.nested_type {
        lower_message(nested, &own);
    }
}

fn lower_field(field: &mut FieldDescriptorProto, features: &ResolvedFeatures) {
    let is_message = field.r#type == Some(Type::TYPE_MESSAGE);
    let is_text = matches!(field.r#type, Some(Type::TYPE_STRING | Type::TYPE_BYTES));
    if field.label == Some(Label::LABEL_REPEATED) {
        if !is_message && !is_text {
            let packed = features.repeated_field_encoding == RepeatedFieldEncoding::Packed;
            field.options.get_or_insert_default().packed = Some(packed);
        }
    } else if features.field_presence == FieldPresence::LegacyRequired {
        field.label = Some(Label::LABEL_REQUIRED);
    } else if features.field_presence == FieldPresence::Explicit
        && !is_message
        && field.oneof_index.is_none()
    {
        field.proto3_optional = Some(true);
    }
    if is_message && features.message_encoding == MessageEncoding::Delimited {
        field.r#type = Some(Type::TYPE_GROUP);
        if field.label == Some(Label::LABEL_OPTIONAL) && field.oneof_index.is_none() {
            field.proto3_optional = Some(true);
        }
    }
}
