//! JSON names of a message's fields are unique.

use std::collections::HashMap;

use crate::ast::{Field, Message};
use crate::link::{Linker, position};
use crate::options::notes;
use crate::wire;

struct JsonName<'a> {
    field: &'a Field,
    name: String,
    is_custom: bool,
}

impl Linker<'_> {
    /// With and without the option `json_name`, since field masks do not know that.
    pub(super) fn check_json_names(&mut self, message: &Message) {
        if wire::boolean(notes::records(&message.options), LEGACY_JSON_CONFLICTS) {
            return;
        }
        self.json_clashes(message, false);
        if message.fields.iter().any(|field| field.json_name.is_some()) {
            self.json_clashes(message, true);
        }
    }

    fn json_clashes(&mut self, message: &Message, use_custom: bool) {
        let lenient = self.pool.message(message.id).features.is_best_effort_json();
        let mut seen: HashMap<String, JsonName<'_>> = HashMap::new();
        for (at, field) in message.fields.iter().enumerate() {
            let own = JsonName::of(field, use_custom);
            let path = [2, position(at), 1];
            if own.is_custom && own.name.starts_with('[') && own.name.ends_with(']') {
                self.error(
                    &path,
                    format!(
                        "The custom JSON name of field \"{}\" (\"{}\") is invalid: JSON names may \
                         not start with '[' and end with ']'.",
                        field.name, own.name
                    ),
                );
                continue;
            }
            let Some(other) = seen.get(&own.name) else {
                seen.insert(own.name.clone(), own);
                continue;
            };
            if use_custom && !own.is_custom && !other.is_custom {
                continue;
            }
            let kind = |name: &JsonName<'_>| if name.is_custom { "custom" } else { "default" };
            let text = format!(
                "The {} JSON name of field \"{}\" (\"{}\") conflicts with the {} JSON name of field \
                 \"{}\".",
                kind(&own),
                field.name,
                own.name,
                kind(other),
                other.field.name
            );
            match lenient && (!own.is_custom || !other.is_custom) {
                true => self.warning(&path, text),
                false => self.error(&path, text),
            }
        }
    }
}

impl<'a> JsonName<'a> {
    fn of(field: &'a Field, use_custom: bool) -> Self {
        let default = json_name(&field.name);
        match &field.json_name {
            Some(custom) if use_custom && custom.as_slice() != default.as_bytes() => {
                let name = String::from_utf8_lossy(custom).into_owned();
                Self { field, name, is_custom: true }
            }
            _ => Self { field, name: default, is_custom: false },
        }
    }
}

/// `foo_bar` to `fooBar`.
pub(crate) fn json_name(field: &str) -> String {
    let mut name = String::with_capacity(field.len());
    let mut capital = false;
    for character in field.chars() {
        if character == '_' {
            capital = true;
            continue;
        }
        name.push(if capital { character.to_ascii_uppercase() } else { character });
        capital = false;
    }
    name
}

/// `MessageOptions.deprecated_legacy_json_field_conflicts`.
const LEGACY_JSON_CONFLICTS: u32 = 11;
