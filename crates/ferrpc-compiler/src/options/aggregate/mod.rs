//! Messages in the text format: aggregate option values, and what `--encode` reads.

mod scalars;
mod skip;

use std::collections::{HashMap, HashSet};

use super::canonical::{Types, canonical, is_zero, missing};
use crate::ast::Type;
use crate::lexer::{Fault, Kind, Lexer, Mode, is_identifier};
use crate::link::Linker;
use crate::pool::{FieldId, MessageId, Pool, Symbol};
use crate::wire::{self, Record, Records, Value};

/// Parses a message that is an option's value; why it cannot be, otherwise.
pub(super) fn parse(
    linker: &mut Linker<'_>,
    known: bool,
    message: MessageId,
    text: &[u8],
) -> Result<Records, String> {
    let (parsed, faults) = read(OfLinker { linker, known }, message, text, false);
    match parsed {
        Some(records) => {
            let types = linker.types(known);
            let mut absent = Vec::new();
            missing(types, message, &records, "", &mut absent);
            match absent.is_empty() {
                true => Ok(records),
                false => Err(format!("Message missing required fields: {}", absent.join(", "))),
            }
        }
        None => {
            let errors = faults.iter().filter(|fault| !fault.warning);
            let messages: Vec<&str> = errors.map(|fault| fault.message.as_str()).collect();
            Err(messages.join("; "))
        }
    }
}

/// Reads a message, and what there is to say about its text. With `partial`, a message in an `Any`
/// may lack required fields; it is for the caller to look at those of the message itself.
pub(crate) fn read(
    names: impl Names,
    message: MessageId,
    text: &[u8],
    partial: bool,
) -> (Option<Records>, Vec<Fault>) {
    let mut lexer = Lexer::new(text, Mode::Aggregate);
    lexer.next();
    let mut parser = Parser { lexer, names, partial, depth: 0 };
    let parsed = parser.whole(message);
    let faults = parser.lexer.faults;
    let records = parsed.ok().filter(|_| faults.iter().all(|fault| fault.warning));
    let types = parser.names.types();
    (records.map(|records| canonical(types, message, records, Types::KEEP)), faults)
}

/// Where the text finds types and extensions.
pub(crate) trait Names {
    fn types(&self) -> &Pool;
    /// What the name of an extension in brackets stands for, in a message with the name `scope`.
    fn extension(&mut self, name: &str, scope: &str) -> Option<Symbol>;
    /// What the full name in a type URL stands for; what stands before the name.
    fn any(&mut self, prefix: &str, name: &str) -> Option<Symbol>;
}

/// Names as the file sees them whose options are read.
struct OfLinker<'l, 'p> {
    linker: &'l mut Linker<'p>,
    known: bool,
}

impl Names for OfLinker<'_, '_> {
    fn types(&self) -> &Pool {
        self.linker.types(self.known)
    }

    fn extension(&mut self, name: &str, scope: &str) -> Option<Symbol> {
        if self.known {
            return None;
        }
        self.linker.look_up(name, scope, false)
    }

    fn any(&mut self, prefix: &str, name: &str) -> Option<Symbol> {
        if !["type.googleapis.com/", "type.googleprod.com/"].contains(&prefix) {
            return None;
        }
        self.linker.find(name)
    }
}

/// A fault was noted.
struct Failed;

type Parsed<T = ()> = Result<T, Failed>;

struct Parser<'t, N> {
    lexer: Lexer<'t>,
    names: N,
    partial: bool,
    depth: u32,
}

/// A message that is being read.
struct Open {
    id: MessageId,
    records: Records,
    /// The numbers of singular fields that have a value.
    set: HashSet<i32>,
    /// The member of each oneof that has a value.
    oneofs: HashMap<usize, String>,
}

impl Open {
    fn new(id: MessageId) -> Self {
        Self { id, records: Vec::new(), set: HashSet::new(), oneofs: HashMap::new() }
    }
}

