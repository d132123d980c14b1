//! JSON objects with their place, and errors gathered over all of them.

use serde_json::{Map, Value};

use super::FieldError;

/// The errors of all fields.
#[derive(Default)]
pub(super) struct Errors(pub(super) Vec<FieldError>);

impl Errors {
    pub(super) fn add(&mut self, path: &str, problem: impl Into<String>) {
        self.0.push(FieldError { path: path.to_owned(), problem: problem.into() });
    }
}

/// An object, and where it stands.
pub(super) struct Object<'a> {
    fields: &'a Map<String, Value>,
    path: String,
}

impl<'a> Object<'a> {
    /// The value as an object; an error if it is another kind of value.
    pub(super) fn new(value: &'a Value, path: String, errors: &mut Errors) -> Option<Self> {
        match value.as_object() {
            Some(fields) => Some(Self { fields, path }),
            None => {
                errors.add(&path, "is not an object");
                None
            }
        }
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// The path of one of its fields.
    pub(super) fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// A field; null is as if it was not there.
    pub(super) fn get(&self, name: &str) -> Option<&'a Value> {
        self.fields.get(name).filter(|value| !value.is_null())
    }

    /// A field that must be there.
    pub(super) fn required(&self, name: &str, errors: &mut Errors) -> Option<&'a Value> {
        let value = self.get(name);
        if value.is_none() {
            errors.add(&self.path_of(name), "field not present");
        }
        value
    }

    pub(super) fn object(&self, name: &str, errors: &mut Errors) -> Option<Self> {
        Self::new(self.get(name)?, self.path_of(name), errors)
    }

    /// The elements of an array, each with its path.
    pub(super) fn array(&self, name: &str, errors: &mut Errors) -> Vec<(&'a Value, String)> {
        let path = self.path_of(name);
        // Unlike elsewhere null is an error, as in gRPC's C core.
        match self.fields.get(name) {
            None => Vec::new(),
            Some(Value::Array(values)) => values
                .iter()
                .enumerate()
                .map(|(index, value)| (value, format!("{path}[{index}]")))
                .collect(),
            Some(_) => {
                errors.add(&path, "is not an array");
                Vec::new()
            }
        }
    }

    pub(super) fn boolean(&self, name: &str, errors: &mut Errors) -> Option<bool> {
        let value = self.get(name)?;
        self.read(name, errors, value.as_bool().ok_or("is not a boolean"))
    }

    pub(super) fn text(&self, name: &str, errors: &mut Errors) -> Option<&'a str> {
        let value = self.get(name)?;
        self.read(name, errors, value.as_str().ok_or("is not a string"))
    }

    pub(super) fn count(&self, name: &str, errors: &mut Errors) -> Option<u32> {
        let value = self.get(name)?;
        self.read(name, errors, count(value))
    }

    /// The value, or the error added.
    pub(super) fn read<T>(
        &self,
        name: &str,
        errors: &mut Errors,
        value: Result<T, &'static str>,
    ) -> Option<T> {
        value.map_err(|problem| errors.add(&self.path_of(name), problem)).ok()
    }
}

/// A number that is not negative, as a number or (as protobuf's JSON allows) a string.
pub(super) fn count(value: &Value) -> Result<u32, &'static str> {
    let number = match value {
        Value::Number(number) => number.as_u64().and_then(|number| u32::try_from(number).ok()),
        Value::String(text) => text.parse().ok(),
        _ => return Err("is not a number"),
    };
    number.ok_or("failed to parse non-negative number")
}

/// A number with a fraction, as a number or a string.
pub(super) fn fraction(value: &Value) -> Result<f64, &'static str> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.parse().ok(),
        _ => return Err("is not a number"),
    };
    number.filter(|number| number.is_finite()).ok_or("failed to parse floating-point number")
}
