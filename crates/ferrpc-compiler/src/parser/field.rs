//! Fields: labels, types, maps, groups, defaults.

use super::file::index;
use super::{Parsed, Parser};
use crate::ast::{Edition, Field, Label, Message, Options, Type};
use crate::lexer::Token;
use crate::literal;
use crate::source_info::At;
use crate::wire::{Record, Value};

/// A type as it is written.
enum Written {
    Scalar(Type),
    Named(String),
}

/// The types of a map's entries.
struct Map {
    key: Written,
    value: Written,
}

impl Parser<'_> {
    pub(super) fn field(
        &mut self,
        field: &mut Field,
        messages: &mut Vec<Message>,
        parent: At,
        nested_number: i32,
        at: At,
        own: Option<usize>,
    ) -> Parsed {
        if self.looking_at_label() {
            self.label(field, at);
        }
        self.field_without_label(field, messages, parent, nested_number, at, own)
    }

    fn label(&mut self, field: &mut Field, at: At) {
        if self.is_editions() {
            if self.looking_at("optional") {
                self.fault(
                    "Label \"optional\" is not supported in editions. By default, all singular \
                     fields have presence unless features.field_presence is set.",
                );
            } else if self.looking_at("required") {
                self.fault(
                    "Label \"required\" is not supported in editions, use \
                     features.field_presence = LEGACY_REQUIRED.",
                );
            }
        }
        let location = self.open(at, &[4]);
        field.label = match self.token().text {
            b"optional" => Label::Optional,
            b"repeated" => Label::Repeated,
            _ => Label::Required,
        };
        self.lexer.next();
        self.close(location);
        field.proto3_optional = field.label == Label::Optional && self.is_proto3();
    }

    /// `nested_number` is the field of the parent that holds nested messages, for groups; `own`
    /// is the index of the field in its message.
    pub(super) fn field_without_label(
        &mut self,
        field: &mut Field,
        messages: &mut Vec<Message>,
        parent: At,
        nested_number: i32,
        at: At,
        own: Option<usize>,
    ) -> Parsed {
        let map = self.field_type(field, at)?;
        let name = self.token();
        let name_at = self.open(at, &[1]);
        field.name = self.identifier("Expected field name.")?;
        self.close(name_at);
        self.consume_or("=", "Missing field number.")?;
        let number_at = self.open(at, &[3]);
        field.number = self.integer("Expected field number.")?;
        self.close(number_at);
        if self.looking_at("[") {
            self.field_options(field, at)?;
        }
        if field.field_type == Some(Type::Group) {
            return self.group(field, messages, parent, nested_number, at, name);
        }
        self.end_of_declaration(";", at)?;
        if let Some(map) = map {
            map_entry(field, map, messages, own);
        }
        Ok(())
    }

    fn field_type(&mut self, field: &mut Field, at: At) -> Parsed<Option<Map>> {
        let location = self.open(at, &[]);
        let mut written = None;
        if self.try_consume("map") {
            if self.looking_at("<") {
                let map = self.map_type(field)?;
                self.file.locations.extend(location, 6);
                self.close(location);
                return Ok(Some(map));
            }
            written = Some(Written::Named("map".to_owned()));
        }
        if field.label == Label::None {
            if !self.is_editions() && !self.is_proto3() {
                self.fault("Expected \"required\", \"optional\", or \"repeated\".");
            }
            field.label = Label::Optional;
        }
        let written = match written {
            Some(written) => written,
            None => self.written_type()?,
        };
        let number = match written {
            Written::Scalar(scalar) => {
                field.field_type = Some(scalar);
                5
            }
            Written::Named(name) => {
                field.type_name = Some(name);
                6
            }
        };
        self.file.locations.extend(location, number);
        self.close(location);
        Ok(None)
    }

    fn map_type(&mut self, field: &mut Field) -> Parsed<Map> {
        if field.oneof.is_some() {
            return self.fail("Map fields are not allowed in oneofs.");
        }
        if field.label != Label::None {
            return self
                .fail("Field labels (required/optional/repeated) are not allowed on map fields.");
        }
        if field.extendee.is_some() {
            return self.fail("Map fields are not allowed to be extensions.");
        }
        field.label = Label::Repeated;
        self.consume("<")?;
        let key = self.written_type()?;
        self.consume(",")?;
        let value = self.written_type()?;
        self.consume(">")?;
        Ok(Map { key, value })
    }

    fn written_type(&mut self) -> Parsed<Written> {
        let text = self.token().text;
        let found = match self.file.edition {
            Edition::UNSTABLE => match unstable_scalar(text) {
                Ok(found) => found,
                Err(instead) => {
                    let shown = String::from_utf8_lossy(text).into_owned();
                    self.fault(&format!(
                        "Type '{shown}' is obsolete in unstable editions, use '{instead}' instead."
                    ));
                    Some(Type::Int32)
                }
            },
            _ => scalar(text),
        };
        let Some(found) = found else { return Ok(Written::Named(self.type_name()?)) };
        if found == Type::Group && self.is_editions() {
            self.fault(
                "Group syntax is no longer supported in editions. To get group behavior you can \
                 specify features.message_encoding = DELIMITED on a message field.",
            );
        }
        self.lexer.next();
        Ok(Written::Scalar(found))
    }

    /// A group is a field and a message in one.
    fn group(
        &mut self,
        field: &mut Field,
        messages: &mut Vec<Message>,
        parent: At,
        nested_number: i32,
        at: At,
        name: Token<'_>,
    ) -> Parsed {
        let location = self.open(parent, &[nested_number, index(messages)]);
        let start = self.file.locations.get_mut(at).start;
        self.file.locations.get_mut(location).start = start;
        let mut group = Message { name: field.name.clone(), ..Message::default() };
        self.mark(location, &[1], name);
        self.mark(at, &[6], name);
        if !group.name.starts_with(|first: char| first.is_ascii_uppercase()) {
            self.lexer
                .fault((name.line, name.column), "Group names must start with a capital letter.");
        }
        field.name.make_ascii_lowercase();
        field.type_name = Some(group.name.clone());
        let result = match self.looking_at("{") {
            true => self.nested(|parser| parser.message_block(&mut group, location)),
            false => self.fail("Missing group body."),
        };
        messages.push(group);
        self.close(location);
        result
    }

    fn field_options(&mut self, field: &mut Field, at: At) -> Parsed {
        let location = self.open(at, &[8]);
        self.consume("[")?;
        loop {
            if self.looking_at("default") {
                self.default(field, at)?;
            } else if self.looking_at("json_name") {
                self.json_name(field, at)?;
            } else {
                self.option_assignment(&mut field.options, location)?;
            }
            if !self.try_consume(",") {
                break;
            }
        }
        self.consume("]")?;
        self.close(location);
        Ok(())
    }

    fn json_name(&mut self, field: &mut Field, at: At) -> Parsed {
        if field.json_name.take().is_some() {
            self.fault("Already set option \"json_name\".");
        }
        let location = self.open(at, &[10]);
        self.consume("json_name")?;
        self.consume("=")?;
        let value = self.open(location, &[]);
        field.json_name = Some(self.string("Expected string for JSON name.")?);
        self.close(value);
        self.close(location);
        Ok(())
    }

    fn default(&mut self, field: &mut Field, at: At) -> Parsed {
        if field.default.take().is_some() {
            self.fault("Already set option \"default\".");
        }
        self.consume("default")?;
        self.consume("=")?;
        let location = self.open(at, &[7]);
        field.default = Some(match field.field_type {
            // Whether the type is an enum is known later.
            None => self.any_token(),
            Some(scalar) => self.default_value(scalar)?,
        });
        self.close(location);
        Ok(())
    }

    fn default_value(&mut self, scalar: Type) -> Parsed<Vec<u8>> {
        const EXPECTED: &str = "Expected integer for field default value.";
        Ok(match scalar {
            Type::Int32 | Type::Sint32 | Type::Sfixed32 => self.signed_default(0x7fff_ffff)?,
            Type::Int64 | Type::Sint64 | Type::Sfixed64 => {
                self.signed_default(i64::MAX.cast_unsigned())?
            }
            Type::Uint32 | Type::Fixed32 | Type::Uint64 | Type::Fixed64 => {
                let max = match scalar {
                    Type::Uint32 | Type::Fixed32 => u64::from(u32::MAX),
                    _ => u64::MAX,
                };
                if self.try_consume("-") {
                    self.fault("Unsigned field can't have negative default value.");
                }
                self.integer_up_to(max, EXPECTED)?.to_string().into_bytes()
            }
            Type::Float | Type::Double => {
                let sign = if self.try_consume("-") { "-" } else { "" };
                let value = self.number("Expected number.")?;
                let value = if sign.is_empty() { value } else { -value };
                let text = match scalar {
                    Type::Float => literal::single_text(literal::to_single(value)),
                    _ => literal::double_text(value),
                };
                text.into_bytes()
            }
            Type::Bool => {
                if !self.looking_at("true") && !self.looking_at("false") {
                    return self.fail("Expected \"true\" or \"false\".");
                }
                self.any_token()
            }
            Type::String => self.string("Expected string for field default value.")?,
            Type::Bytes => literal::c_escape(&self.string("Expected string.")?),
            Type::Enum => {
                self.identifier("Expected enum identifier for field default value.")?.into_bytes()
            }
            Type::Message | Type::Group => {
                return self.fail("Messages can't have default values.");
            }
        })
    }

    fn signed_default(&mut self, max: u64) -> Parsed<Vec<u8>> {
        let negative = self.try_consume("-");
        let value = self.integer_up_to(
            max + u64::from(negative),
            "Expected integer for field default value.",
        )?;
        let sign = if negative && value != 0 { "-" } else { "" };
        Ok(format!("{sign}{value}").into_bytes())
    }
}

