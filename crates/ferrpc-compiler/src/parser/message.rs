//! Messages, oneofs and `extend` blocks.

use std::collections::HashSet;

use super::file::index;
use super::{MAX_NESTING, Parsed, Parser};
use crate::ast::{Enum, Field, Label, Message, Oneof, OptionValue, Options};
use crate::lexer::Kind;
use crate::source_info::At;

impl Parser<'_> {
    pub(super) fn message(&mut self, message: &mut Message, at: At) -> Parsed {
        self.nested(|parser| {
            parser.consume("message")?;
            let name = parser.open(at, &[1]);
            message.name = parser.identifier("Expected message name.")?;
            parser.close(name);
            parser.message_block(message, at)
        })?;
        if self.is_proto3() {
            synthetic_oneofs(message);
        }
        Ok(())
    }

    /// Counts how deeply messages are nested.
    pub(super) fn nested(&mut self, parse: impl FnOnce(&mut Self) -> Parsed) -> Parsed {
        if self.depth + 1 >= MAX_NESTING {
            return self.fail("Reached maximum recursion limit for nested messages.");
        }
        self.depth += 1;
        let result = parse(self);
        self.depth -= 1;
        result
    }

    pub(super) fn message_block(&mut self, message: &mut Message, at: At) -> Parsed {
        self.end_of_declaration("{", at)?;
        while !self.try_consume_end("}") {
            if self.at_end() {
                return self.fail("Reached end of input in message definition (missing '}').");
            }
            if self.message_statement(message, at).is_err() {
                self.skip_statement();
            }
        }
        set_open_ends(message);
        let by_hand = options_named(&message.options, "map_entry").next();
        if let Some(option) = by_hand {
            self.lexer.fault(
                option.name_at,
                "map_entry should not be set explicitly. Use map<KeyType, ValueType> instead.",
            );
            return Err(super::Skip);
        }
        Ok(())
    }

    fn message_statement(&mut self, message: &mut Message, at: At) -> Parsed {
        if self.try_consume_end(";") {
            return Ok(());
        }
        let visibility = self.visibility()?;
        if self.looking_at("message") {
            let location = self.open(at, &[3, index(&message.nested)]);
            let mut nested = Message { visibility, ..Message::default() };
            let result = self.message(&mut nested, location);
            message.nested.push(nested);
            self.close(location);
            result
        } else if self.looking_at("enum") {
            let location = self.open(at, &[4, index(&message.enums)]);
            let mut defined = Enum { visibility, ..Enum::default() };
            let result = self.enumeration(&mut defined, location);
            message.enums.push(defined);
            self.close(location);
            result
        } else if self.looking_at("extensions") {
            let location = self.open(at, &[5]);
            let result = self.extension_ranges(message, location);
            self.close(location);
            result
        } else if self.looking_at("reserved") {
            self.reserved_in_message(message, at)
        } else if self.looking_at("extend") {
            let location = self.open(at, &[6]);
            let result = self.extend(&mut message.extensions, &mut message.nested, at, 3, location);
            self.close(location);
            result
        } else if self.looking_at("option") {
            let location = self.open(at, &[7]);
            let result = self.option_statement(&mut message.options, location);
            self.close(location);
            result
        } else if self.looking_at("oneof") {
            let location = self.open(at, &[8, index(&message.oneofs)]);
            let result = self.oneof(message, location, at);
            self.close(location);
            result
        } else {
            let location = self.open(at, &[2, index(&message.fields)]);
            let mut field = Field::default();
            let own = Some(message.fields.len());
            let result = self.field(&mut field, &mut message.nested, at, 3, location, own);
            message.fields.push(field);
            self.close(location);
            result
        }
    }

    fn oneof(&mut self, message: &mut Message, oneof_at: At, at: At) -> Parsed {
        let own = message.oneofs.len();
        message.oneofs.push(Oneof::default());
        self.consume("oneof")?;
        let name = self.open(oneof_at, &[1]);
        message.oneofs[own].name = self.identifier("Expected oneof name.")?;
        self.close(name);
        self.end_of_declaration("{", oneof_at)?;
        loop {
            if self.at_end() {
                return self.fail("Reached end of input in oneof definition (missing '}').");
            }
            if self.looking_at("option") {
                let location = self.open(oneof_at, &[2]);
                self.option_statement(&mut message.oneofs[own].options, location)?;
                self.close(location);
            } else {
                self.oneof_field(message, own, at);
            }
            if self.try_consume_end("}") {
                return Ok(());
            }
        }
    }

    fn oneof_field(&mut self, message: &mut Message, oneof: usize, at: At) {
        if ["required", "optional", "repeated"].iter().any(|label| self.looking_at(label)) {
            self.fault("Fields in oneofs must not have labels (required / optional / repeated).");
            self.lexer.next();
        }
        let location = self.open(at, &[2, index(&message.fields)]);
        let mut field = Field { label: Label::Optional, oneof: Some(oneof), ..Field::default() };
        let own = Some(message.fields.len());
        let result =
            self.field_without_label(&mut field, &mut message.nested, at, 3, location, own);
        message.fields.push(field);
        if result.is_err() {
            self.skip_statement();
        }
        self.close(location);
    }

    /// `extend Type { ... }`: extensions, and the messages that groups in it define.
    pub(super) fn extend(
        &mut self,
        extensions: &mut Vec<Field>,
        messages: &mut Vec<Message>,
        parent: At,
        nested_number: i32,
        at: At,
    ) -> Parsed {
        self.consume("extend")?;
        let first = self.token();
        let extendee = self.type_name()?;
        let last = self.lexer.previous;
        self.end_of_declaration("{", at)?;
        loop {
            if self.at_end() {
                return self.fail("Reached end of input in extend definition (missing '}').");
            }
            let location = self.open(at, &[index(extensions)]);
            self.mark_span(location, &[2], first, last);
            let mut field = Field { extendee: Some(extendee.clone()), ..Field::default() };
            let result = self.field(&mut field, messages, parent, nested_number, location, None);
            extensions.push(field);
            if result.is_err() {
                self.skip_statement();
            }
            self.close(location);
            if self.try_consume_end("}") {
                return Ok(());
            }
        }
    }

    /// `extensions 100 to 199, 500 [...];`
    fn extension_ranges(&mut self, message: &mut Message, at: At) -> Parsed {
        self.consume("extensions")?;
        let first = message.extension_ranges.len();
        loop {
            let location = self.open(at, &[index(&message.extension_ranges)]);
            let range = self.number_range(location, "Expected field number range.");
            message.extension_ranges.push(crate::ast::ExtensionRange {
                range: range.as_ref().map_or_else(|_| Default::default(), |range| *range),
                options: None,
            });
            range?;
            self.close(location);
            if !self.try_consume(",") {
                break;
            }
        }
        if self.looking_at("[") {
            self.range_options(message, first, at)?;
        }
        self.end_of_declaration(";", at)
    }

    /// Options behind several ranges are those of each one, with their places.
    fn range_options(&mut self, message: &mut Message, first: usize, at: At) -> Parsed {
        let path = self.file.locations.path_of(at).to_vec();
        let outer = std::mem::take(&mut self.file.locations);
        let token = self.token();
        let root = self.file.locations.open(None, &path, (token.line, token.column));
        let location = self.open(root, &[0, 3]);
        let mut options = None;
        let result = self.bracketed_options(&mut options, location);
        self.close(location);
        let inner = std::mem::replace(&mut self.file.locations, outer);
        let ranges = message.extension_ranges.len() - first;
        if ranges > 1 && ranges * inner.list.len() > MAX_COPIES {
            return self.fail("Too many options for so many extension ranges in one statement.");
        }
        for (number, range) in message.extension_ranges.iter_mut().enumerate().skip(first) {
            range.options.clone_from(&options);
            for location in inner.list.iter().skip(1) {
                let mut own = inner.path(location).to_vec();
                own[path.len()] = i32::try_from(number).unwrap_or(i32::MAX);
                self.file.locations.push(&own, location);
            }
        }
        result
    }
}

