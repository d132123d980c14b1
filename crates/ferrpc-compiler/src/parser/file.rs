//! What stands at the top of a file.

use super::{Parsed, Parser, Skip};
use crate::ast::{Edition, Enum, Message, Service, Visibility};
use crate::source_info::At;

impl Parser<'_> {
    pub(super) fn file(&mut self) {
        self.upcoming = self.lexer.next_with_comments();
        let token = self.token();
        let root = self.file.locations.open(None, &[], (token.line, token.column));
        if self.looking_at("syntax") || self.looking_at("edition") {
            if self.syntax(root).is_err() {
                return;
            }
        } else {
            let message = format!(
                "No edition or syntax specified for the proto file: {}. Please use 'edition = \
                 \"YYYY\";' to specify a valid edition version. (Defaulted to \"syntax = \
                 \"proto2\";\".)",
                self.file.name
            );
            self.warning(NOWHERE, message);
        }
        while !self.at_end() {
            if self.statement(root).is_err() {
                self.skip_statement();
                if self.looking_at("}") {
                    self.fault("Unmatched \"}\".");
                    self.upcoming = self.lexer.next_with_comments();
                }
            }
        }
        self.close(root);
    }

    fn syntax(&mut self, root: At) -> Parsed {
        let location = self.open(root, &[12]);
        let editions = self.try_consume("edition");
        if !editions {
            self.consume("syntax")?;
        }
        self.consume("=")?;
        let value = self.token();
        let name = self.string("Expected syntax identifier.")?;
        self.end_of_declaration(";", location)?;
        self.close(location);
        let shown = String::from_utf8_lossy(&name);
        self.file.edition = match (editions, name.as_slice()) {
            (false, b"proto2") => Edition::PROTO2,
            (false, b"proto3") => Edition::PROTO3,
            (false, _) => {
                let message = format!(
                    "Unrecognized syntax identifier \"{shown}\".  This parser only recognizes \
                     \"proto2\" and \"proto3\"."
                );
                self.lexer.fault((value.line, value.column), &message);
                return Err(Skip);
            }
            (true, name) => match Edition::named(name) {
                Some(Edition::PROTO2 | Edition::PROTO3 | Edition(0)) | None => {
                    let message = format!("Unknown edition \"{shown}\".");
                    self.lexer.fault((value.line, value.column), &message);
                    return Err(Skip);
                }
                Some(edition) => edition,
            },
        };
        Ok(())
    }

    fn statement(&mut self, root: At) -> Parsed {
        self.depth = 0;
        if self.try_consume_end(";") {
            return Ok(());
        }
        let visibility = self.visibility()?;
        if self.looking_at("message") {
            let at = self.open(root, &[4, index(&self.file.messages)]);
            let mut message = Message { visibility, ..Message::default() };
            let result = self.message(&mut message, at);
            self.file.messages.push(message);
            self.close(at);
            result
        } else if self.looking_at("enum") {
            let at = self.open(root, &[5, index(&self.file.enums)]);
            let mut defined = Enum { visibility, ..Enum::default() };
            let result = self.enumeration(&mut defined, at);
            self.file.enums.push(defined);
            self.close(at);
            result
        } else if self.looking_at("service") {
            let at = self.open(root, &[6, index(&self.file.services)]);
            let mut service = Service::default();
            let result = self.service(&mut service, at);
            self.file.services.push(service);
            self.close(at);
            result
        } else if self.looking_at("extend") {
            let at = self.open(root, &[7]);
            let mut extensions = std::mem::take(&mut self.file.extensions);
            let mut messages = std::mem::take(&mut self.file.messages);
            let result = self.extend(&mut extensions, &mut messages, root, 4, at);
            self.file.extensions = extensions;
            self.file.messages = messages;
            self.close(at);
            result
        } else if self.looking_at("import") {
            self.import(root)
        } else if self.looking_at("package") {
            self.package(root)
        } else if self.looking_at("option") {
            let at = self.open(root, &[8]);
            let mut options = self.file.options.take();
            let result = self.option_statement(&mut options, at);
            self.file.options = options;
            self.close(at);
            result
        } else {
            self.fail("Expected top-level statement (e.g. \"message\").")
        }
    }

    /// `export` or `local`, since edition 2024.
    pub(super) fn visibility(&mut self) -> Parsed<Visibility> {
        if self.file.edition <= Edition::E2023 {
            return Ok(Visibility::Unset);
        }
        let visibility = if self.try_consume("export") {
            Visibility::Export
        } else if self.try_consume("local") {
            Visibility::Local
        } else {
            return Ok(Visibility::Unset);
        };
        if !self.looking_at("message") && !self.looking_at("enum") {
            return self.fail(
                "'local' and 'export' visibility modifiers are valid only on 'message' and 'enum'",
            );
        }
        Ok(visibility)
    }

    fn package(&mut self, root: At) -> Parsed {
        if !self.file.package.is_empty() {
            self.fault("Multiple package definitions.");
        }
        let location = self.open(root, &[2]);
        self.consume("package")?;
        self.file.package.clear();
        loop {
            let part = self.identifier("Expected identifier.")?;
            self.file.package.push_str(&part);
            if !self.try_consume(".") {
                break;
            }
            self.file.package.push('.');
        }
        self.end_of_declaration(";", location)?;
        self.close(location);
        Ok(())
    }

    fn import(&mut self, root: At) -> Parsed {
        let first = self.token();
        self.consume("import")?;
        if self.looking_at("option") {
            return self.option_import(root, first);
        }
        let location = self.open(root, &[3, index(&self.file.dependency)]);
        self.start_at(location, first);
        if !self.file.option_dependency.is_empty() {
            self.fault(
                "imports should precede any option imports to ensure proto files can roundtrip.",
            );
        }
        let own = index(&self.file.dependency);
        if self.looking_at("public") {
            let at = self.open(root, &[10, index(&self.file.public_dependency)]);
            self.consume("public")?;
            self.file.public_dependency.push(own);
            self.close(at);
        } else if self.looking_at("weak") {
            if self.file.edition >= Edition::E2024 {
                self.fault(
                    "weak import is not supported in edition 2024 and above. Consider using \
                     option import instead.",
                );
            }
            let at = self.open(root, &[11, index(&self.file.weak_dependency)]);
            self.consume("weak")?;
            self.file.weak_dependency.push(own);
            self.close(at);
        }
        let path = self.string("Expected a string naming the file to import.")?;
        self.file.dependency.push(String::from_utf8_lossy(&path).into_owned());
        self.end_of_declaration(";", location)?;
        self.close(location);
        Ok(())
    }

    fn option_import(&mut self, root: At, first: crate::lexer::Token<'_>) -> Parsed {
        if self.file.edition < Edition::E2024 {
            self.fault("option import is not supported before edition 2024.");
        }
        let location = self.open(root, &[15, index(&self.file.option_dependency)]);
        self.start_at(location, first);
        self.consume("option")?;
        let path = self.string("Expected a string naming the file to import.")?;
        self.file.option_dependency.push(String::from_utf8_lossy(&path).into_owned());
        self.end_of_declaration(";", location)?;
        self.close(location);
        Ok(())
    }
}

/// The index of what comes next in a list, for a path.
pub(super) fn index<T>(list: &[T]) -> i32 {
    i32::try_from(list.len()).unwrap_or(i32::MAX)
}

/// A place that is the whole file.
pub(crate) const NOWHERE: (u32, u32) = (u32::MAX, 0);
