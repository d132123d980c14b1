//! Files to the bytes of `FileDescriptorProto`, field by field in the order of their numbers, as
//! protoc writes them.

use std::collections::HashSet;

use crate::ast::{
    Edition, Enum, EnumValue, Field, File, Label, Message, Method, Oneof, Options, Range, Service,
};
use crate::check::json_name;
use crate::source_info::Location;
use crate::strip::Stripped;
use crate::wire::{self, put_bytes, put_int32, put_message, put_varint};

/// What goes into a descriptor.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct EncodeOptions {
    /// Comments and places.
    pub source_info: bool,
    /// `json_name` of every field, also where it follows from the field's name.
    pub json_names: bool,
    /// Options that are for sources only, which are left out otherwise.
    pub retain_options: bool,
    /// Put a replacement character where comments and strings are not UTF-8, for readers that do
    /// not take them otherwise.
    pub only_utf8: bool,
}

/// Writes a file; `stripped` has the options to write in place of the file's own.
pub(crate) fn encode(file: &File, stripped: &Stripped, options: EncodeOptions) -> Vec<u8> {
    let mut writer = Writer { out: Vec::new(), stripped, path: Vec::new(), options };
    writer.file(file);
    writer.out
}

struct Writer<'a> {
    out: Vec<u8>,
    stripped: &'a Stripped,
    path: Vec<i32>,
    options: EncodeOptions,
}

