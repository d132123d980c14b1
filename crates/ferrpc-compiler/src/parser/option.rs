//! Options: names and values as they are written. What they mean is found out when all files are
//! linked.

use super::file::index;
use super::{Parsed, Parser, text_of};
use crate::ast::{NamePart, OptionValue, Options, Uninterpreted};
use crate::lexer::Kind;
use crate::literal;
use crate::source_info::At;

impl Parser<'_> {
    /// `option name = value;`
    pub(super) fn option_statement(
        &mut self,
        options: &mut Option<Box<Options>>,
        at: At,
    ) -> Parsed {
        self.option(options, at, true)
    }

    /// `name = value`, in brackets.
    pub(super) fn option_assignment(
        &mut self,
        options: &mut Option<Box<Options>>,
        at: At,
    ) -> Parsed {
        self.option(options, at, false)
    }

    fn option(&mut self, options: &mut Option<Box<Options>>, at: At, statement: bool) -> Parsed {
        let list = &mut options.get_or_insert_default().uninterpreted;
        let location = self.open(at, &[UNINTERPRETED_OPTION, index(list)]);
        if statement {
            self.consume("option")?;
        }
        let name_at = (self.token().line, self.token().column);
        let mut option =
            Uninterpreted { name: Vec::new(), value: OptionValue::None, name_at, value_at: (0, 0) };
        let result = self.option_parts(&mut option, location);
        list.push(option);
        result?;
        if statement {
            self.end_of_declaration(";", location)?;
        }
        self.close(location);
        Ok(())
    }

    fn option_parts(&mut self, option: &mut Uninterpreted, at: At) -> Parsed {
        let name_at = self.open(at, &[2]);
        loop {
            let part_at = self.open(name_at, &[index(&option.name)]);
            let part = self.name_part(part_at)?;
            option.name.push(part);
            self.close(part_at);
            if !self.try_consume(".") {
                break;
            }
        }
        self.close(name_at);
        self.consume("=")?;
        option.value_at = (self.token().line, self.token().column);
        let value_at = self.open(at, &[]);
        let (value, number) = self.option_value()?;
        option.value = value;
        self.file.locations.extend(value_at, number);
        self.close(value_at);
        Ok(())
    }

    fn name_part(&mut self, at: At) -> Parsed<NamePart> {
        if !self.looking_at("(") {
            let location = self.open(at, &[1]);
            let text = self.identifier("Expected identifier.")?;
            self.close(location);
            return Ok(NamePart { text, is_extension: false });
        }
        self.consume("(")?;
        let location = self.open(at, &[1]);
        let mut text = String::new();
        if self.looking_at_kind(Kind::Identifier) {
            text = self.identifier("Expected identifier.")?;
        }
        while self.try_consume(".") {
            text.push('.');
            text.push_str(&self.identifier("Expected identifier.")?);
        }
        self.close(location);
        self.consume(")")?;
        Ok(NamePart { text, is_extension: true })
    }

    /// A value, and the number of its field in `UninterpretedOption`.
    fn option_value(&mut self) -> Parsed<(OptionValue, i32)> {
        let negative = self.try_consume("-");
        match self.token().kind {
            Kind::Identifier => {
                let name = self.identifier("Expected identifier.")?;
                let value = match (negative, name.as_str()) {
                    (false, _) => OptionValue::Identifier(name),
                    (true, "inf") => OptionValue::Double(f64::NEG_INFINITY),
                    (true, "nan") => OptionValue::Double(f64::NAN),
                    _ => {
                        return self.fail("Identifier after '-' symbol must be inf or nan.");
                    }
                };
                Ok((value, 3))
            }
            Kind::Integer => {
                let max = if negative { 1 << 63 } else { u64::MAX };
                match (literal::integer(self.token().text, max), negative) {
                    (Some(value), true) => {
                        self.lexer.next();
                        Ok((OptionValue::Negative(value.wrapping_neg().cast_signed()), 5))
                    }
                    (Some(value), false) => {
                        self.lexer.next();
                        Ok((OptionValue::Positive(value), 4))
                    }
                    (None, _) => self.double(negative),
                }
            }
            Kind::Float => self.double(negative),
            Kind::String if negative => self.fail("Invalid '-' symbol before string."),
            Kind::String => Ok((OptionValue::String(self.string("Expected string.")?), 7)),
            Kind::Symbol if self.looking_at("{") => Ok((self.aggregate()?, 8)),
            Kind::End => self.fail("Unexpected end of stream while parsing option value."),
            _ => self.fail("Expected option value."),
        }
    }

    fn double(&mut self, negative: bool) -> Parsed<(OptionValue, i32)> {
        let value = self.number("Expected number.")?;
        Ok((OptionValue::Double(if negative { -value } else { value }), 6))
    }

    /// The tokens between braces, as text.
    fn aggregate(&mut self) -> Parsed<OptionValue> {
        let mut text = Vec::new();
        let mut open = 1;
        self.consume("{")?;
        while !self.at_end() {
            if self.looking_at("{") {
                open += 1;
            } else if self.looking_at("}") {
                open -= 1;
                if open == 0 {
                    self.lexer.next();
                    return Ok(OptionValue::Aggregate(text));
                }
            }
            if !text.is_empty() {
                text.push(b' ');
            }
            text.extend_from_slice(self.token().text);
            self.lexer.next();
        }
        self.fail("Unexpected end of stream while parsing aggregate value.")
    }

    /// The name of a type as a default is: any token.
    pub(super) fn any_token(&mut self) -> Vec<u8> {
        let text = text_of(self.token()).into_bytes();
        self.lexer.next();
        text
    }
}

/// The number of `uninterpreted_option` in all messages of options.
const UNINTERPRETED_OPTION: i32 = 999;
