//! Errors and warnings as protoc prints them: `file:line:column: message`.

use std::fmt::Write as _;
use std::io::{self, IsTerminal};
use std::path::{Component, PathBuf};

use ferrpc_compiler::{Diagnostic, Place, Severity};

use super::arguments::ErrorFormat;
use super::sources::Sources;

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
    if error.kind() == io::ErrorKind::IsADirectory {
        return "Is a directory".to_owned();
    }
    let text = error.to_string();
    match text.find(" (os error") {
        Some(at) => text[..at].to_owned(),
        None => text,
    }
}

/// How much is made of an error: programs read plain lines, people see the place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    Plain,
    Marked,
    Coloured,
}

impl Look {
    /// What suits standard error; `NO_COLOR` and a terminal that cannot do it are respected.
    fn of_stderr() -> Self {
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        match io::stderr().is_terminal() {
            false => Self::Plain,
            true if set("NO_COLOR") || std::env::var_os("TERM").is_none_or(|it| it == "dumb") => {
                Self::Marked
            }
            true => Self::Coloured,
        }
    }
}

/// Warnings so far, and how errors look.
#[derive(Debug)]
pub(super) struct Report {
    format: ErrorFormat,
    look: Look,
    warnings: String,
    /// Whether there is a warning that `--fatal_warnings` makes an error.
    grave: bool,
}

impl Report {
    pub(super) fn new(format: ErrorFormat) -> Self {
        Self { format, look: Look::of_stderr(), warnings: String::new(), grave: false }
    }

    /// The warnings since the last time, whole lines.
    pub(super) fn take_warnings(&mut self) -> String {
        std::mem::take(&mut self.warnings)
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

    /// Takes warnings in, and returns the errors.
    pub(super) fn diagnostics(&mut self, found: &[Diagnostic], sources: &Sources) -> Failure {
        let mut errors = String::new();
        for diagnostic in found {
            let line = self.line(diagnostic, sources);
            match diagnostic.severity {
                Severity::Warning => self.warn(&line),
                // The well-known files that are bundled say nothing of syntax.
                Severity::Notice if sources.on_disk(&diagnostic.file).is_none() => {}
                Severity::Notice => self.warn_mildly(&line),
                Severity::Error => match self.look {
                    Look::Plain => {
                        let _ = writeln!(errors, "{line}");
                    }
                    Look::Marked => {
                        let _ = writeln!(errors, "{line}");
                        errors.push_str(&marked(diagnostic, sources, ["", "", ""]));
                    }
                    Look::Coloured => {
                        let _ = writeln!(errors, "{BOLD}{line}{RESET}");
                        errors.push_str(&marked(diagnostic, sources, [RED, CYAN, RESET]));
                    }
                },
            }
        }
        Failure { text: errors }
    }

    /// `file:line:column: message`, or the form that Visual Studio reads.
    fn line(&self, diagnostic: &Diagnostic, sources: &Sources) -> String {
        let file = match diagnostic.severity {
            Severity::Notice => diagnostic.file.clone(),
            _ => shown(sources, &diagnostic.file),
        };
        let message = &diagnostic.message;
        let warning = diagnostic.severity != Severity::Error;
        match (self.format, diagnostic.place) {
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
}

/// All errors, each with its line and what may help: for people.
pub(crate) fn render(found: &[Diagnostic], sources: &Sources) -> String {
    let report = Report::new(ErrorFormat::Gcc);
    let mut out = String::new();
    for diagnostic in found.iter().filter(|it| it.severity == Severity::Error) {
        let _ = writeln!(out, "{}", report.line(diagnostic, sources));
        out.push_str(&marked(diagnostic, sources, ["", "", ""]));
    }
    out.truncate(out.trim_end().len());
    out
}

/// The line of a diagnostic with a mark below its place, and the help; with what stands before the
/// mark, before the word of help, and behind each of them.
fn marked(diagnostic: &Diagnostic, sources: &Sources, [mark, word, end]: [&str; 3]) -> String {
    let mut out = String::new();
    if let Some(place) = diagnostic.place
        && let Some(line) = source_line(sources, &diagnostic.file, place.line)
    {
        let space = " ".repeat(usize::try_from(place.column).unwrap_or(1).saturating_sub(1));
        let _ = writeln!(out, "  {line}\n  {space}{mark}^{end}");
    }
    if let Some(help) = &diagnostic.help {
        let _ = writeln!(out, "  {word}help:{end} {help}");
    }
    out
}

/// A line of a file that was read, with spaces for tabs, as columns are counted.
fn source_line(sources: &Sources, file: &str, number: u32) -> Option<String> {
    let text = std::fs::read(sources.on_disk(file)?).ok()?;
    let at = usize::try_from(number).ok()?.checked_sub(1)?;
    let line = text.split(|byte| *byte == b'\n').nth(at)?;
    let mut out = String::new();
    for character in String::from_utf8_lossy(line).trim_end().chars() {
        match character {
            '\t' => out.push_str(&" ".repeat(TAB - out.len() % TAB)),
            character if character.is_control() => out.push(' '),
            character => out.push(character),
        }
    }
    (out.len() < MAX_SHOWN).then_some(out)
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

const BOLD: &str = "\x1b[1m";
const RED: &str = "\x1b[1;31m";
const CYAN: &str = "\x1b[1;36m";
const RESET: &str = "\x1b[0m";
const TAB: usize = 8;
/// A longer line says nothing.
const MAX_SHOWN: usize = 200;