impl<N: Names> Parser<'_, N> {
    fn types(&self) -> &Pool {
        self.names.types()
    }

    fn whole(&mut self, message: MessageId) -> Parsed<Records> {
        let mut open = Open::new(message);
        while self.lexer.current.kind != Kind::End {
            self.field(&mut open)?;
        }
        Ok(open.records)
    }

    /// A message up to its closing sign.
    fn message(&mut self, message: MessageId) -> Parsed<Records> {
        if self.depth >= MAX_DEPTH {
            return self.fail(format!(
                "Message is too deep, the parser exceeded the configured recursion limit of \
                 {MAX_DEPTH}."
            ));
        }
        self.depth += 1;
        let close = self.open_sign()?;
        let mut open = Open::new(message);
        while !self.looking_at(">") && !self.looking_at("}") {
            self.field(&mut open)?;
        }
        self.consume(close)?;
        self.depth -= 1;
        Ok(open.records)
    }

    fn open_sign(&mut self) -> Parsed<&'static str> {
        if self.try_consume("<") {
            return Ok(">");
        }
        self.consume("{")?;
        Ok("}")
    }

    fn field(&mut self, open: &mut Open) -> Parsed {
        let mut deprecated = None;
        if self.looking_at("[") && self.is_any(open.id) {
            self.any(open)?;
        } else if let Some((field, name)) = self.field_name(open.id)? {
            let behind_name = (self.lexer.current.line, self.lexer.current.column);
            self.field_value(open, field, &name)?;
            let is_deprecated = self.types().field(field).deprecated;
            deprecated = is_deprecated.then_some((behind_name, name));
        } else {
            self.skip_value()?;
        }
        // Fields may be separated, which means nothing.
        let _ = self.try_consume(";") || self.try_consume(",");
        if let Some((place, name)) = deprecated {
            self.lexer.warning(place, &format!("text format contains deprecated field \"{name}\""));
        }
        Ok(())
    }

    /// The field that comes next; none for a reserved name.
    fn field_name(&mut self, message: MessageId) -> Parsed<Option<(FieldId, String)>> {
        if self.looking_at("[") {
            let (prefix, name) = self.bracketed()?;
            if !prefix.is_empty() {
                return self.fail_behind("Extension name contains \"/\"".to_owned());
            }
            return match self.extension(message, &name) {
                Some(field) => Ok(Some((field, name))),
                None => {
                    let full = self.types().message(message).name.clone();
                    self.fail(format!(
                        "Extension \"{name}\" is not defined or is not an extension of \"{full}\"."
                    ))
                }
            };
        }
        let name = self.identifier()?;
        let types = self.types();
        let field = types.field_named(message, &name).or_else(|| {
            // A group is also known by the name of its type.
            let field = types.field_named(message, &name.to_ascii_lowercase())?;
            is_group_named(types, field, &name).then_some(field)
        });
        if let Some(field) = field {
            return Ok(Some((field, name)));
        }
        let node = types.message(message);
        if node.reserved_names.iter().any(|reserved| reserved == name.as_bytes()) {
            return Ok(None);
        }
        let full = node.name.clone();
        self.fail(format!("Message type \"{full}\" has no field named \"{name}\"."))
    }

    /// An extension of the message by its name; in a message set, its type's name will do.
    fn extension(&mut self, message: MessageId, name: &str) -> Option<FieldId> {
        let scope = self.types().message(message).name.clone();
        match self.names.extension(name, &scope)? {
            Symbol::Field(field) if self.types().field(field).containing == Some(message) => {
                Some(field)
            }
            Symbol::Message(inner) if self.types().message(message).message_set => {
                let types = self.types();
                types.message(inner).extensions.iter().copied().find(|field| {
                    let node = types.field(*field);
                    node.containing == Some(message)
                        && node.message == Some(inner)
                        && node.field_type == Some(Type::Message)
                        && !node.is_repeated()
                })
            }
            _ => None,
        }
    }

    fn is_any(&self, message: MessageId) -> bool {
        &*self.types().message(message).name == "google.protobuf.Any"
    }

    /// `[type.googleapis.com/name] { ... }` in a `google.protobuf.Any`.
    fn any(&mut self, open: &mut Open) -> Parsed {
        let (prefix, name) = self.bracketed()?;
        if prefix.is_empty() {
            return self.fail_behind("Type URL prefix is missing".to_owned());
        }
        self.try_consume(":");
        let Some(Symbol::Message(inner)) = self.names.any(&prefix, &name) else {
            return self.fail(format!(
                "Could not find type \"{prefix}{name}\" stored in google.protobuf.Any."
            ));
        };
        let records = self.message(inner)?;
        let types = self.types();
        let records = canonical(types, inner, records, Types::KEEP);
        let mut absent = Vec::new();
        if !self.partial {
            missing(types, inner, &records, "", &mut absent);
        }
        if !absent.is_empty() {
            let full = types.message(inner).name.clone();
            return self.fail(format!(
                "Value of type \"{full}\" stored in google.protobuf.Any has missing required \
                 fields: {}",
                absent.join(", ")
            ));
        }
        if open.set.contains(&1) || open.set.contains(&2) {
            return self.fail("Non-repeated Any specified multiple times.".to_owned());
        }
        open.set.extend([1, 2]);
        let url = format!("{prefix}{name}").into_bytes();
        open.records.push(Record::new(1, Value::Bytes(url)));
        open.records.push(Record::new(2, Value::Bytes(wire::encode(&records))));
        Ok(())
    }

    fn field_value(&mut self, open: &mut Open, field: FieldId, name: &str) -> Parsed {
        let node = self.types().field(field);
        let (number, message, repeated) = (node.number, node.message, node.is_repeated());
        let is_message = node.is_message();
        let presence = node.has_presence();
        let oneof = node.oneof.filter(|_| !node.is_extension);
        let is_group = node.field_type == Some(Type::Group);
        let own = node.own_name().to_owned();
        let weak = node.weak;
        if !repeated && open.set.contains(&number) {
            return self
                .fail(format!("Non-repeated field \"{name}\" is specified multiple times."));
        }
        if let Some(oneof) = oneof
            && let Some(other) = open.oneofs.get(&oneof)
        {
            let oneof = self.types().message(open.id).oneofs[oneof].clone();
            return self.fail(format!(
                "Field \"{name}\" is specified along with field \"{other}\", another member of \
                 oneof \"{oneof}\"."
            ));
        }
        match is_message {
            true => {
                let colon = self.try_consume(":");
                if colon && weak && self.lexer.current.kind == Kind::String {
                    let bytes = self.string()?;
                    open.set.insert(number);
                    let record = Record::new(number.cast_unsigned(), Value::Bytes(bytes));
                    open.records.push(record);
                    return Ok(());
                }
            }
            false => self.consume(":")?,
        }
        let one = |parser: &mut Self| match (message, is_message) {
            (Some(inner), true) => {
                let records = parser.message(inner)?;
                Ok(if is_group { Value::Group(records) } else { Value::Message(records) })
            }
            _ => parser.scalar(field),
        };
        let mut values = Vec::new();
        if repeated && self.try_consume("[") {
            if !self.try_consume("]") {
                loop {
                    values.push(one(self)?);
                    if self.try_consume("]") {
                        break;
                    }
                    self.consume(",")?;
                }
            }
        } else {
            values.push(one(self)?);
        }
        for value in values {
            if !repeated && (presence || !is_zero(&value)) {
                open.set.insert(number);
                if let Some(oneof) = oneof {
                    open.oneofs.insert(oneof, own.clone());
                }
            }
            open.records.push(Record::new(number.cast_unsigned(), value));
        }
        Ok(())
    }

    /// What is in brackets: the host and path of a type's URL, and the name.
    fn bracketed(&mut self) -> Parsed<(String, String)> {
        self.lexer.url = true;
        self.lexer.next();
        let mut text = String::new();
        while self.lexer.current.kind == Kind::Url {
            text.push_str(&self.text());
            self.lexer.next();
        }
        self.lexer.url = false;
        self.consume("]")?;
        let (prefix, name) = match text.rfind('/') {
            Some(at) => (text[..=at].to_owned(), text[at + 1..].to_owned()),
            None => (String::new(), text),
        };
        if prefix == "/" {
            return self.fail_behind("Type URL prefix is empty".to_owned());
        }
        if prefix.starts_with('/') {
            return self.fail_behind("Type URL starts with \"/\"".to_owned());
        }
        for (at, _) in prefix.match_indices('%') {
            let digits = prefix.get(at + 1..at + 3).unwrap_or_default();
            if digits.len() != 2 || !digits.bytes().all(|it| it.is_ascii_hexdigit()) {
                let shown = prefix.get(at..at + 3).unwrap_or(&prefix[at..]).to_owned();
                return self.fail_behind(format!("Invalid percent encode, got: \"{shown}\""));
            }
        }
        if let Some(part) = name.split('.').find(|part| !is_identifier(part.as_bytes())) {
            let part = part.to_owned();
            return self.fail_behind(format!("Invalid identifier in type name, got: \"{part}\""));
        }
        Ok((prefix, name))
    }

    fn identifier(&mut self) -> Parsed<String> {
        let text = self.text();
        if self.lexer.current.kind != Kind::Identifier {
            return self.fail(format!("Expected identifier, got: {text}"));
        }
        self.lexer.next();
        Ok(text)
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(self.lexer.current.text).into_owned()
    }

    fn looking_at(&self, text: &str) -> bool {
        self.lexer.current.text == text.as_bytes()
    }

    fn try_consume(&mut self, text: &str) -> bool {
        let found = self.looking_at(text);
        if found {
            self.lexer.next();
        }
        found
    }

    fn consume(&mut self, text: &str) -> Parsed {
        if self.try_consume(text) {
            return Ok(());
        }
        let found = self.text();
        self.fail(format!("Expected \"{text}\", found \"{found}\"."))
    }

    fn fail<T>(&mut self, message: String) -> Parsed<T> {
        Err(self.note(message))
    }

    /// Reports a fault right behind the token before the current one.
    fn fail_behind<T>(&mut self, message: String) -> Parsed<T> {
        let place = (self.lexer.previous.line, self.lexer.previous.end_column);
        self.lexer.fault(place, &message);
        Err(Failed)
    }

    fn note(&mut self, message: String) -> Failed {
        let place = (self.lexer.current.line, self.lexer.current.column);
        self.lexer.fault(place, &message);
        Failed
    }
}

/// Whether a field is a group, or delimited as if it were one, with the type's name as given.
pub(crate) fn is_group_named(types: &Pool, field: FieldId, name: &str) -> bool {
    let node = types.field(field);
    let Some(message) = node.message.map(|message| types.message(message)) else { return false };
    let scope = if node.is_extension { node.scope } else { node.containing };
    node.field_type == Some(Type::Group)
        && &message.name[message.own..] == name
        && message.file == node.file
        && message.parent == scope
}

/// As deep as values may be nested.
const MAX_DEPTH: u32 = 500;
