//! All places of a file that can have options.

use crate::ast::{Enum, Field, File, Message, Options};
use crate::link::position;

/// Whose options they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    File,
    Message,
    Field,
    Oneof,
    Range,
    Enum,
    Value,
    Service,
    Method,
}

impl Owner {
    /// The full name of the options message.
    pub(crate) fn type_name(self) -> &'static str {
        match self {
            Self::File => "google.protobuf.FileOptions",
            Self::Message => "google.protobuf.MessageOptions",
            Self::Field => "google.protobuf.FieldOptions",
            Self::Oneof => "google.protobuf.OneofOptions",
            Self::Range => "google.protobuf.ExtensionRangeOptions",
            Self::Enum => "google.protobuf.EnumOptions",
            Self::Value => "google.protobuf.EnumValueOptions",
            Self::Service => "google.protobuf.ServiceOptions",
            Self::Method => "google.protobuf.MethodOptions",
        }
    }

    /// The number of `features` in the options message.
    pub(crate) fn features_number(self) -> u32 {
        match self {
            Self::File | Self::Range => 50,
            Self::Message => 12,
            Self::Field => 21,
            Self::Oneof => 1,
            Self::Enum => 7,
            Self::Value => 2,
            Self::Service => 34,
            Self::Method => 35,
        }
    }
}

/// An element that has options.
pub(crate) struct Element<'a> {
    pub(crate) owner: Owner,
    pub(crate) options: &'a mut Option<Box<Options>>,
    /// The path of the options.
    pub(crate) path: &'a [i32],
    /// The full name of the element, which names in options are relative to.
    pub(crate) scope: &'a str,
}

/// Calls `visitor` for each element with options: children before their file, in the order in
/// which protoc reports faults.
pub(crate) fn visit(file: &mut File, visitor: &mut dyn FnMut(Element<'_>)) {
    let mut walk = Walk { path: Vec::new(), scope: file.package.clone(), visitor };
    for (at, message) in file.messages.iter_mut().enumerate() {
        walk.below(&[4, position(at)], |walk| walk.message(message));
    }
    for (at, defined) in file.enums.iter_mut().enumerate() {
        walk.below(&[5, position(at)], |walk| walk.enumeration(defined));
    }
    for (at, service) in file.services.iter_mut().enumerate() {
        walk.below(&[6, position(at)], |walk| {
            walk.named(&service.name, |walk| {
                for (at, method) in service.methods.iter_mut().enumerate() {
                    walk.below(&[2, position(at)], |walk| {
                        walk.element(Owner::Method, 4, &method.name, &mut method.options);
                    });
                }
            });
            walk.element(Owner::Service, 3, &service.name, &mut service.options);
        });
    }
    for (at, field) in file.extensions.iter_mut().enumerate() {
        walk.below(&[7, position(at)], |walk| walk.field(field));
    }
    if file.options.is_some() {
        walk.scope = format!("{}.dummy", file.package);
        walk.element(Owner::File, 8, "", &mut file.options);
    }
}

struct Walk<'v> {
    path: Vec<i32>,
    scope: String,
    visitor: &'v mut dyn FnMut(Element<'_>),
}

