//! Files with all that they import, in an order in which they can be linked.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use crate::ast::{Edition, File};
use crate::decode::decode;
use crate::diagnostic::{Diagnostic, Place, Severity};
use crate::encode::{self, EncodeOptions};
use crate::lexer::{Fault, MAX_FAULTS};
use crate::link::link;
use crate::parser::parse;
use crate::pool::{FileId, Pool};
use crate::strip::{Stripped, strip};
use crate::tree::{Source, SourceTree};

/// Files that were compiled, and what they import.
#[derive(Debug)]
pub struct Compilation {
    pub(crate) pool: Pool,
    by_name: HashMap<String, FileId>,
}

/// Compiles files, which are named by import paths; also returns warnings.
///
/// Warnings that are about style, unused imports and the like are for these files only.
///
/// # Errors
///
/// All that is wrong with the files and what they import, and the warnings.
pub fn compile(
    tree: &dyn SourceTree,
    names: &[&str],
) -> Result<(Compilation, Vec<Diagnostic>), Vec<Diagnostic>> {
    let mut loader = Loader {
        tree,
        inputs: names.iter().copied().collect(),
        pool: Pool::default(),
        states: HashMap::new(),
        diagnostics: Vec::new(),
        has_errors: false,
    };
    for name in names {
        loader.load(name);
    }
    let Loader { pool, states, diagnostics, has_errors, .. } = loader;
    if has_errors {
        return Err(diagnostics);
    }
    let by_name = states.into_iter().filter_map(|(name, state)| match state {
        State::Linked(id) => Some((name, id)),
        State::Open | State::Failed => None,
    });
    Ok((Compilation { by_name: by_name.collect(), pool }, diagnostics))
}

impl Compilation {
    pub(crate) fn pool(&self) -> &Pool {
        &self.pool
    }

    /// The import paths of all files, each behind what it imports.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.pool.files.iter().map(|file| file.ast.name.as_str())
    }

    /// The import paths of the files that a file imports.
    pub fn imports(&self, name: &str) -> Option<&[String]> {
        let id = self.by_name.get(name)?;
        Some(&self.pool.file(*id).ast.dependency)
    }

    /// The import paths of the files that a file imports for their options only.
    pub fn option_imports(&self, name: &str) -> Option<&[String]> {
        let id = self.by_name.get(name)?;
        Some(&self.pool.file(*id).ast.option_dependency)
    }

    /// The number of a file's edition, if it says one.
    pub fn edition(&self, name: &str) -> Option<i32> {
        let edition = self.pool.file(*self.by_name.get(name)?).ast.edition;
        (!edition.is_legacy()).then_some(edition.0)
    }

    /// A file's `FileDescriptorProto`, or none if it was not read.
    pub fn encode(&self, name: &str, options: EncodeOptions) -> Option<Vec<u8>> {
        let id = *self.by_name.get(name)?;
        let stripped = match options.retain_options {
            true => Stripped::default(),
            false => strip(&self.pool, &KNOWN, id),
        };
        Some(encode::encode(&self.pool.file(id).ast, &stripped, options))
    }
}

/// The number of an edition in `google.protobuf.Edition` by its name, `2023` or `PROTO2`.
pub fn edition_number(name: &str) -> Option<i32> {
    Edition::named(name.as_bytes()).map(|edition| edition.0)
}

enum State {
    /// It is being read, or what it imports is.
    Open,
    Linked(FileId),
    Failed,
}

/// A file that waits for what it imports.
struct Waiting {
    file: File,
    next: usize,
}

struct Loader<'t> {
    tree: &'t dyn SourceTree,
    inputs: HashSet<&'t str>,
    pool: Pool,
    states: HashMap<String, State>,
    diagnostics: Vec<Diagnostic>,
    has_errors: bool,
}

