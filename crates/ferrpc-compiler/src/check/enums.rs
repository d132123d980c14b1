//! Enums: values that are alike, aliases, and a first value of zero.

use std::collections::HashMap;

use crate::ast::{Edition, Enum};
use crate::link::{Linker, position};
use crate::options::notes::{self, numbers};
use crate::wire;

impl Linker<'_> {
    pub(super) fn check_enum(&mut self, defined: &Enum) {
        self.check_alike(defined);
        let node = self.pool.enumeration(defined.id);
        let closed = node.features.is_closed();
        let scope = node.name[..node.own].to_owned();
        if !closed && defined.values.first().is_some_and(|value| value.number != 0) {
            self.error(&[2, 0, 2], "The first enum value must be zero for open enums.");
        }
        if !wire::boolean(notes::records(&defined.options), numbers::ENUM_ALLOW_ALIAS) {
            self.check_aliases(defined, &scope);
        }
        for (at, value) in defined.values.iter().enumerate() {
            let node = &self.pool.enumeration(defined.id).values[at];
            let full = format!("{scope}{}", value.name);
            if let Some(why) = node.support.as_ref().and_then(|support| support.fault(&full)) {
                self.error(&[2, position(at), 1], why);
            }
        }
    }

    /// Values differ without the enum's name in front of them, whatever their case.
    fn check_alike(&mut self, defined: &Enum) {
        let prefix: String = defined.name.chars().filter(|it| *it != '_').collect();
        let prefix = prefix.to_ascii_lowercase();
        let mut seen: HashMap<String, &crate::ast::EnumValue> = HashMap::new();
        let legacy = wire::boolean(notes::records(&defined.options), LEGACY_JSON_CONFLICTS);
        for (at, value) in defined.values.iter().enumerate() {
            let stripped = pascal_case(without_prefix(&prefix, &value.name));
            let Some(other) = seen.get(&stripped) else {
                seen.insert(stripped, value);
                continue;
            };
            if other.name == value.name || other.number == value.number {
                continue;
            }
            let message = format!(
                "Enum name {} has the same name as {} if you ignore case and strip out the enum \
                 name prefix (if any). (If you are using allow_alias, please assign the same \
                 number to each enum value name.)",
                value.name, other.name
            );
            let path = [2, position(at), 1];
            match legacy && self.edition == Edition::PROTO2 {
                true => self.warning(&path, message),
                false => self.error(&path, message),
            }
        }
    }

    fn check_aliases(&mut self, defined: &Enum, scope: &str) {
        let mut first: HashMap<i32, &str> = HashMap::new();
        let mut free: Option<FreeAbove> = None;
        for (at, value) in defined.values.iter().enumerate() {
            let Some(other) = first.get(&value.number) else {
                first.insert(value.number, &value.name);
                continue;
            };
            let next = free.get_or_insert_with(|| FreeAbove::new(defined)).above(value.number);
            let more = match next < i64::from(i32::MAX) {
                true => format!(" The next available enum value is {next}."),
                false => String::new(),
            };
            let own = &value.name;
            let message = format!(
                "\"{scope}{own}\" uses the same enum value as \"{scope}{other}\". If this is \
                 intended, set 'option allow_alias = true;' to the enum definition.{more}"
            );
            self.error(&[2, position(at), 2], message);
        }
    }
}

/// The numbers of an enum, for the next one that is free.
struct FreeAbove {
    used: Vec<i64>,
    /// For each of them the first number above that is not used.
    free: Vec<i64>,
}

impl FreeAbove {
    fn new(defined: &Enum) -> Self {
        let mut used: Vec<i64> = defined.values.iter().map(|it| i64::from(it.number)).collect();
        used.sort_unstable();
        used.dedup();
        let mut free: Vec<i64> = used.iter().map(|number| number + 1).collect();
        for at in (1..used.len()).rev() {
            if free[at - 1] == used[at] {
                free[at - 1] = free[at];
            }
        }
        Self { used, free }
    }

    fn above(&self, number: i32) -> i64 {
        let number = i64::from(number);
        self.used.binary_search(&number).map_or(number + 1, |at| self.free[at])
    }
}

/// The name without the prefix, which is in lower case and without underscores; the whole name if
/// that is not in front of it, or nothing would be left.
fn without_prefix<'a>(prefix: &str, name: &'a str) -> &'a str {
    let mut wanted = prefix.bytes();
    let mut next = wanted.next();
    let mut end = 0;
    for (at, character) in name.bytes().enumerate() {
        if next.is_none() {
            break;
        }
        end = at + 1;
        if character == b'_' {
            continue;
        }
        if Some(character.to_ascii_lowercase()) != next {
            return name;
        }
        next = wanted.next();
    }
    let rest = name[end..].trim_start_matches('_');
    if next.is_some() || rest.is_empty() { name } else { rest }
}

fn pascal_case(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut upper = true;
    for character in name.chars() {
        if character == '_' {
            upper = true;
            continue;
        }
        out.push(match upper {
            true => character.to_ascii_uppercase(),
            false => character.to_ascii_lowercase(),
        });
        upper = false;
    }
    out
}

/// `EnumOptions.deprecated_legacy_json_field_conflicts`.
const LEGACY_JSON_CONFLICTS: u32 = 6;