/// The message that a map's entries are.
fn map_entry(field: &mut Field, map: Map, messages: &mut Vec<Message>, own: Option<usize>) {
    let name = entry_name(&field.name);
    field.type_name = Some(name.clone());
    let mut entry = Message { name, map_field: own, ..Message::default() };
    let records = vec![Record::new(MAP_ENTRY, Value::Varint(1))];
    entry.options = Some(Box::new(Options { uninterpreted: Vec::new(), records }));
    for (number, (name, written)) in
        [("key", map.key), ("value", map.value)].into_iter().enumerate()
    {
        let mut part = Field {
            name: name.to_owned(),
            number: index(&entry.fields) + 1,
            label: Label::Optional,
            ..Field::default()
        };
        debug_assert_eq!(number, entry.fields.len());
        match written {
            Written::Scalar(scalar) => part.field_type = Some(scalar),
            Written::Named(name) => part.type_name = Some(name),
        }
        part.options = inherited(field, part.field_type);
        entry.fields.push(part);
    }
    messages.push(entry);
}

/// Features of a map are those of its keys and values too.
fn inherited(field: &Field, scalar: Option<Type>) -> Option<Box<Options>> {
    let options = field.options.as_ref()?;
    let mut own = options.uninterpreted.clone();
    own.retain(|option| match option.name.first() {
        Some(first) if !first.is_extension => {
            first.text == "features"
                || first.text == "enforce_utf8"
                    && option.name.len() == 1
                    && scalar == Some(Type::String)
        }
        _ => false,
    });
    let options = Options { uninterpreted: own, records: Vec::new() };
    (!options.uninterpreted.is_empty()).then(|| Box::new(options))
}

