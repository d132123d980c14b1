//! Ranges of numbers, and what is reserved.

use super::file::index;
use super::message::OPEN_END;
use super::{Parsed, Parser};
use crate::ast::{Enum, Message, Range};
use crate::lexer::{Kind, Token, is_identifier};
use crate::source_info::At;

impl<'a> Parser<'a> {
    /// `3`, `3 to 5` or `3 to max`, with locations for both ends.
    pub(super) fn number_range(&mut self, at: At, message: &str) -> Parsed<Range> {
        let first = self.token();
        let location = self.open(at, &[1]);
        let start = self.integer(message)?;
        self.bounded(start)?;
        self.close(location);
        let end = self.range_end(at, first, |parser| {
            if parser.try_consume("max") {
                return Ok(OPEN_END - 1);
            }
            let end = parser.integer("Expected integer.")?;
            parser.bounded(end)?;
            Ok(end)
        })?;
        Ok(Range { start, end: end.unwrap_or(start) + 1 })
    }

    /// The end is exclusive afterwards: one more must be a number.
    fn bounded(&mut self, number: i32) -> Parsed {
        match number {
            i32::MAX => self.fail("Field number out of bounds."),
            _ => Ok(()),
        }
    }

    fn enum_range(&mut self, at: At, message: &str) -> Parsed<Range> {
        let first = self.token();
        let location = self.open(at, &[1]);
        let start = self.signed_integer(message)?;
        self.close(location);
        let end = self.range_end(at, first, |parser| match parser.try_consume("max") {
            true => Ok(i32::MAX),
            false => parser.signed_integer("Expected integer."),
        })?;
        Ok(Range { start, end: end.unwrap_or(start) })
    }

    fn range_end(
        &mut self,
        at: At,
        first: Token<'a>,
        read: impl FnOnce(&mut Self) -> Parsed<i32>,
    ) -> Parsed<Option<i32>> {
        if !self.try_consume("to") {
            self.mark(at, &[2], first);
            return Ok(None);
        }
        let location = self.open(at, &[2]);
        let end = read(self)?;
        self.close(location);
        Ok(Some(end))
    }

    pub(super) fn reserved_in_message(&mut self, message: &mut Message, at: At) -> Parsed {
        let first = self.token();
        self.consume("reserved")?;
        if self.reserved_are_names()? {
            return self.reserved_names(&mut message.reserved_names, at, 10, first, "field name");
        }
        let location = self.open(at, &[9]);
        self.start_at(location, first);
        let mut expected = "Expected field name or number range.";
        loop {
            let range_at = self.open(location, &[index(&message.reserved_ranges)]);
            let range = self.number_range(range_at, expected);
            message.reserved_ranges.push(*range.as_ref().unwrap_or(&Range::default()));
            range?;
            self.close(range_at);
            expected = "Expected field number range.";
            if !self.try_consume(",") {
                break;
            }
        }
        self.end_of_declaration(";", location)?;
        self.close(location);
        Ok(())
    }

    pub(super) fn reserved_in_enum(&mut self, defined: &mut Enum, at: At) -> Parsed {
        let first = self.token();
        self.consume("reserved")?;
        if self.reserved_are_names()? {
            return self.reserved_names(&mut defined.reserved_names, at, 5, first, "enum value");
        }
        let location = self.open(at, &[4]);
        self.start_at(location, first);
        let mut expected = "Expected enum value or number range.";
        loop {
            let range_at = self.open(location, &[index(&defined.reserved_ranges)]);
            let range = self.enum_range(range_at, expected);
            defined.reserved_ranges.push(*range.as_ref().unwrap_or(&Range::default()));
            range?;
            self.close(range_at);
            expected = "Expected enum number range.";
            if !self.try_consume(",") {
                break;
            }
        }
        self.end_of_declaration(";", location)?;
        self.close(location);
        Ok(())
    }

    /// Names are strings before editions, and identifiers since.
    fn reserved_are_names(&mut self) -> Parsed<bool> {
        match (self.token().kind, self.is_editions()) {
            (Kind::String, true) => {
                self.fail("Reserved names must be identifiers in editions, not string literals.")
            }
            (Kind::Identifier, false) => self.fail(
                "Reserved names must be string literals. (Only editions supports identifiers.)",
            ),
            (Kind::String | Kind::Identifier, _) => Ok(true),
            _ => Ok(false),
        }
    }

    fn reserved_names(
        &mut self,
        names: &mut Vec<Vec<u8>>,
        at: At,
        number: i32,
        first: Token<'a>,
        what: &str,
    ) -> Parsed {
        let location = self.open(at, &[number]);
        self.start_at(location, first);
        loop {
            let name_at = self.open(location, &[index(names)]);
            let token = self.token();
            let name = match self.is_editions() {
                true => self.identifier(&format!("Expected {what} identifier."))?.into_bytes(),
                false => self.string(&format!("Expected {what} string literal."))?,
            };
            if !is_identifier(&name) {
                let shown = String::from_utf8_lossy(&name);
                let message = format!("Reserved name \"{shown}\" is not a valid identifier.");
                self.warning((token.line, token.column), message);
            }
            names.push(name);
            self.close(name_at);
            if !self.try_consume(",") {
                break;
            }
        }
        self.end_of_declaration(";", location)?;
        self.close(location);
        Ok(())
    }
}
