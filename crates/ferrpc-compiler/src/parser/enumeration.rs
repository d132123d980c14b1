//! Enums.

use std::collections::HashSet;

use super::file::index;
use super::message::options_named;
use super::{Parsed, Parser};
use crate::ast::{Enum, EnumValue, OptionValue};
use crate::source_info::At;

impl Parser<'_> {
    pub(super) fn enumeration(&mut self, defined: &mut Enum, at: At) -> Parsed {
        self.consume("enum")?;
        let name = self.open(at, &[1]);
        defined.name = self.identifier("Expected enum name.")?;
        self.close(name);
        self.end_of_declaration("{", at)?;
        while !self.try_consume_end("}") {
            if self.at_end() {
                return self.fail("Reached end of input in enum definition (missing '}').");
            }
            if self.enum_statement(defined, at).is_err() {
                self.skip_statement();
            }
        }
        self.check_alias(defined)
    }

    fn enum_statement(&mut self, defined: &mut Enum, at: At) -> Parsed {
        if self.try_consume_end(";") {
            Ok(())
        } else if self.looking_at("option") {
            let location = self.open(at, &[3]);
            let result = self.option_statement(&mut defined.options, location);
            self.close(location);
            result
        } else if self.looking_at("reserved") {
            self.reserved_in_enum(defined, at)
        } else {
            let location = self.open(at, &[2, index(&defined.values)]);
            let mut value = EnumValue::default();
            let result = self.enum_value(&mut value, location);
            defined.values.push(value);
            self.close(location);
            result
        }
    }

    fn enum_value(&mut self, value: &mut EnumValue, at: At) -> Parsed {
        let name = self.open(at, &[1]);
        value.name = self.identifier("Expected enum constant name.")?;
        self.close(name);
        self.consume_or("=", "Missing numeric value for enum constant.")?;
        let number = self.open(at, &[2]);
        value.number = self.signed_integer("Expected integer.")?;
        self.close(number);
        if self.looking_at("[") {
            let location = self.open(at, &[3]);
            self.bracketed_options(&mut value.options, location)?;
            self.close(location);
        }
        self.end_of_declaration(";", at)
    }

    /// `allow_alias` stands where it is needed, and nowhere else.
    fn check_alias(&mut self, defined: &Enum) -> Parsed {
        let alias = options_named(&defined.options, "allow_alias").find(|it| it.name.len() == 1);
        let Some(alias) = alias else { return Ok(()) };
        let name = &defined.name;
        if !matches!(&alias.value, OptionValue::Identifier(value) if value == "true") {
            return self.fail(&format!(
                "\"{name}\" declares 'option allow_alias = false;' which has no effect. Please \
                 remove the declaration."
            ));
        }
        let mut numbers = HashSet::new();
        if defined.values.iter().all(|value| numbers.insert(value.number)) {
            return self.fail(&format!(
                "\"{name}\" declares support for enum aliases but no enum values share field \
                 numbers. Please remove the unnecessary 'option allow_alias = true;' declaration."
            ));
        }
        Ok(())
    }
}
