//! Imports that nothing of the file uses.

use std::collections::{HashMap, HashSet};

use buffa::Message;
use buffa::unknown_fields::UnknownFields;
use buffa_codegen::generated::descriptor::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto,
};

use super::compile::Compiled;
use super::report::Place;
use crate::descriptor::name;
use crate::python::Index;

/// For each unused import of an input: the input, where it says so, and the import.
pub(super) fn imports(compiled: &Compiled) -> Vec<(String, Option<Place>, String)> {
    let index = Index::new(&compiled.files);
    let extensions = Extensions::of(&compiled.files);
    let mut out = Vec::new();
    for file in compiled.input_files() {
        // Only what was parsed here has places; a set was warned of when it was made.
        if !file.source_code_info.is_set() {
            continue;
        }
        let mut used = Used {
            index: &index,
            extensions: &extensions,
            files: HashSet::new(),
            any_option: false,
        };
        used.file(file);
        for (at, import) in file.dependency.iter().enumerate() {
            let at = i32::try_from(at).unwrap_or(i32::MAX);
            let brings = index.file(import).map(|file| index.public_closure(file));
            let mut all = std::iter::once(import.as_str()).chain(brings.into_iter().flatten());
            let options = import == DESCRIPTOR && used.any_option;
            if file.public_dependency.contains(&at)
                || options
                || all.any(|it| used.files.contains(it))
            {
                continue;
            }
            out.push((name(file).to_owned(), place(file, at), import.clone()));
        }
    }
    out
}

fn place(file: &FileDescriptorProto, at: i32) -> Option<Place> {
    let locations = &file.source_code_info.location;
    let span = &locations.iter().find(|it| it.path == [FILE_DEPENDENCY, at])?.span;
    let number = |at: usize| usize::try_from(*span.get(at)?).ok()?.checked_add(1);
    Some(Place { line: number(0)?, column: number(1)? })
}

/// The file that defines each extension, by extendee and number.
struct Extensions<'a> {
    by_number: HashMap<(&'a str, u32), &'a str>,
}

impl<'a> Extensions<'a> {
    fn of(files: &'a [FileDescriptorProto]) -> Self {
        let mut extensions = Self { by_number: HashMap::new() };
        for file in files {
            extensions.fields(&file.extension, name(file));
            for message in &file.message_type {
                extensions.message(message, name(file));
            }
        }
        extensions
    }

    fn message(&mut self, message: &'a DescriptorProto, file: &'a str) {
        self.fields(&message.extension, file);
        for nested in &message.nested_type {
            self.message(nested, file);
        }
    }

    fn fields(&mut self, fields: &'a [FieldDescriptorProto], file: &'a str) {
        for field in fields {
            let number = field.number.and_then(|number| u32::try_from(number).ok());
            if let (Some(extendee), Some(number)) = (field.extendee.as_deref(), number) {
                self.by_number.insert((extendee, number), file);
            }
        }
    }
}

/// The files whose types or options a file uses.
struct Used<'a> {
    index: &'a Index<'a>,
    extensions: &'a Extensions<'a>,
    files: HashSet<&'a str>,
    /// Whether the file sets an option of any kind, which the descriptors' own file defines.
    any_option: bool,
}

impl Used<'_> {
    fn file(&mut self, file: &FileDescriptorProto) {
        let options = &*file.options;
        self.options(".google.protobuf.FileOptions", options, &options.__buffa_unknown_fields);
        self.fields(&file.extension);
        for message in &file.message_type {
            self.message(message);
        }
        for defined in &file.enum_type {
            self.enumeration(defined);
        }
        for service in &file.service {
            let options = &*service.options;
            self.options(
                ".google.protobuf.ServiceOptions",
                options,
                &options.__buffa_unknown_fields,
            );
            for method in &service.method {
                self.defined(method.input_type.as_deref());
                self.defined(method.output_type.as_deref());
                let options = &*method.options;
                self.options(
                    ".google.protobuf.MethodOptions",
                    options,
                    &options.__buffa_unknown_fields,
                );
            }
        }
    }

    fn message(&mut self, message: &DescriptorProto) {
        if message.options.map_entry.unwrap_or(false) {
            // Made by the compiler, with an option that nobody wrote.
            self.fields(&message.field);
            return;
        }
        let options = &*message.options;
        self.options(".google.protobuf.MessageOptions", options, &options.__buffa_unknown_fields);
        self.fields(&message.field);
        self.fields(&message.extension);
        for oneof in &message.oneof_decl {
            let options = &*oneof.options;
            self.options(".google.protobuf.OneofOptions", options, &options.__buffa_unknown_fields);
        }
        for range in &message.extension_range {
            let options = &*range.options;
            let unknown = &options.__buffa_unknown_fields;
            self.options(".google.protobuf.ExtensionRangeOptions", options, unknown);
        }
        for nested in &message.nested_type {
            self.message(nested);
        }
        for defined in &message.enum_type {
            self.enumeration(defined);
        }
    }

    fn enumeration(&mut self, defined: &EnumDescriptorProto) {
        let options = &*defined.options;
        self.options(".google.protobuf.EnumOptions", options, &options.__buffa_unknown_fields);
        for value in &defined.value {
            let options = &*value.options;
            let unknown = &options.__buffa_unknown_fields;
            self.options(".google.protobuf.EnumValueOptions", options, unknown);
        }
    }

    fn fields(&mut self, fields: &[FieldDescriptorProto]) {
        for field in fields {
            self.defined(field.type_name.as_deref());
            self.defined(field.extendee.as_deref());
            let options = &*field.options;
            self.options(".google.protobuf.FieldOptions", options, &options.__buffa_unknown_fields);
        }
    }

    fn defined(&mut self, type_name: Option<&str>) {
        if let Some(defined) = type_name.and_then(|name| self.index.defined(name)) {
            self.files.insert(name(defined.file));
        }
    }

    /// Options of a type, and those among them that extensions define.
    fn options(&mut self, of: &str, options: &impl Message, fields: &UnknownFields) {
        self.any_option |= !options.encode_to_vec().is_empty();
        for field in fields.iter() {
            if let Some(file) = self.extensions.by_number.get(&(of, field.number)) {
                self.files.insert(file);
            }
        }
    }
}

/// The file that defines all options.
const DESCRIPTOR: &str = "google/protobuf/descriptor.proto";
/// `FileDescriptorProto.dependency`.
const FILE_DEPENDENCY: i32 = 3;
