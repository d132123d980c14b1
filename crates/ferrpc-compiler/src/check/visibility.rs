//! Nested types that are exported although the file is strict about it.

use crate::ast::{Enum, File, Message, Range, Visibility};
use crate::features::DefaultVisibility;
use crate::link::{Linker, position};
use crate::parser::MAX_FIELD_NUMBER;

use super::nested_path;

impl Linker<'_> {
    pub(crate) fn check_visibility(&mut self, ast: &File) {
        let default = self.pool.file(self.file).features.default_visibility();
        if default != DefaultVisibility::Strict {
            return;
        }
        for (at, message) in ast.messages.iter().enumerate() {
            let is_namespace = is_namespace(message);
            self.at(&[4, position(at)], |linker| linker.nested_visibility(message, is_namespace));
        }
    }

    fn nested_visibility(&mut self, message: &Message, is_namespace: bool) {
        for (at, defined) in message.enums.iter().enumerate() {
            if defined.visibility == Visibility::Export && !is_namespace {
                self.at(&[4, position(at)], |linker| linker.nested_enum(defined));
            }
        }
        for (at, nested) in message.nested.iter().enumerate() {
            self.at(&nested_path(nested, at), |linker| {
                if nested.visibility == Visibility::Export {
                    let name = linker.pool.message(nested.id).name.clone();
                    let text = format!(
                        "\"{name}\" is a nested message and cannot be `export` with STRICT \
                         default_symbol_visibility. It must be moved to top-level, ideally in its \
                         own file in order to be `export`."
                    );
                    linker.error(&[1], text);
                }
                linker.nested_visibility(nested, false);
            });
        }
    }

    fn nested_enum(&mut self, defined: &Enum) {
        let name = self.pool.enumeration(defined.id).name.clone();
        let text = format!(
            "\"{name}\" is a nested enum and cannot be marked `export` with STRICT \
             default_symbol_visibility. It must be moved to top-level, ideally in its own file in \
             order to be `export`. For C++ namespacing of enums in a messages use: `local message \
             <OuterNamespace> {{ export enum {name} {{...}} reserved 1 to max; }}`"
        );
        self.error(&[1], text);
    }
}

/// Whether a top-level message is there for the enums in it only.
fn is_namespace(message: &Message) -> bool {
    message.visibility != Visibility::Export
        && message.reserved_ranges == [Range { start: 1, end: MAX_FIELD_NUMBER + 1 }]
}
