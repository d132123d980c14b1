//! Errors and warnings as protoc prints them: `file:line:column: message`.

use std::fmt::Write as _;
use std::io;
use std::path::{Component, PathBuf};

use miette::Diagnostic;

use super::arguments::ErrorFormat;
use super::compile::Compiled;
use super::sources::Sources;
use super::unused;

/// Why there is no result; whole lines, ready to print.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) text: String,
}

impl Failure {
    pub(super) fn message(message: impl Into<String>) -> Self {
        let mut text = message.into();
        if !text.ends_with('\n') {
            text.push('\n');
        }
        Self { text }
    }

    pub(super) fn io(what: impl std::fmt::Display, error: &io::Error) -> Self {
        Self::message(format!("{what}: {}", describe(error)))
    }

    /// Everything was said already.
    pub(super) fn silent() -> Self {
        Self { text: String::new() }
    }
}

/// What the system calls the error, without Rust's number.
pub(super) fn describe(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(at) => text[..at].to_owned(),
        None => text,
    }
}

/// Warnings so far, and how errors look.
#[derive(Debug)]
pub(super) struct Report {
    format: ErrorFormat,
    warnings: String,
    /// Whether there is a warning that `--fatal_warnings` makes an error.
    grave: bool,
}

/// A place in a file, from 1.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) line: usize,
    pub(super) column: usize,
}

impl Report {
    pub(super) fn new(format: ErrorFormat) -> Self {
        Self { format, warnings: String::new(), grave: false }
    }

    pub(super) fn warnings(&self) -> &str {
        &self.warnings
    }

    /// Whether there is a warning that `--fatal_warnings` makes an error.
    pub(super) fn is_grave(&self) -> bool {
        self.grave
    }

    pub(super) fn warn(&mut self, line: &str) {
        self.grave = true;
        self.warn_mildly(line);
    }

    /// A warning that never becomes an error.
    pub(super) fn warn_mildly(&mut self, line: &str) {
        self.warnings.push_str(line);
        self.warnings.push('\n');
    }

    pub(super) fn warn_unused(&mut self, compiled: &Compiled) {
        for (file, place, import) in unused::imports(compiled) {
            let what = format!("Import {import} is unused.");
            let line = self.line(&Self::shown(&compiled.sources, &file), place, true, &what);
            self.warn(&line);
        }
    }

    /// `file:line:column: message`, or the form that Visual Studio reads.
    fn line(&self, file: &str, place: Option<Place>, warning: bool, message: &str) -> String {
        match (self.format, place) {
            (_, None) if warning => format!("{file}: warning: {message}"),
            (_, None) => format!("{file}: {message}"),
            (ErrorFormat::Gcc, Some(Place { line, column })) => {
                let kind = if warning { "warning: " } else { "" };
                format!("{file}:{line}:{column}: {kind}{message}")
            }
            (ErrorFormat::Msvs, Some(Place { line, column })) => {
                let kind = if warning { "warning" } else { "error" };
                format!("{file}({line}) : {kind} in column={column}: {message}")
            }
        }
    }

    /// Paths on disk, which editors open; virtual names where there is none.
    fn shown(sources: &Sources, file: &str) -> String {
        sources.on_disk(file).map_or_else(
            || file.to_owned(),
            |path| {
                let parts = path.components().filter(|part| *part != Component::CurDir);
                parts.collect::<PathBuf>().display().to_string()
            },
        )
    }

    /// All faults of a file, a line each.
    pub(super) fn failure(&self, error: &protox::Error, sources: &Sources) -> Failure {
        if let Some((file, edition)) = sources.unsupported() {
            let place = Place { line: edition.line, column: edition.column };
            let file = Self::shown(sources, &file);
            return Failure::message(self.line(&file, Some(place), false, &edition.to_string()));
        }
        let Some(file) = error.file() else {
            return Failure::message(error.to_string());
        };
        let shown = Self::shown(sources, file);
        // Of several labels the front end names the right one in its `Debug` form only.
        let place = written_place(&format!("{error:?}"), file)
            .or_else(|| place(error, error.labels().and_then(Iterator::last)));
        let mut out = String::new();
        if let Some(import) = missing_import(&error.to_string()) {
            let _ = writeln!(out, "{}", self.line(import, None, false, "File not found."));
            let message = format!("Import \"{import}\" was not found or had errors.");
            let _ = writeln!(out, "{}", self.line(&shown, place, false, &message));
            return Failure::message(out);
        }
        let _ = writeln!(out, "{}", self.line(&shown, place, false, &wording(&error.to_string())));
        for other in error.related().into_iter().flatten() {
            let place = self::place(error, other.labels().and_then(Iterator::last));
            let message = wording(&other.to_string());
            let _ = writeln!(out, "{}", self.line(&shown, place, false, &message));
        }
        Failure::message(out)
    }
}

/// The place in `file:line:column: message`.
fn written_place(text: &str, file: &str) -> Option<Place> {
    let mut numbers = text.strip_prefix(file)?.strip_prefix(':')?.split(':');
    let mut number = || numbers.next()?.parse().ok();
    Some(Place { line: number()?, column: number()? })
}

fn place(error: &protox::Error, label: Option<miette::LabeledSpan>) -> Option<Place> {
    let contents = error.source_code()?.read_span(label?.inner(), 0, 0).ok()?;
    Some(Place { line: contents.line() + 1, column: contents.column() + 1 })
}

fn missing_import(message: &str) -> Option<&str> {
    message.strip_prefix("import '")?.strip_suffix("' not found")
}

/// The front end's words in protoc's form: a sentence, names in double quotes.
fn wording(message: &str) -> String {
    if let Some(name) =
        message.strip_prefix("name '").and_then(|rest| rest.strip_suffix("' is not defined"))
    {
        return format!("\"{name}\" is not defined.");
    }
    let resolved = message
        .strip_prefix('\'')
        .and_then(|rest| rest.strip_suffix("', which is not defined"))
        .and_then(|rest| rest.split_once("' resolves to '"));
    match resolved {
        Some((name, full)) if name == full => return format!("\"{name}\" is not defined."),
        Some((name, full)) => {
            return format!("\"{name}\" resolves to \"{full}\", which is not defined.");
        }
        None => {}
    }
    if let Some((name, file)) = message
        .strip_prefix("name '")
        .and_then(|rest| rest.strip_suffix('\''))
        .and_then(|rest| rest.split_once("' is already defined in file '"))
    {
        return format!("\"{name}\" is already defined in file \"{file}\".");
    }
    let mut out = String::new();
    let mut characters = message.chars();
    if let Some(first) = characters.next() {
        out.extend(first.to_uppercase());
    }
    out.push_str(characters.as_str());
    if !out.ends_with('.') {
        out.push('.');
    }
    out
}
