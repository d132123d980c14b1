//! Options that are for compilers only (`retention = RETENTION_SOURCE`), and descriptors without
//! them.
//!
//! An option of that kind is seen by those who read sources and is not in what programs carry
//! along. Whether it is one says the field of the options message, which may be an extension
//! defined in any file; options that are messages can have such fields at any depth.

use std::collections::HashMap;

use buffa::Message;
use buffa::unknown_fields::{UnknownFieldData, UnknownFields};
use buffa_codegen::generated::descriptor::field_descriptor_proto::Type;
use buffa_codegen::generated::descriptor::field_options::OptionRetention;
use buffa_codegen::generated::descriptor::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto,
};

use crate::python::Index;

/// A copy of the file without the options that are not kept.
pub(crate) fn strip(index: &Index<'_>, file: &FileDescriptorProto) -> FileDescriptorProto {
    let mut file = file.clone();
    index.retention().file(&mut file);
    file
}

/// Which fields of options are for sources only.
pub(crate) struct Stripper<'a> {
    /// Fields of options messages that are extensions, by extendee and number.
    extensions: HashMap<(&'a str, u64), &'a FieldDescriptorProto>,
    /// Fields of messages, by message and number: for options that are messages.
    fields: HashMap<(String, u64), &'a FieldDescriptorProto>,
    /// Whether any field at all is for sources only; most compilations have none.
    any: bool,
}

impl<'a> Stripper<'a> {
    pub(crate) fn new(files: &[&'a FileDescriptorProto]) -> Self {
        let mut stripper = Self { extensions: HashMap::new(), fields: HashMap::new(), any: false };
        for file in files {
            let package = crate::descriptor::package(file);
            let scope = if package.is_empty() { String::new() } else { format!(".{package}") };
            stripper.index_extensions(&file.extension);
            for message in &file.message_type {
                stripper.index_message(&scope, message);
            }
        }
        stripper
    }

    fn index_message(&mut self, scope: &str, message: &'a DescriptorProto) {
        let own = format!("{scope}.{}", message.name.as_deref().unwrap_or_default());
        for field in &message.field {
            self.any |= source_only(field);
            if let Ok(number) = u64::try_from(field.number.unwrap_or_default()) {
                self.fields.insert((own.clone(), number), field);
            }
        }
        self.index_extensions(&message.extension);
        for nested in &message.nested_type {
            self.index_message(&own, nested);
        }
    }

    fn index_extensions(&mut self, extensions: &'a [FieldDescriptorProto]) {
        for field in extensions {
            self.any |= source_only(field);
            if let (Some(extendee), Ok(number)) =
                (field.extendee.as_deref(), u64::try_from(field.number.unwrap_or_default()))
            {
                self.extensions.insert((extendee, number), field);
            }
        }
    }

    fn file(&self, file: &mut FileDescriptorProto) {
        if let Some(options) = file.options.as_option_mut() {
            self.unknown("FileOptions", &mut options.__buffa_unknown_fields);
        }
        for message in &mut file.message_type {
            self.message(message);
        }
        for defined in &mut file.enum_type {
            self.enumeration(defined);
        }
        self.field_options(&mut file.extension);
        for service in &mut file.service {
            if let Some(options) = service.options.as_option_mut() {
                self.unknown("ServiceOptions", &mut options.__buffa_unknown_fields);
            }
            for method in &mut service.method {
                if let Some(options) = method.options.as_option_mut() {
                    self.unknown("MethodOptions", &mut options.__buffa_unknown_fields);
                }
            }
        }
    }

    fn message(&self, message: &mut DescriptorProto) {
        if let Some(options) = message.options.as_option_mut() {
            self.unknown("MessageOptions", &mut options.__buffa_unknown_fields);
        }
        self.field_options(&mut message.field);
        self.field_options(&mut message.extension);
        for oneof in &mut message.oneof_decl {
            if let Some(options) = oneof.options.as_option_mut() {
                self.unknown("OneofOptions", &mut options.__buffa_unknown_fields);
            }
        }
        for range in &mut message.extension_range {
            if let Some(options) = range.options.as_option_mut() {
                self.unknown("ExtensionRangeOptions", &mut options.__buffa_unknown_fields);
                // descriptor.proto marks these two so.
                options.declaration.clear();
                options.verification = None;
                if options.encoded_len() == 0 {
                    range.options = Default::default();
                }
            }
        }
        for nested in &mut message.nested_type {
            self.message(nested);
        }
        for defined in &mut message.enum_type {
            self.enumeration(defined);
        }
    }

    fn enumeration(&self, defined: &mut EnumDescriptorProto) {
        if let Some(options) = defined.options.as_option_mut() {
            self.unknown("EnumOptions", &mut options.__buffa_unknown_fields);
        }
        for value in &mut defined.value {
            if let Some(options) = value.options.as_option_mut() {
                self.unknown("EnumValueOptions", &mut options.__buffa_unknown_fields);
            }
        }
    }

    fn field_options(&self, fields: &mut [FieldDescriptorProto]) {
        for field in fields {
            if let Some(options) = field.options.as_option_mut() {
                self.unknown("FieldOptions", &mut options.__buffa_unknown_fields);
            }
        }
    }

    /// Custom options are the fields that the options message does not know.
    fn unknown(&self, options: &str, fields: &mut UnknownFields) {
        if self.any && !fields.is_empty() {
            *fields = self.filtered(&format!(".google.protobuf.{options}"), fields, 0);
        }
    }

    fn filtered(&self, of: &str, fields: &UnknownFields, depth: usize) -> UnknownFields {
        let mut kept = UnknownFields::default();
        for field in fields.iter() {
            let mut field = field.clone();
            if let Some(known) = self.field(of, u64::from(field.number)) {
                if source_only(known) {
                    continue;
                }
                if depth < MAX_DEPTH
                    && matches!(known.r#type, Some(Type::TYPE_MESSAGE | Type::TYPE_GROUP))
                {
                    let inner = known.type_name.as_deref().unwrap_or_default();
                    field.data = self.inside(inner, field.data, depth);
                }
            }
            kept.push(field);
        }
        kept
    }

    fn inside(&self, of: &str, data: UnknownFieldData, depth: usize) -> UnknownFieldData {
        match data {
            UnknownFieldData::Group(fields) => {
                UnknownFieldData::Group(self.filtered(of, &fields, depth + 1))
            }
            UnknownFieldData::LengthDelimited(encoded) => {
                match UnknownFields::decode_from_slice(&encoded) {
                    Ok(fields) => {
                        let mut out = Vec::new();
                        self.filtered(of, &fields, depth + 1).write_to(&mut out);
                        UnknownFieldData::LengthDelimited(out)
                    }
                    Err(_) => UnknownFieldData::LengthDelimited(encoded),
                }
            }
            other => other,
        }
    }

    fn field(&self, of: &str, number: u64) -> Option<&'a FieldDescriptorProto> {
        self.extensions
            .get(&(of, number))
            .or_else(|| self.fields.get(&(of.to_owned(), number)))
            .copied()
    }
}

fn source_only(field: &FieldDescriptorProto) -> bool {
    field.options.retention == Some(OptionRetention::RETENTION_SOURCE)
}

/// As deep as messages may be decoded at all.
const MAX_DEPTH: usize = 100;