impl Writer<'_> {
    fn file(&mut self, file: &File) {
        self.text(1, &file.name);
        if !file.package.is_empty() {
            self.text(2, &file.package);
        }
        file.dependency.iter().for_each(|name| self.text(3, name));
        self.each(4, &file.messages, Self::message);
        self.each(5, &file.enums, Self::enumeration);
        self.each(6, &file.services, Self::service);
        self.each(7, &file.extensions, Self::field);
        self.options_field(8, &file.options);
        if self.options.source_info && file.has_source_info {
            self.source_info(file);
        }
        file.public_dependency.iter().for_each(|at| put_int32(&mut self.out, 10, *at));
        file.weak_dependency.iter().for_each(|at| put_int32(&mut self.out, 11, *at));
        match file.edition {
            Edition::PROTO2 => {}
            Edition::PROTO3 => self.text(12, "proto3"),
            edition => {
                self.text(12, "editions");
                put_int32(&mut self.out, 14, edition.0);
            }
        }
        file.option_dependency.iter().for_each(|name| self.text(15, name));
    }

    fn message(&mut self, message: &Message) {
        self.text(1, &message.name);
        self.each(2, &message.fields, Self::field);
        self.each(3, &message.nested, Self::message);
        self.each(4, &message.enums, Self::enumeration);
        self.each(5, &message.extension_ranges, |writer, range| {
            writer.range(&range.range);
            writer.options_field(3, &range.options);
        });
        self.each(6, &message.extensions, Self::field);
        self.options_field(7, &message.options);
        self.each(8, &message.oneofs, Self::oneof);
        self.each(9, &message.reserved_ranges, Self::range);
        message.reserved_names.iter().for_each(|name| self.bytes(10, name));
        if message.visibility.number() != 0 {
            put_int32(&mut self.out, 11, message.visibility.number());
        }
    }

    fn range(&mut self, range: &Range) {
        put_int32(&mut self.out, 1, range.start);
        put_int32(&mut self.out, 2, range.end);
    }

    fn field(&mut self, field: &Field) {
        self.text(1, &field.name);
        if let Some(extendee) = &field.extendee {
            self.text(2, extendee);
        }
        put_int32(&mut self.out, 3, field.number);
        let label = match field.label {
            Label::None | Label::Optional => 1,
            Label::Required => 2,
            Label::Repeated => 3,
        };
        put_int32(&mut self.out, 4, label);
        if let Some(field_type) = field.field_type {
            put_int32(&mut self.out, 5, field_type as i32);
        }
        if let Some(type_name) = &field.type_name {
            self.text(6, type_name);
        }
        if let Some(default) = &field.default {
            self.bytes(7, default);
        }
        self.options_field(8, &field.options);
        if let Some(oneof) = field.oneof {
            put_int32(&mut self.out, 9, i32::try_from(oneof).unwrap_or_default());
        }
        match &field.json_name {
            Some(name) => self.bytes(10, name),
            None if self.options.json_names => self.text(10, &json_name(&field.name)),
            None => {}
        }
        if field.proto3_optional {
            put_int32(&mut self.out, 17, 1);
        }
    }

    fn oneof(&mut self, oneof: &Oneof) {
        self.text(1, &oneof.name);
        self.options_field(2, &oneof.options);
    }

    fn enumeration(&mut self, defined: &Enum) {
        self.text(1, &defined.name);
        self.each(2, &defined.values, Self::value);
        self.options_field(3, &defined.options);
        self.each(4, &defined.reserved_ranges, Self::range);
        defined.reserved_names.iter().for_each(|name| self.bytes(5, name));
        if defined.visibility.number() != 0 {
            put_int32(&mut self.out, 6, defined.visibility.number());
        }
    }

    fn value(&mut self, value: &EnumValue) {
        self.text(1, &value.name);
        put_int32(&mut self.out, 2, value.number);
        self.options_field(3, &value.options);
    }

    fn service(&mut self, service: &Service) {
        self.text(1, &service.name);
        self.each(2, &service.methods, Self::method);
        self.options_field(3, &service.options);
    }

    fn method(&mut self, method: &Method) {
        self.text(1, &method.name);
        self.text(2, &method.input);
        self.text(3, &method.output);
        self.options_field(4, &method.options);
        if method.client_streaming {
            put_int32(&mut self.out, 5, 1);
        }
        if method.server_streaming {
            put_int32(&mut self.out, 6, 1);
        }
    }

    fn text(&mut self, number: u32, text: &str) {
        put_bytes(&mut self.out, number, text.as_bytes());
    }

    fn bytes(&mut self, number: u32, bytes: &[u8]) {
        put_text(&mut self.out, number, bytes, self.options.only_utf8);
    }

    /// The elements of a list, each as a message; the path follows.
    fn each<T>(&mut self, number: u32, list: &[T], write: impl Fn(&mut Self, &T)) {
        for (at, element) in list.iter().enumerate() {
            let length = self.path.len();
            self.path.extend([number as i32, i32::try_from(at).unwrap_or_default()]);
            let mut out = std::mem::take(&mut self.out);
            put_message(&mut out, number, |out| {
                std::mem::swap(&mut self.out, out);
                write(self, element);
                std::mem::swap(&mut self.out, out);
            });
            self.out = out;
            self.path.truncate(length);
        }
    }

    fn options_field(&mut self, number: u32, options: &Option<Box<Options>>) {
        let Some(options) = options else { return };
        let own = [&self.path[..], &[number as i32]].concat();
        let records = match self.stripped.options.get(&own) {
            Some(Some(records)) => records,
            Some(None) => return,
            None => &options.records,
        };
        put_message(&mut self.out, number, |out| wire::encode_to(records, out));
    }

    fn source_info(&mut self, file: &File) {
        let locations = &file.locations;
        let stripped: &HashSet<Vec<i32>> = &self.stripped.paths;
        let only_utf8 = self.options.only_utf8;
        put_message(&mut self.out, 9, |out| {
            for location in &locations.list {
                let path = locations.path(location);
                let gone = !stripped.is_empty()
                    && (1..=path.len()).any(|length| stripped.contains(&path[..length]));
                if !gone {
                    put_message(out, 1, |out| write_location(path, location, only_utf8, out));
                }
            }
        });
    }
}

fn write_location(path: &[i32], location: &Location, only_utf8: bool, out: &mut Vec<u8>) {
    if !path.is_empty() {
        put_message(out, 1, |out| {
            path.iter().for_each(|part| put_varint(out, wire::sign_extended(*part)));
        });
    }
    let (line, column) = location.start;
    let (end_line, end_column) = location.end.unwrap_or(location.start);
    put_message(out, 2, |out| {
        put_varint(out, u64::from(line));
        put_varint(out, u64::from(column));
        if end_line != line {
            put_varint(out, u64::from(end_line));
        }
        put_varint(out, u64::from(end_column));
    });
    let Some(comments) = &location.comments else { return };
    if !comments.leading.is_empty() {
        put_text(out, 3, &comments.leading, only_utf8);
    }
    if !comments.trailing.is_empty() {
        put_text(out, 4, &comments.trailing, only_utf8);
    }
    comments.detached.iter().for_each(|comment| put_text(out, 6, comment, only_utf8));
}

fn put_text(out: &mut Vec<u8>, number: u32, text: &[u8], only_utf8: bool) {
    match only_utf8 {
        true => put_bytes(out, number, String::from_utf8_lossy(text).as_bytes()),
        false => put_bytes(out, number, text),
    }
}
