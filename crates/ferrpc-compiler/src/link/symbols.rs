//! Names: adding them, and finding what they stand for.
//!
//! A name without a dot in front is looked up in the scope around it, then in the scope around
//! that. Only its first part is: once a scope has that, the rest must be in there. What other
//! files define is found if the file imports them, or what they import publicly.

use super::Linker;
use crate::ast::Visibility;
use crate::features::DefaultVisibility;
use crate::pool::{FileId, Name, Symbol};
use crate::well_known::WELL_KNOWN_FILES;

impl Linker<'_> {
    /// Adds the package and those around it to the symbols; false if nothing else makes sense.
    pub(super) fn declare_package(&mut self, ast: &crate::ast::File) -> bool {
        let package = ast.package.as_str();
        if package.len() > MAX_PACKAGE_LENGTH {
            self.error(&[2], "Package name is too long");
            return false;
        }
        if package.matches('.').count() > MAX_PACKAGE_DOTS {
            self.error(&[2], "Exceeds Maximum Package Depth");
            return false;
        }
        let ends = package.match_indices('.').map(|(at, _)| at).chain([package.len()]);
        let ends: Vec<usize> = ends.filter(|end| *end > 0).collect();
        for end in ends.into_iter().rev() {
            let name = &package[..end];
            match self.pool.symbol(name) {
                None => {
                    let name: Name = name.into();
                    self.pool.add_symbol(name.clone(), Symbol::Package(self.file));
                    self.added_symbols.push(name);
                }
                Some(Symbol::Package(_)) => break,
                Some(other) => {
                    let file = self.file_name_of(other);
                    self.error(
                        &[2],
                        format!(
                            "\"{name}\" is already defined (as something other than a package) in \
                             file \"{file}\"."
                        ),
                    );
                    break;
                }
            }
        }
        true
    }

    fn file_name_of(&self, symbol: Symbol) -> String {
        let file = self.pool.file_of(symbol);
        match file == self.file {
            true => self.file_name.clone(),
            false => self.pool.file(file).ast.name.clone(),
        }
    }

    /// Adds a name; false, with an error at the current element's name, if it is taken.
    pub(super) fn add_symbol(&mut self, name: &Name, symbol: Symbol) -> bool {
        if self.pool.add_symbol(name.clone(), symbol) {
            self.added_symbols.push(name.clone());
            return true;
        }
        let other = self.pool.symbol(name).unwrap_or(symbol);
        let message = if self.pool.file_of(other) != self.file {
            let file = self.file_name_of(other);
            format!("\"{name}\" is already defined in file \"{file}\".")
        } else {
            match name.rsplit_once('.') {
                Some((scope, own)) => format!("\"{own}\" is already defined in \"{scope}\"."),
                None => format!("\"{name}\" is already defined."),
            }
        };
        self.error(&[1], message);
        false
    }

    /// A symbol wherever it is defined; the import that has it is used then.
    pub(crate) fn find_anywhere(&mut self, name: &str) -> Option<Symbol> {
        let symbol = self.pool.symbol(name)?;
        if !matches!(symbol, Symbol::Package(_)) && !self.unused.is_empty() {
            let file = self.pool.file_of(symbol);
            self.unused.retain(|unused| *unused != file);
        }
        Some(symbol)
    }

    /// A symbol by its full name, if the file can see it.
    pub(crate) fn find(&mut self, name: &str) -> Option<Symbol> {
        let symbol = self.find_anywhere(name)?;
        let file = self.pool.file_of(symbol);
        let visible = file == self.file
            || self.visible.contains(&file)
            || matches!(symbol, Symbol::Field(_)) && self.option_visible.contains(&file)
            || matches!(symbol, Symbol::Package(_)) && self.sees_package(name);
        if visible {
            return Some(symbol);
        }
        self.undeclared = Some((file, name.to_owned()));
        None
    }

    fn sees_package(&self, name: &str) -> bool {
        let inside = |package: &str| {
            package.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        inside(&self.package)
            || self
                .visible
                .iter()
                .chain(&self.option_visible)
                .any(|file| inside(&self.pool.file(*file).ast.package))
    }

    /// What a name stands for in the scope of the element with the full name `from`.
    pub(crate) fn look_up(&mut self, name: &str, from: &str, only_types: bool) -> Option<Symbol> {
        self.undeclared = None;
        self.undefined = None;
        if let Some(full) = name.strip_prefix('.') {
            return self.find(full);
        }
        let first = name.split('.').next().unwrap_or_default();
        let mut scope = from;
        while let Some((outer, _)) = scope.rsplit_once('.') {
            scope = outer;
            let candidate = format!("{scope}.{first}");
            let Some(found) = self.find(&candidate) else { continue };
            if first.len() < name.len() {
                if found.is_aggregate() {
                    let full = format!("{scope}.{name}");
                    let found = self.find(&full);
                    if found.is_none() {
                        self.undefined = Some(full);
                    }
                    return found;
                }
            } else if !only_types || found.is_type() {
                return Some(found);
            }
        }
        self.find(name)
    }

    /// Reports that the last look-up found nothing.
    pub(super) fn not_defined(&mut self, below: &[i32], name: &str) {
        if self.undeclared.is_none() && self.undefined.is_none() {
            let import = |full: &str| Some(format!("add: import \"{}\";", well_known_file(full)?));
            let well_known = name.trim_start_matches('.').strip_prefix("google.protobuf.");
            let help =
                well_known.and_then(import).or_else(|| self.similar_name(name)).or_else(|| {
                    Some(format!("did you mean google.protobuf.{name}? {}", import(name)?))
                });
            self.error_with_help(below, format!("\"{name}\" is not defined."), help);
            return;
        }
        if let Some((file, full)) = self.undeclared.take() {
            let file = self.pool.file(file).ast.name.clone();
            let own = &self.file_name;
            let message = format!(
                "\"{full}\" seems to be defined in \"{file}\", which is not imported by \
                 \"{own}\".  To use it here, please add the necessary import."
            );
            self.error_with_help(below, message, Some(format!("add: import \"{file}\";")));
        }
        if let Some(full) = self.undefined.take() {
            let message = format!(
                "\"{name}\" is resolved to \"{full}\", which is not defined. The innermost scope \
                 is searched first in name resolution. Consider using a leading '.'(i.e., \
                 \".{name}\") to start from the outermost scope."
            );
            self.error_with_help(below, message, Some(format!("write .{name}")));
        }
    }

    pub(crate) fn take_undefined(&mut self) -> Option<String> {
        self.undefined.take()
    }

    pub(crate) fn clear_undefined(&mut self) {
        self.undefined = None;
    }

    /// Why a message or enum of another file cannot be used, if it cannot.
    pub(super) fn visibility_error(&self, symbol: Symbol, usage: &str) -> Option<String> {
        let (name, file, nested, visibility, features) = match symbol {
            Symbol::Message(id) => {
                let node = self.pool.message(id);
                (&node.name, node.file, node.parent.is_some(), node.visibility, node.features)
            }
            Symbol::Enum(id) => {
                let node = self.pool.enumeration(id);
                (&node.name, node.file, node.parent.is_some(), node.visibility, node.features)
            }
            _ => return None,
        };
        let default = features.default_visibility();
        let local = match (visibility, default) {
            _ if file == self.file => false,
            (Visibility::Export, _) | (_, DefaultVisibility::ExportAll) => {
                visibility == Visibility::Local
            }
            (Visibility::Local, _) => true,
            (Visibility::Unset, DefaultVisibility::ExportTopLevel) => nested,
            (Visibility::Unset, _) => true,
        };
        if !local {
            return None;
        }
        let reason = match visibility {
            Visibility::Local => "It is explicitly marked 'local'".to_owned(),
            _ => format!(
                "It defaulted to local from file-level 'option features.default_symbol_visibility \
                 = '{}';",
                default.name()
            ),
        };
        let defined = &self.pool.file(file).ast.name;
        let own = &self.file_name;
        Some(format!(
            "Symbol \"{name}\", defined in \"{defined}\" {usage} is not visible from \"{own}\". \
             {reason} and cannot be accessed outside its own file"
        ))
    }

    pub(super) fn is_own(&self, file: FileId) -> bool {
        file == self.file
    }
}

/// The bundled file that defines `google.protobuf.OWN`.
fn well_known_file(own: &str) -> Option<&'static str> {
    let defines = |text: &str| {
        text.lines().any(|line| {
            let rest = line.strip_prefix("message ").or_else(|| line.strip_prefix("enum "));
            rest.and_then(|rest| rest.split_whitespace().next()) == Some(own)
        })
    };
    let files = WELL_KNOWN_FILES.iter();
    files.filter(|(_, text)| defines(text)).map(|(file, _)| *file).next()
}

/// Bytes of a package's name.
const MAX_PACKAGE_LENGTH: usize = 511;
const MAX_PACKAGE_DOTS: usize = 100;