/// `foo_bar` to `FooBarEntry`.
pub(crate) fn entry_name(field: &str) -> String {
    let mut name = String::with_capacity(field.len() + 5);
    let mut capital = true;
    for character in field.chars() {
        if character == '_' {
            capital = true;
            continue;
        }
        name.push(if capital { character.to_ascii_uppercase() } else { character });
        capital = false;
    }
    name.push_str("Entry");
    name
}

/// The type that a word stands for.
pub(super) fn scalar(text: &[u8]) -> Option<Type> {
    Some(match text {
        b"double" => Type::Double,
        b"float" => Type::Float,
        b"int64" => Type::Int64,
        b"uint64" => Type::Uint64,
        b"int32" => Type::Int32,
        b"fixed64" => Type::Fixed64,
        b"fixed32" => Type::Fixed32,
        b"bool" => Type::Bool,
        b"string" => Type::String,
        b"group" => Type::Group,
        b"bytes" => Type::Bytes,
        b"uint32" => Type::Uint32,
        b"sfixed32" => Type::Sfixed32,
        b"sfixed64" => Type::Sfixed64,
        b"sint32" => Type::Sint32,
        b"sint64" => Type::Sint64,
        _ => return None,
    })
}

/// In the unstable edition integers are of fixed length unless they say otherwise; the error is
/// the word to use instead.
fn unstable_scalar(text: &[u8]) -> Result<Option<Type>, &'static str> {
    Ok(Some(match text {
        b"uint64" => Type::Fixed64,
        b"uint32" => Type::Fixed32,
        b"int32" => Type::Sfixed32,
        b"int64" => Type::Sfixed64,
        b"varint32" => Type::Int32,
        b"varint64" => Type::Int64,
        b"uvarint32" => Type::Uint32,
        b"uvarint64" => Type::Uint64,
        b"zigzag32" => Type::Sint32,
        b"zigzag64" => Type::Sint64,
        b"fixed32" => return Err("uint32"),
        b"fixed64" => return Err("uint64"),
        b"sfixed32" => return Err("int32"),
        b"sfixed64" => return Err("int64"),
        b"sint32" => return Err("zigzag32"),
        b"sint64" => return Err("zigzag64"),
        _ => return Ok(scalar(text)),
    }))
}

/// `MessageOptions.map_entry`.
pub(crate) const MAP_ENTRY: u32 = 7;
