//! Names as the style guide wants them, since edition 2024.

use crate::ast::{Enum, Field, File, Message};
use crate::features::Features;
use crate::link::{Linker, position};
use crate::options::notes;
use crate::options::visit::Owner;
use crate::pool::is_map_entry;

use super::nested_path;

type Style = fn(&str) -> Option<&'static str>;

impl Linker<'_> {
    pub(crate) fn check_style(&mut self, ast: &File) {
        if self.edition.is_legacy() {
            return;
        }
        let file = self.pool.file(self.file).features;
        if !ast.package.is_empty() {
            self.style(file, &[2], "Package", &ast.package, lower_snake);
        }
        for (at, message) in ast.messages.iter().enumerate() {
            self.at(&[4, position(at)], |linker| linker.message_style(message));
        }
        for (at, defined) in ast.enums.iter().enumerate() {
            self.at(&[5, position(at)], |linker| linker.enum_style(defined));
        }
        for (at, field) in ast.extensions.iter().enumerate() {
            self.at(&[7, position(at)], |linker| linker.field_style(field));
        }
        for (at, service) in ast.services.iter().enumerate() {
            self.at(&[6, position(at)], |linker| {
                let own = with(file, &service.options, Owner::Service);
                linker.style(own, &[1], "Service", &service.name, title);
                for (at, method) in service.methods.iter().enumerate() {
                    let own = with(own, &method.options, Owner::Method);
                    linker.style(own, &[2, position(at), 1], "Method", &method.name, title);
                }
            });
        }
    }

    fn message_style(&mut self, message: &Message) {
        let own = self.pool.message(message.id).features;
        self.style(own, &[1], "Message", &message.name, title);
        for (at, defined) in message.enums.iter().enumerate() {
            self.at(&[4, position(at)], |linker| linker.enum_style(defined));
        }
        for (at, oneof) in message.oneofs.iter().enumerate() {
            let own = with(own, &oneof.options, Owner::Oneof);
            self.style(own, &[8, position(at), 1], "Oneof", &oneof.name, lower_snake);
            let path = [8, position(at), 1];
            self.collision_style(own, &path, "Oneof", &oneof.name, Some(message));
        }
        let entry = is_map_entry(message);
        for (at, field) in message.fields.iter().enumerate() {
            let path: &[i32] = if entry { &[] } else { &[2, position(at)] };
            self.at(path, |linker| {
                linker.field_style(field);
                let own = linker.pool.field(field.id).features;
                linker.collision_style(own, &[1], "Field", &field.name, Some(message));
            });
        }
        for (at, nested) in message.nested.iter().enumerate() {
            self.at(&nested_path(nested, at), |linker| linker.message_style(nested));
        }
        for (at, field) in message.extensions.iter().enumerate() {
            self.at(&[6, position(at)], |linker| linker.field_style(field));
        }
    }

    fn field_style(&mut self, field: &Field) {
        let own = self.pool.field(field.id).features;
        self.style(own, &[1], "Field", &field.name, lower_snake);
    }

    fn enum_style(&mut self, defined: &Enum) {
        let own = self.pool.enumeration(defined.id).features;
        self.style(own, &[1], "Enum", &defined.name, title);
        for (at, value) in defined.values.iter().enumerate() {
            let own = with(own, &value.options, Owner::Value);
            self.style(own, &[2, position(at), 1], "Enum value", &value.name, upper_snake);
        }
    }

    fn style(&mut self, features: Features, below: &[i32], what: &str, name: &str, style: Style) {
        if !features.enforces_style() {
            return;
        }
        if let Some(why) = style(name) {
            let message = format!(
                "{what} name {name} {why} (features.enforce_naming_style = STYLE_LEGACY can be \
                 used to opt out of this check)"
            );
            self.error(below, message);
        }
    }

    /// Names that generated accessors of other fields would have.
    fn collision_style(
        &mut self,
        features: Features,
        below: &[i32],
        what: &str,
        name: &str,
        message: Option<&Message>,
    ) {
        if !features.enforces_style_2026() {
            return;
        }
        let exists = |other: &str| {
            message.is_some_and(|message| {
                message.fields.iter().any(|field| field.name == other)
                    || message.oneofs.iter().any(|oneof| oneof.name == other)
            })
        };
        let prefix = ["has_", "get_", "set_", "clear_"]
            .into_iter()
            .find_map(|prefix| Some((prefix, name.strip_prefix(prefix)?)));
        let why = if let Some((prefix, rest)) = prefix.filter(|(_, rest)| exists(rest)) {
            format!("should not begin with {prefix} if a field named {rest} exists.")
        } else if let Some(rest) = name.strip_suffix("_value").filter(|rest| exists(rest)) {
            format!("should not end with _value if a field named {rest} exists.")
        } else if name == "descriptor" {
            "should not be named descriptor.".to_owned()
        } else {
            return;
        };
        let message = format!(
            "{what} name {name} {why} This can cause collisions in generated code. \
             (features.enforce_naming_style = STYLE2024 can be used to opt out of this check)"
        );
        self.error(below, message);
    }
}

fn with(outer: Features, options: &Option<Box<crate::ast::Options>>, owner: Owner) -> Features {
    match notes::features(options, owner) {
        Some(explicit) => outer.merged(&explicit).unwrap_or(outer),
        None => outer,
    }
}

fn title(name: &str) -> Option<&'static str> {
    if !name.bytes().all(|it| it.is_ascii_alphanumeric()) {
        return Some("should be TitleCase");
    }
    let good = name.starts_with(|first: char| first.is_ascii_uppercase());
    (!good).then_some("should begin with a capital letter")
}

fn lower_snake(name: &str) -> Option<&'static str> {
    let good = |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'_' || it == b'.';
    if !name.bytes().all(good) {
        return Some("should be lower_snake_case");
    }
    if !name.starts_with(|first: char| first.is_ascii_lowercase()) {
        return Some("should begin with a lower case letter");
    }
    has_bad_underscores(name).then_some("contains style violating underscores")
}

fn upper_snake(name: &str) -> Option<&'static str> {
    let good = |it: u8| it.is_ascii_uppercase() || it.is_ascii_digit() || it == b'_';
    if !name.bytes().all(good) {
        return Some("should be UPPER_SNAKE_CASE");
    }
    if !name.starts_with(|first: char| first.is_ascii_uppercase()) {
        return Some("should begin with an upper case letter");
    }
    has_bad_underscores(name).then_some("contains style violating underscores")
}

/// An underscore at an end, or before something else than a letter.
fn has_bad_underscores(name: &str) -> bool {
    let name = name.as_bytes();
    name.starts_with(b"_")
        || name.ends_with(b"_")
        || name.windows(2).any(|pair| pair[0] == b'_' && !pair[1].is_ascii_alphabetic())
}