impl Parser<'_> {
    /// `[a = b, ...]`
    pub(super) fn bracketed_options(
        &mut self,
        options: &mut Option<Box<Options>>,
        at: At,
    ) -> Parsed {
        self.consume("[")?;
        loop {
            self.option_assignment(options, at)?;
            if !self.try_consume(",") {
                break;
            }
        }
        self.consume("]")
    }

    pub(super) fn looking_at_label(&self) -> bool {
        self.looking_at_kind(Kind::Identifier)
            && matches!(self.token().text, b"optional" | b"repeated" | b"required")
    }
}

/// The options of one plain name.
pub(super) fn options_named<'a>(
    options: &'a Option<Box<Options>>,
    name: &'a str,
) -> impl Iterator<Item = &'a crate::ast::Uninterpreted> {
    let all = options.iter().flat_map(|options| &options.uninterpreted);
    all.filter(move |option| {
        option.name.first().is_some_and(|part| !part.is_extension && part.text == name)
    })
}

/// Ranges up to `max` end where the message's numbers do.
fn set_open_ends(message: &mut Message) {
    let message_set = options_named(&message.options, "message_set_wire_format").any(|option| {
        option.name.len() == 1
            && matches!(&option.value, OptionValue::Identifier(value) if value == "true")
    });
    let end = if message_set { i32::MAX } else { MAX_FIELD_NUMBER + 1 };
    let ranges = message.extension_ranges.iter_mut().map(|range| &mut range.range);
    for range in ranges.chain(&mut message.reserved_ranges) {
        if range.end == OPEN_END {
            range.end = end;
        }
    }
}

/// proto3's `optional` fields are in oneofs of their own, behind all others.
fn synthetic_oneofs(message: &mut Message) {
    if !message.fields.iter().any(|field| field.proto3_optional) {
        return;
    }
    let fields = message.fields.iter().map(|field| field.name.clone());
    let oneofs = message.oneofs.iter().map(|oneof| oneof.name.clone());
    let mut names: HashSet<String> = fields.chain(oneofs).collect();
    for field in message.fields.iter_mut().filter(|field| field.proto3_optional) {
        let mut name = field.name.clone();
        if !name.starts_with('_') {
            name.insert(0, '_');
        }
        while !names.insert(name.clone()) {
            name.insert(0, 'X');
        }
        field.oneof = Some(message.oneofs.len());
        message.oneofs.push(Oneof { name, options: None });
    }
}

/// Places of options that stand behind several ranges, and are those of each: a short statement
/// must not fill the memory.
const MAX_COPIES: usize = 1_000_000;
/// The largest field number: 29 bits.
pub(crate) const MAX_FIELD_NUMBER: i32 = (1 << 29) - 1;
/// A range's end until its message's options are known.
pub(super) const OPEN_END: i32 = -1;