impl Loader<'_> {
    /// Depth first, with a stack of its own: no chain of imports is too long.
    fn load(&mut self, name: &str) {
        let mut stack = Vec::new();
        self.open(name, &mut stack);
        while let Some(mut waiting) = stack.pop() {
            let file = &waiting.file;
            let imports = file.dependency.iter().chain(&file.option_dependency);
            let import = imports.clone().nth(waiting.next).cloned();
            match import {
                Some(import) => {
                    waiting.next += 1;
                    stack.push(waiting);
                    self.open(&import, &mut stack);
                }
                None => self.link(waiting.file),
            }
        }
    }

    /// Reads and parses a file, unless it was.
    fn open(&mut self, name: &str, stack: &mut Vec<Waiting>) {
        match self.states.get(name) {
            Some(State::Open) => return self.cycle(name, stack),
            Some(_) => return,
            None => {}
        }
        let source = match self.tree.open(name) {
            Ok(source) => source,
            Err(why) => {
                self.states.insert(name.to_owned(), State::Failed);
                return self.error(name, None, why);
            }
        };
        match self.read(name, source) {
            Some(file) => {
                self.states.insert(name.to_owned(), State::Open);
                stack.push(Waiting { file, next: 0 });
            }
            None => drop(self.states.insert(name.to_owned(), State::Failed)),
        }
    }

    fn read(&mut self, name: &str, source: Source) -> Option<File> {
        match source {
            Source::Text(text) => {
                let (file, faults) = parse(name, &text);
                let failed = faults.iter().any(|fault| !fault.warning);
                self.report(faults.into_iter().map(|fault| diagnostic(name, fault)));
                (!failed).then_some(file)
            }
            Source::Descriptor(bytes) => match decode(&bytes) {
                Ok(file) if file.name == name => Some(file),
                Ok(file) => {
                    let other = file.name;
                    self.error(name, None, format!("The descriptor is that of \"{other}\"."));
                    None
                }
                Err(why) => {
                    self.error(name, None, why);
                    None
                }
            },
        }
    }

    fn cycle(&mut self, name: &str, stack: &[Waiting]) {
        let names = stack.iter().map(|waiting| waiting.file.name.as_str());
        let path: Vec<&str> = names.skip_while(|it| *it != name).chain([name]).collect();
        let message = format!("File recursively imports itself: {}", path.join(" -> "));
        let first = stack.iter().find(|waiting| waiting.file.name == name);
        let place = first.and_then(|waiting| {
            let next = i32::try_from(waiting.next.checked_sub(1)?).ok()?;
            let starts = waiting.file.locations.starts();
            starts.get(&[3, next][..]).copied().and_then(Place::from_zero)
        });
        self.error(name, place, message);
    }

    fn link(&mut self, file: File) {
        let name = file.name.clone();
        let is_input = self.inputs.contains(name.as_str());
        let states = &self.states;
        let imported = |import: &str| match states.get(import) {
            Some(State::Linked(id)) => Some(*id),
            _ => None,
        };
        let (id, found) = link(&mut self.pool, Some(&KNOWN), file, &imported, is_input);
        self.report(found);
        self.states.insert(name, id.map_or(State::Failed, State::Linked));
    }

    fn error(&mut self, file: &str, place: Option<Place>, message: String) {
        self.report([Diagnostic {
            file: file.to_owned(),
            place,
            message,
            help: None,
            severity: Severity::Error,
        }]);
    }

    /// Notes what was found; beyond what anybody reads, only the first error.
    fn report(&mut self, found: impl IntoIterator<Item = Diagnostic>) {
        for diagnostic in found {
            let is_error = diagnostic.severity == Severity::Error;
            if self.diagnostics.len() < MAX_FAULTS || is_error && !self.has_errors {
                self.diagnostics.push(diagnostic);
            }
            self.has_errors |= is_error;
        }
    }
}

fn diagnostic(file: &str, fault: Fault) -> Diagnostic {
    let place = Place::from_zero((fault.line, fault.column));
    let severity = match (fault.warning, place) {
        (false, _) => Severity::Error,
        (true, Some(_)) => Severity::Warning,
        (true, None) => Severity::Notice,
    };
    Diagnostic { file: file.to_owned(), place, message: fault.message, help: fault.help, severity }
}

/// The descriptors of the options that are part of the language.
static KNOWN: LazyLock<Pool> = LazyLock::new(|| {
    let text = include_bytes!("../protos/google/protobuf/descriptor.proto");
    let (file, _) = parse("google/protobuf/descriptor.proto", text);
    let mut pool = Pool::default();
    link(&mut pool, None, file, &|_| None, false);
    pool
});
