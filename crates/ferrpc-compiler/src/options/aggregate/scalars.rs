//! The values of scalar fields.

use super::{Failed, Names, Parsed, Parser};
use crate::ast::Type;
use crate::lexer::Kind;
use crate::literal;
use crate::options::value::integer;
use crate::pool::FieldId;
use crate::wire::{self, Value};

impl<N: Names> Parser<'_, N> {
    pub(super) fn scalar(&mut self, field: FieldId) -> Parsed<Value> {
        let node = self.types().field(field);
        let field_type = node.field_type.unwrap_or(Type::Int32);
        match field_type {
            Type::Int32 | Type::Sint32 | Type::Sfixed32 => {
                Ok(integer(field_type, self.signed(0x7fff_ffff)?))
            }
            Type::Int64 | Type::Sint64 | Type::Sfixed64 => {
                Ok(integer(field_type, self.signed(i64::MAX.cast_unsigned())?))
            }
            Type::Uint32 => Ok(Value::Varint(self.unsigned(u64::from(u32::MAX))?)),
            Type::Uint64 => Ok(Value::Varint(self.unsigned(u64::MAX)?)),
            Type::Fixed32 => {
                let value = self.unsigned(u64::from(u32::MAX))?;
                Ok(Value::Fixed32(u32::try_from(value).unwrap_or_default()))
            }
            Type::Fixed64 => Ok(Value::Fixed64(self.unsigned(u64::MAX)?)),
            Type::Float => Ok(Value::Fixed32(literal::to_single(self.double()?).to_bits())),
            Type::Double => Ok(Value::Fixed64(self.double()?.to_bits())),
            Type::String | Type::Bytes => Ok(Value::Bytes(self.string()?)),
            Type::Bool => self.boolean(field),
            Type::Enum => self.enum_value(field),
            Type::Message | Type::Group => Err(Failed),
        }
    }

    fn boolean(&mut self, field: FieldId) -> Parsed<Value> {
        if self.lexer.current.kind == Kind::Integer {
            return Ok(Value::Varint(self.unsigned(1)?));
        }
        let value = self.identifier()?;
        match value.as_str() {
            "true" | "True" | "t" => Ok(Value::Varint(1)),
            "false" | "False" | "f" => Ok(Value::Varint(0)),
            _ => {
                let name = self.types().field(field).own_name().to_owned();
                self.fail(format!(
                    "Invalid value for boolean field \"{name}\". Value: \"{value}\"."
                ))
            }
        }
    }

    fn enum_value(&mut self, field: FieldId) -> Parsed<Value> {
        let Some(id) = self.types().field(field).enumeration else { return Err(Failed) };
        let shown;
        let found = match self.lexer.current.kind {
            Kind::Identifier => {
                shown = self.identifier()?;
                self.types().value_named(id, &shown).map(|value| value.number)
            }
            _ if self.lexer.current.kind == Kind::Integer || self.looking_at("-") => {
                let number = self.signed(0x7fff_ffff)?;
                shown = number.to_string();
                let number = i32::try_from(number).unwrap_or_default();
                let node = self.types().enumeration(id);
                let known = node.values.iter().any(|value| value.number == number);
                let closed = node.features.is_closed() || self.types().field(field).closed_in_cpp;
                (known || !closed).then_some(number)
            }
            _ => {
                let text = self.text();
                return self.fail(format!("Expected integer or identifier, got: {text}"));
            }
        };
        if let Some(number) = found {
            return Ok(Value::Varint(wire::sign_extended(number)));
        }
        let name = self.types().field(field).own_name().to_owned();
        self.fail(format!("Unknown enumeration value of \"{shown}\" for field \"{name}\"."))
    }

    pub(super) fn string(&mut self) -> Parsed<Vec<u8>> {
        if self.lexer.current.kind != Kind::String {
            let text = self.text();
            return self.fail(format!("Expected string, got: {text}"));
        }
        let mut value = Vec::new();
        while self.lexer.current.kind == Kind::String {
            literal::string(self.lexer.current.text, &mut value);
            self.lexer.next();
        }
        Ok(value)
    }

    fn unsigned(&mut self, max: u64) -> Parsed<u64> {
        let text = self.text();
        if self.lexer.current.kind != Kind::Integer {
            return self.fail(format!("Expected integer, got: {text}"));
        }
        let Some(value) = literal::integer(self.lexer.current.text, max) else {
            return self.fail(format!("Integer out of range ({text})"));
        };
        self.lexer.next();
        Ok(value)
    }

    fn signed(&mut self, max: u64) -> Parsed<i64> {
        let negative = self.try_consume("-");
        let value = self.unsigned(max + u64::from(negative))?;
        Ok(match negative {
            true => value.wrapping_neg().cast_signed(),
            false => value.cast_signed(),
        })
    }

    fn double(&mut self) -> Parsed<f64> {
        let negative = self.try_consume("-");
        let text = self.text();
        let token = self.lexer.current;
        let value = match token.kind {
            Kind::Integer if token.text.len() > 1 && token.text[0] == b'0' => {
                return self.fail(format!("Expect a decimal number, got: {text}"));
            }
            Kind::Integer => match literal::integer(token.text, u64::MAX) {
                Some(value) => value as f64,
                None => literal::float(token.text),
            },
            Kind::Float => literal::float(token.text),
            Kind::Identifier => match text.to_ascii_lowercase().as_str() {
                "inf" | "infinity" => f64::INFINITY,
                "nan" => f64::NAN,
                lower => {
                    let message = format!("Expected double, got: {lower}");
                    return self.fail(message);
                }
            },
            _ => return self.fail(format!("Expected double, got: {text}")),
        };
        self.lexer.next();
        Ok(if negative { -value } else { value })
    }
}
