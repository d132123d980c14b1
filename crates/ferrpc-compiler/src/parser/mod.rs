//! Tokens to a [`File`]: recursive descent, with source info on the way.
//!
//! A statement that cannot be read is skipped, and the next one is tried, so that a file's faults
//! are all told. Each construct has a function of its own; what they share is here.

mod enumeration;
mod field;
mod file;
mod message;
mod option;
mod reserved;
mod service;

pub(crate) use field::{MAP_ENTRY, entry_name};
pub(crate) use file::NOWHERE;
pub(crate) use message::MAX_FIELD_NUMBER;

use crate::ast::{Edition, File};
use crate::comments::Between;
use crate::lexer::{Fault, Kind, Lexer, MAX_FAULTS, Mode, Token};
use crate::literal;
use crate::source_info::{At, Comments};

/// A statement cannot be read further; why was reported.
struct Skip;

type Parsed<T = ()> = Result<T, Skip>;

/// Parses a file; its faults, if there are any, and the file as far as it could be read.
pub(crate) fn parse(name: &str, text: &[u8]) -> (File, Vec<Fault>) {
    let mut parser = Parser {
        lexer: Lexer::new(text, Mode::File),
        file: File {
            name: name.to_owned(),
            edition: Edition::PROTO2,
            is_parsed: true,
            has_source_info: true,
            ..File::default()
        },
        upcoming: Between::default(),
        depth: 0,
    };
    parser.file();
    (parser.file, parser.lexer.faults)
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    file: File,
    /// Leading and detached comments of what comes next.
    upcoming: Between,
    /// How many messages the current statement is in.
    depth: u32,
}

impl<'a> Parser<'a> {
    fn is_editions(&self) -> bool {
        !self.file.edition.is_legacy()
    }

    fn is_proto3(&self) -> bool {
        self.file.edition == Edition::PROTO3
    }