impl Walk<'_> {
    fn below(&mut self, path: &[i32], step: impl FnOnce(&mut Self)) {
        let length = self.path.len();
        self.path.extend_from_slice(path);
        step(self);
        self.path.truncate(length);
    }

    fn named(&mut self, name: &str, step: impl FnOnce(&mut Self)) {
        let length = self.scope.len();
        if !name.is_empty() {
            if length > 0 {
                self.scope.push('.');
            }
            self.scope.push_str(name);
        }
        step(self);
        self.scope.truncate(length);
    }

    fn element(
        &mut self,
        owner: Owner,
        number: i32,
        name: &str,
        options: &mut Option<Box<Options>>,
    ) {
        if options.is_none() {
            return;
        }
        self.below(&[number], |walk| {
            walk.named(name, |walk| {
                let Walk { path, scope, visitor } = walk;
                visitor(Element { owner, options, path, scope });
            });
        });
    }

    fn message(&mut self, message: &mut Message) {
        let name = message.name.clone();
        self.named(&name, |walk| {
            for (at, oneof) in message.oneofs.iter_mut().enumerate() {
                walk.below(&[8, position(at)], |walk| {
                    walk.element(Owner::Oneof, 2, &oneof.name, &mut oneof.options);
                });
            }
            for (at, field) in message.fields.iter_mut().enumerate() {
                walk.below(&[2, position(at)], |walk| walk.field(field));
            }
            for (at, defined) in message.enums.iter_mut().enumerate() {
                walk.below(&[4, position(at)], |walk| walk.enumeration(defined));
            }
            for (at, range) in message.extension_ranges.iter_mut().enumerate() {
                walk.below(&[5, position(at)], |walk| {
                    walk.element(Owner::Range, 3, "", &mut range.options);
                });
            }
            for (at, field) in message.extensions.iter_mut().enumerate() {
                walk.below(&[6, position(at)], |walk| walk.field(field));
            }
        });
        self.element(Owner::Message, 7, &name, &mut message.options);
        self.named(&name, |walk| {
            for (at, nested) in message.nested.iter_mut().enumerate() {
                walk.below(&[3, position(at)], |walk| walk.message(nested));
            }
        });
    }

    fn field(&mut self, field: &mut Field) {
        self.element(Owner::Field, 8, &field.name, &mut field.options);
    }

    /// Values are siblings of their enum.
    fn enumeration(&mut self, defined: &mut Enum) {
        for (at, value) in defined.values.iter_mut().enumerate() {
            self.below(&[2, position(at)], |walk| {
                walk.element(Owner::Value, 3, &value.name, &mut value.options);
            });
        }
        self.element(Owner::Enum, 3, &defined.name, &mut defined.options);
    }
}

impl File {
    /// Whether any option is left to interpret.
    pub(crate) fn has_uninterpreted(&mut self) -> bool {
        let mut found = false;
        visit(self, &mut |element| {
            found |= element.options.as_ref().is_some_and(|it| !it.uninterpreted.is_empty());
        });
        found
    }
}

/// Calls `visitor` for all options with their paths, in no order that matters.
pub(crate) fn read(file: &File, visitor: &mut dyn FnMut(Owner, &Options, &[i32])) {
    let mut reader = Reader { path: Vec::new(), visitor };
    reader.each(4, &file.messages, Reader::message);
    reader.each(5, &file.enums, Reader::enumeration);
    reader.each(6, &file.services, |reader, service| {
        reader.each(2, &service.methods, |reader, method| {
            reader.options(Owner::Method, 4, &method.options);
        });
        reader.options(Owner::Service, 3, &service.options);
    });
    reader.each(7, &file.extensions, Reader::field);
    reader.options(Owner::File, 8, &file.options);
}

struct Reader<'v> {
    path: Vec<i32>,
    visitor: &'v mut dyn FnMut(Owner, &Options, &[i32]),
}

impl Reader<'_> {
    fn each<T>(&mut self, number: i32, list: &[T], visit: impl Fn(&mut Self, &T)) {
        for (at, element) in list.iter().enumerate() {
            let length = self.path.len();
            self.path.extend([number, position(at)]);
            visit(self, element);
            self.path.truncate(length);
        }
    }

    fn options(&mut self, owner: Owner, number: i32, options: &Option<Box<Options>>) {
        let Some(options) = options else { return };
        self.path.push(number);
        (self.visitor)(owner, options, &self.path);
        self.path.pop();
    }

    fn message(&mut self, message: &Message) {
        self.each(2, &message.fields, Self::field);
        self.each(3, &message.nested, Self::message);
        self.each(4, &message.enums, Self::enumeration);
        self.each(5, &message.extension_ranges, |reader, range| {
            reader.options(Owner::Range, 3, &range.options);
        });
        self.each(6, &message.extensions, Self::field);
        self.options(Owner::Message, 7, &message.options);
        self.each(8, &message.oneofs, |reader, oneof| {
            reader.options(Owner::Oneof, 2, &oneof.options);
        });
    }

    fn field(&mut self, field: &Field) {
        self.options(Owner::Field, 8, &field.options);
    }

    fn enumeration(&mut self, defined: &Enum) {
        self.each(2, &defined.values, |reader, value| {
            reader.options(Owner::Value, 3, &value.options);
        });
        self.options(Owner::Enum, 3, &defined.options);
    }
}
