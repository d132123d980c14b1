//! The value of an option for the type of its field.

use super::aggregate;
use super::interpret::Failed;
use crate::ast::{OptionValue, Type, Uninterpreted};
use crate::link::Linker;
use crate::pool::FieldId;
use crate::wire::{self, Value};

impl Linker<'_> {
    pub(super) fn option_value(
        &mut self,
        option: &Uninterpreted,
        field: FieldId,
        known: bool,
    ) -> Result<Value, Failed> {
        let node = self.types(known).field(field);
        let name = node.name.clone();
        let field_type = node.field_type.unwrap_or(Type::Int32);
        match field_type {
            Type::Int32 | Type::Sint32 | Type::Sfixed32 => {
                let value =
                    self.signed(option, &name, "int32", i64::from(i32::MIN), 0x7fff_ffff)?;
                let value = i32::try_from(value).unwrap_or_default();
                Ok(match field_type {
                    Type::Sint32 => Value::Varint(u64::from(zigzag(value))),
                    Type::Sfixed32 => Value::Fixed32(value.cast_unsigned()),
                    _ => Value::Varint(wire::sign_extended(value)),
                })
            }
            Type::Int64 | Type::Sint64 | Type::Sfixed64 => {
                let value = self.signed(option, &name, "int64", i64::MIN, i64::MAX)?;
                Ok(match field_type {
                    Type::Sint64 => Value::Varint(zigzag64(value)),
                    Type::Sfixed64 => Value::Fixed64(value.cast_unsigned()),
                    _ => Value::Varint(value.cast_unsigned()),
                })
            }
            Type::Uint32 | Type::Fixed32 => {
                let value = self.unsigned(option, &name, "uint32", u64::from(u32::MAX))?;
                Ok(match field_type {
                    Type::Fixed32 => Value::Fixed32(u32::try_from(value).unwrap_or_default()),
                    _ => Value::Varint(value),
                })
            }
            Type::Uint64 | Type::Fixed64 => {
                let value = self.unsigned(option, &name, "uint64", u64::MAX)?;
                Ok(match field_type {
                    Type::Fixed64 => Value::Fixed64(value),
                    _ => Value::Varint(value),
                })
            }
            Type::Float => {
                Ok(Value::Fixed32((self.double(option, &name, "float")? as f32).to_bits()))
            }
            Type::Double => Ok(Value::Fixed64(self.double(option, &name, "double")?.to_bits())),
            Type::Bool => match &option.value {
                OptionValue::Identifier(value) if value == "true" => Ok(Value::Varint(1)),
                OptionValue::Identifier(value) if value == "false" => Ok(Value::Varint(0)),
                OptionValue::Identifier(_) => self.value_error(
                    option,
                    format!("Value must be \"true\" or \"false\" for boolean option \"{name}\"."),
                ),
                _ => self.value_error(
                    option,
                    format!("Value must be identifier for boolean option \"{name}\"."),
                ),
            },
            Type::Enum => self.enum_value(option, field, known),
            Type::String | Type::Bytes => match &option.value {
                OptionValue::String(value) => Ok(Value::Bytes(value.clone())),
                _ => self.value_error(
                    option,
                    format!("Value must be quoted string for string option \"{name}\"."),
                ),
            },
            Type::Message | Type::Group => self.aggregate_value(option, field, known),
        }
    }

    fn signed(
        &mut self,
        option: &Uninterpreted,
        name: &str,
        what: &str,
        min: i64,
        max: i64,
    ) -> Result<i64, Failed> {
        let value = match option.value {
            OptionValue::Positive(value) => i64::try_from(value).ok(),
            OptionValue::Negative(value) => Some(value),
            _ => {
                let message = format!(
                    "Value must be integer, from {min} to {max}, for {what} option \"{name}\"."
                );
                return self.value_error(option, message);
            }
        };
        match value {
            Some(value) if (min..=max).contains(&value) => Ok(value),
            _ => {
                let message =
                    format!("Value out of range, {min} to {max}, for {what} option \"{name}\".");
                self.value_error(option, message)
            }
        }
    }

    fn unsigned(
        &mut self,
        option: &Uninterpreted,
        name: &str,
        what: &str,
        max: u64,
    ) -> Result<u64, Failed> {
        match option.value {
            OptionValue::Positive(value) if value <= max => Ok(value),
            OptionValue::Positive(_) => {
                let message =
                    format!("Value out of range, 0 to {max}, for {what} option \"{name}\".");
                self.value_error(option, message)
            }
            _ => {
                let message = format!(
                    "Value must be integer, from 0 to {max}, for {what} option \"{name}\"."
                );
                self.value_error(option, message)
            }
        }
    }

    fn double(&mut self, option: &Uninterpreted, name: &str, what: &str) -> Result<f64, Failed> {
        match &option.value {
            OptionValue::Double(value) => Ok(*value),
            OptionValue::Positive(value) => Ok(*value as f64),
            OptionValue::Negative(value) => Ok(*value as f64),
            OptionValue::Identifier(value) if value == "inf" => Ok(f64::INFINITY),
            OptionValue::Identifier(value) if value == "nan" => Ok(f64::NAN),
            _ => self
                .value_error(option, format!("Value must be number for {what} option \"{name}\".")),
        }
    }

    fn enum_value(
        &mut self,
        option: &Uninterpreted,
        field: FieldId,
        known: bool,
    ) -> Result<Value, Failed> {
        let types = self.types(known);
        let node = types.field(field);
        let name = node.name.clone();
        let OptionValue::Identifier(value) = &option.value else {
            let message = format!("Value must be identifier for enum-valued option \"{name}\".");
            return self.value_error(option, message);
        };
        let Some(id) = node.enumeration else { return Err(Failed) };
        let number = types.value_named(id, value).map(|value| value.number);
        let enum_name = types.enumeration(id).name.clone();
        if let Some(number) = number {
            if !known {
                // The file with the enum is used.
                let own = types.enumeration(id).own;
                let full = format!("{}{value}", &enum_name[..own]);
                self.find_anywhere(&full);
            }
            return Ok(Value::Varint(wire::sign_extended(number)));
        }
        let own = types.enumeration(id).own;
        let sibling = types.symbol(&format!("{}{value}", &enum_name[..own]));
        let more = match sibling {
            // Protoc does not look into the descriptors that it brings along.
            Some(crate::pool::Symbol::Value(..)) if !known => {
                " This appears to be a value from a sibling type."
            }
            _ => "",
        };
        let message = format!(
            "Enum type \"{enum_name}\" has no value named \"{value}\" for option \"{name}\".{more}"
        );
        let values = types.enumeration(id).values.iter().map(|value| value.name.as_str());
        let near = crate::link::nearest(value, values);
        let help = near.map(|near| format!("did you mean {near}?"));
        self.error_place(option.value_at, message, help);
        Err(Failed)
    }

    fn aggregate_value(
        &mut self,
        option: &Uninterpreted,
        field: FieldId,
        known: bool,
    ) -> Result<Value, Failed> {
        let node = self.types(known).field(field);
        let name = node.name.clone();
        let own = node.own_name().to_owned();
        let is_group = node.field_type == Some(Type::Group);
        let Some(message) = node.message else { return Err(Failed) };
        let OptionValue::Aggregate(text) = &option.value else {
            let message = format!(
                "Option \"{name}\" is a message. To set the entire message, use syntax like \
                 \"{own} = {{ <proto text format> }}\". To set fields within it, use syntax like \
                 \"{own}.foo = value\"."
            );
            return self.value_error(option, message);
        };
        match aggregate::parse(self, known, message, text) {
            Ok(records) if is_group => Ok(Value::Group(records)),
            Ok(records) => Ok(Value::Message(records)),
            Err(why) => {
                let message = format!("Error while parsing option value for \"{own}\": {why}");
                self.value_error(option, message)
            }
        }
    }
}

fn zigzag(value: i32) -> u32 {
    ((value << 1) ^ (value >> 31)).cast_unsigned()
}

fn zigzag64(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

/// The wire form of an integer of the type.
pub(super) fn integer(field_type: Type, value: i64) -> Value {
    match field_type {
        Type::Sint32 => Value::Varint(u64::from(zigzag(value as i32))),
        Type::Sint64 => Value::Varint(zigzag64(value)),
        Type::Sfixed32 => Value::Fixed32((value as i32).cast_unsigned()),
        Type::Sfixed64 => Value::Fixed64(value.cast_unsigned()),
        _ => Value::Varint(value.cast_unsigned()),
    }
}