    fn token(&self) -> Token<'a> {
        self.lexer.current
    }

    fn looking_at(&self, text: &str) -> bool {
        self.lexer.current.text == text.as_bytes() && self.lexer.current.kind != Kind::End
    }

    fn looking_at_kind(&self, kind: Kind) -> bool {
        self.lexer.current.kind == kind
    }

    fn at_end(&self) -> bool {
        self.looking_at_kind(Kind::End)
    }

    fn try_consume(&mut self, text: &str) -> bool {
        let found = self.looking_at(text);
        if found {
            self.lexer.next();
        }
        found
    }

    fn consume(&mut self, text: &str) -> Parsed {
        self.consume_or(text, &format!("Expected \"{text}\"."))
    }

    fn consume_or(&mut self, text: &str, message: &str) -> Parsed {
        match self.try_consume(text) {
            true => Ok(()),
            false => self.fail(message),
        }
    }

    fn identifier(&mut self, message: &str) -> Parsed<String> {
        if !self.looking_at_kind(Kind::Identifier) {
            return self.fail(message);
        }
        let text = text_of(self.token());
        self.lexer.next();
        Ok(text)
    }

    /// An integer up to that of 32 bits; a larger one is a fault, and read as zero.
    fn integer(&mut self, message: &str) -> Parsed<i32> {
        let value = self.integer_up_to(MAX_INT32, message)?;
        Ok(i32::try_from(value).unwrap_or_default())
    }

    fn signed_integer(&mut self, message: &str) -> Parsed<i32> {
        let negative = self.try_consume("-");
        let value = self.integer_up_to(MAX_INT32 + u64::from(negative), message)?;
        let value = i64::try_from(value).unwrap_or_default();
        Ok(i32::try_from(if negative { -value } else { value }).unwrap_or_default())
    }

    fn integer_up_to(&mut self, max: u64, message: &str) -> Parsed<u64> {
        if !self.looking_at_kind(Kind::Integer) {
            return self.fail(message);
        }
        let value = literal::integer(self.token().text, max).unwrap_or_else(|| {
            self.fault("Integer out of range.");
            0
        });
        self.lexer.next();
        Ok(value)
    }

    fn number(&mut self, message: &str) -> Parsed<f64> {
        let token = self.token();
        let value = match token.kind {
            Kind::Float => literal::float(token.text),
            Kind::Integer => match literal::integer(token.text, u64::MAX) {
                Some(value) => value as f64,
                // Octal and hex numbers are not read as floats.
                None if token.text.starts_with(b"0") => {
                    self.fault("Integer out of range.");
                    0.0
                }
                None => literal::float(token.text),
            },
            Kind::Identifier if token.text == b"inf" => f64::INFINITY,
            Kind::Identifier if token.text == b"nan" => f64::NAN,
            _ => return self.fail(message),
        };
        self.lexer.next();
        Ok(value)
    }

    /// String tokens behind each other are one string.
    fn string(&mut self, message: &str) -> Parsed<Vec<u8>> {
        if !self.looking_at_kind(Kind::String) {
            return self.fail(message);
        }
        let mut value = Vec::new();
        while self.looking_at_kind(Kind::String) {
            literal::string(self.token().text, &mut value);
            self.lexer.next();
        }
        Ok(value)
    }

    /// What ends a declaration or begins its block: the comments around it are the declaration's.
    fn end_of_declaration(&mut self, text: &str, declaration: At) -> Parsed {
        if !self.looking_at(text) {
            return self.fail(&format!("Expected \"{text}\"."));
        }
        let next = self.lexer.next_with_comments();
        let trailing = next.trailing;
        let upcoming =
            std::mem::replace(&mut self.upcoming, Between { trailing: Vec::new(), ..next });
        if !(upcoming.leading.is_empty() && trailing.is_empty() && upcoming.detached.is_empty()) {
            self.file.locations.get_mut(declaration).comments = Some(Box::new(Comments {
                leading: upcoming.leading,
                trailing,
                detached: upcoming.detached,
            }));
        }
        Ok(())
    }

    /// An end that belongs to no declaration: of a block, or of an empty statement.
    fn try_consume_end(&mut self, text: &str) -> bool {
        if !self.looking_at(text) {
            return false;
        }
        let mut next = self.lexer.next_with_comments();
        if text != "}" {
            let mut detached = std::mem::take(&mut self.upcoming.detached);
            detached.append(&mut next.detached);
            next.detached = detached;
        }
        self.upcoming = next;
        true
    }

    fn fault(&mut self, message: &str) {
        let Token { line, column, .. } = self.token();
        self.lexer.fault((line, column), message);
    }

    fn warning(&mut self, (line, column): (u32, u32), message: String) {
        if self.lexer.faults.len() < MAX_FAULTS {
            self.lexer.faults.push(Fault { line, column, message, help: None, warning: true });
        }
    }

    /// Notes a fault at the current token, and what the token is.
    fn fail<T>(&mut self, message: &str) -> Parsed<T> {
        let before = self.lexer.faults.len();
        self.fault(message);
        let found = match self.at_end() {
            true => "found the end of the file".to_owned(),
            false => format!("found {}", text_of(self.token())),
        };
        if let Some(fault) = self.lexer.faults.get_mut(before) {
            fault.help = Some(found);
        }
        Err(Skip)
    }

    /// Begins a location at the current token.
    fn open(&mut self, parent: At, below: &[i32]) -> At {
        let Token { line, column, .. } = self.token();
        self.file.locations.open(Some(parent), below, (line, column))
    }

    /// Ends a location at the token before.
    fn close(&mut self, at: At) {
        self.end_at(at, self.lexer.previous);
    }

    fn start_at(&mut self, at: At, token: Token<'_>) {
        self.file.locations.get_mut(at).start = (token.line, token.column);
    }

    fn end_at(&mut self, at: At, token: Token<'_>) {
        self.file.locations.get_mut(at).end = Some((token.line, token.end_column));
    }

    /// A location that is one token, which was read already.
    fn mark(&mut self, parent: At, below: &[i32], token: Token<'_>) {
        self.mark_span(parent, below, token, token);
    }

    fn mark_span(&mut self, parent: At, below: &[i32], first: Token<'_>, last: Token<'_>) {
        let at = self.open(parent, below);
        self.start_at(at, first);
        self.end_at(at, last);
    }

    fn skip_statement(&mut self) {
        while !self.at_end() {
            if self.looking_at_kind(Kind::Symbol) {
                if self.try_consume_end(";") {
                    return;
                }
                if self.try_consume("{") {
                    return self.skip_block();
                }
                if self.looking_at("}") {
                    return;
                }
            }
            self.lexer.next();
        }
    }

    fn skip_block(&mut self) {
        let mut open = 1;
        while !self.at_end() {
            if self.looking_at_kind(Kind::Symbol) {
                if self.try_consume_end("}") {
                    open -= 1;
                    if open == 0 {
                        return;
                    }
                    continue;
                }
                if self.try_consume("{") {
                    open += 1;
                    continue;
                }
            }
            self.lexer.next();
        }
    }

    /// A name of a type, which may have dots, also in front.
    fn type_name(&mut self) -> Parsed<String> {
        let mut name = String::new();
        if field::scalar(self.token().text).is_some() {
            self.fault("Expected message type.");
            name = text_of(self.token());
            self.lexer.next();
            return Ok(name);
        }
        if self.try_consume(".") {
            name.push('.');
        }
        name.push_str(&self.identifier("Expected type name.")?);
        while self.try_consume(".") {
            name.push('.');
            name.push_str(&self.identifier("Expected identifier.")?);
        }
        Ok(name)
    }
}

/// The text of an identifier, or of another token that is ASCII.
fn text_of(token: Token<'_>) -> String {
    String::from_utf8_lossy(token.text).into_owned()
}

const MAX_INT32: u64 = 0x7fff_ffff;
/// Messages in messages: one more is refused. It bounds the recursion of all later steps.
pub(crate) const MAX_NESTING: u32 = 32;
