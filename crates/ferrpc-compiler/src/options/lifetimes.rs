//! Options that an edition does not have yet, no longer has, or discourages.

use crate::ast::{Edition, File};
use crate::link::Linker;
use crate::pool::{MessageId, Pool, Support};
use crate::wire::{self, Record, Records, Value};

use super::visit::visit;

impl Linker<'_> {
    /// Checks the options of all elements; warnings are for files that were asked for.
    pub(crate) fn check_lifetimes(&mut self, ast: &mut File, is_input: bool) {
        let mut found = Vec::new();
        visit(ast, &mut |element| {
            let Some(options) = element.options else { return };
            if options.records.is_empty() {
                return;
            }
            let type_name = element.owner.type_name();
            let (types, message) = match (self.pool.message_named(type_name), self.known) {
                (Some(message), _) => (&*self.pool, message),
                (None, Some(known)) => match known.message_named(type_name) {
                    Some(message) => (known, message),
                    None => return,
                },
                (None, None) => return,
            };
            let mut results = Vec::new();
            check(types, message, &options.records, self.edition, &mut results);
            // Protoc reports them at the name of the element.
            let path = &element.path[..element.path.len() - 1];
            found.extend(results.into_iter().map(|result| (path.to_vec(), result)));
        });
        for (path, (is_error, message)) in found {
            let name = if path.is_empty() { vec![2] } else { [&path[..], &[1]].concat() };
            match is_error {
                true => self.error_at(name, message),
                false if is_input => self.warning_at(name, message),
                false => {}
            }
        }
    }
}

fn check(
    types: &Pool,
    message: MessageId,
    records: &[Record],
    edition: Edition,
    out: &mut Vec<(bool, String)>,
) {
    for record in records {
        let number = i32::try_from(record.number).unwrap_or_default();
        let Some(field) = types.field_numbered(message, number) else { continue };
        let node = types.field(field);
        match (&record.value, node.message) {
            (Value::Message(inner) | Value::Group(inner), Some(message)) => {
                check(types, message, inner, edition, out);
            }
            (Value::Bytes(bytes), Some(message)) => {
                let inner: Records = wire::decode(bytes).unwrap_or_default();
                check(types, message, &inner, edition, out);
            }
            (Value::Varint(number), _) => {
                let values = node.enumeration.map(|id| types.enumeration(id));
                let value = values.and_then(|node| {
                    let same = |value: &&crate::pool::ValueNode| {
                        wire::sign_extended(value.number) == *number
                    };
                    Some((node, node.values.iter().find(same)?))
                });
                if let Some((node, value)) = value
                    && let Some(support) = &value.support
                {
                    let full = format!("{}{}", &node.name[..node.own], value.name);
                    support.check(&full, edition, out);
                }
            }
            _ => {}
        }
        if let Some(support) = &node.support {
            support.check(&node.name, edition, out);
        }
    }
}

impl Support {
    fn check(&self, name: &str, edition: Edition, out: &mut Vec<(bool, String)>) {
        if let Some(introduced) = self.introduced.filter(|it| edition < *it) {
            let message = format!(
                "{name} wasn't introduced until edition {introduced} and can't be used in edition \
                 {edition}"
            );
            out.push((true, message));
        }
        if let Some(removed) = self.removed.filter(|it| edition >= *it) {
            let why = self.removal_error.as_ref().map(|why| format!(": {why}"));
            let why = why.unwrap_or_default();
            out.push((true, format!("{name} has been removed in edition {removed}{why}")));
        } else if let Some(deprecated) = self.deprecated.filter(|it| edition >= *it) {
            let why = self.warning.as_deref().unwrap_or_default();
            let message = format!("{name} has been deprecated in edition {deprecated}: {why}");
            out.push((false, message));
        }
    }

    /// Reads a `FeatureSupport`.
    pub(crate) fn read(records: &[Record]) -> Self {
        let edition = |number| {
            let number = wire::varint(records, number)?;
            Some(Edition(i32::try_from(number).ok()?))
        };
        let text = |number| {
            wire::bytes(records, number).map(|text| String::from_utf8_lossy(text).into_owned())
        };
        Self {
            introduced: edition(1),
            deprecated: edition(2),
            warning: text(3),
            removed: edition(4),
            removal_error: text(5),
        }
    }

    /// Why the editions contradict each other, if they do.
    pub(crate) fn fault(&self, name: &str) -> Option<String> {
        let introduced = self.introduced.unwrap_or_default();
        if let Some(deprecated) = self.deprecated {
            if deprecated < introduced {
                return Some(format!("{name} was deprecated before it was introduced."));
            }
            if self.warning.is_none() {
                return Some(format!(
                    "{name} is deprecated but does not specify a deprecation warning."
                ));
            }
        } else if self.warning.is_some() {
            return Some(format!(
                "{name} specifies a deprecation warning but is not marked deprecated in any \
                 edition."
            ));
        }
        let Some(removed) = self.removed else {
            return self.removal_error.as_ref().map(|_| {
                format!(
                    "{name} specifies a removal error but is not marked removed in any edition."
                )
            });
        };
        if self.deprecated.unwrap_or_default() >= removed {
            return Some(format!("{name} was deprecated after it was removed."));
        }
        if removed < introduced {
            return Some(format!("{name} was removed before it was introduced."));
        }
        if introduced != removed && self.removal_error.is_none() {
            return Some(format!("{name} has been removed but does not specify a removal error."));
        }
        None
    }

    /// The support of an enum's value: what it does not say itself is its field's.
    pub(crate) fn of_value(&self, value: &Self) -> Self {
        Self {
            introduced: value.introduced.or(self.introduced),
            deprecated: value.deprecated.or(self.deprecated),
            warning: value.warning.clone().or_else(|| self.warning.clone()),
            removed: value.removed.or(self.removed),
            removal_error: value.removal_error.clone().or_else(|| self.removal_error.clone()),
        }
    }
}
