//! Options whose values are not for everybody's eyes. What says so is lost to programs if a file is
//! imported for its options only, so that is refused.

use std::collections::HashSet;

use crate::ast::{Field, Message};
use crate::link::Linker;
use crate::pool::{FieldNode, MessageId, Pool};

impl Linker<'_> {
    pub(crate) fn check_redaction(&mut self) {
        let files = self.pool.file(self.file).option_dependencies.clone();
        for file in files.into_iter().flatten() {
            let ast = &self.pool.file(file).ast;
            let mut extensions = Vec::new();
            ast.messages.iter().for_each(|message| extensions_in(message, &mut extensions));
            extensions.extend(&ast.extensions);
            let mut seen = HashSet::new();
            // As protoc does, of several the last one is named.
            let mut found = extensions.into_iter().rev().map(|field| self.pool.field(field.id));
            let redacted = found.find(|field| is_redacted(self.pool, field, &mut seen));
            let Some(name) = redacted.map(|field| field.name.clone()) else { continue };
            let dependency = &ast.name;
            let text = format!(
                "Option dependency {dependency} contains a custom option {name} marked \
                 debug_redact, which is used to mark fields that need to be redacted in debug \
                 string APIs. Switch to a regular import or remove the debug_redact annotation to \
                 avoid potentially leaking sensitive data."
            );
            self.error(&[], text);
        }
    }
}

fn extensions_in<'a>(message: &'a Message, into: &mut Vec<&'a Field>) {
    message.nested.iter().for_each(|nested| extensions_in(nested, into));
    into.extend(&message.extensions);
}

/// Whether the field, or one of its message, is of an enum with such a value.
fn is_redacted(pool: &Pool, field: &FieldNode, seen: &mut HashSet<MessageId>) -> bool {
    let mut open: Vec<MessageId> = field.message.into_iter().collect();
    let mut found = field.enumeration.is_some_and(|id| pool.enumeration(id).redacted);
    let mut own = HashSet::new();
    while let Some(message) = open.pop() {
        if seen.contains(&message) || !own.insert(message) {
            continue;
        }
        for field in &pool.message(message).fields {
            let field = pool.field(*field);
            found |= field.enumeration.is_some_and(|id| pool.enumeration(id).redacted);
            open.extend(field.message);
        }
    }
    // What was looked at in vain is not looked at again.
    if !found {
        seen.extend(own);
    }
    found
}
