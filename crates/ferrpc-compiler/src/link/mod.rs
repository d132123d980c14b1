//! A parsed file to a linked one.
//!
//! The steps follow protoc's order, since each relies on those before: declare all names, resolve
//! all references, interpret plain options, resolve features, interpret extension options, and
//! validate. A step that depends on others is left out once there was an error.

mod declare;
mod overlaps;
mod resolve;
mod resolve_features;
mod suggest;
mod symbols;

pub(crate) use suggest::nearest;

use std::collections::{HashMap, HashSet};

use crate::ast::{Edition, File};
use crate::diagnostic::{Diagnostic, Place, Severity};
use crate::features::Features;
use crate::lexer::MAX_FAULTS;
use crate::pool::{FieldId, FileId, FileNode, MessageId, Name, Pool};
use crate::source_info::Locations;

/// Links one file. All that it imports is in the pool, if it could be linked.
pub(crate) struct Linker<'p> {
    pub(crate) pool: &'p mut Pool,
    /// The descriptors of the options that protoc knows; none while they are linked themselves.
    pub(crate) known: Option<&'p Pool>,
    pub(crate) file: FileId,
    pub(crate) file_name: String,
    pub(crate) package: String,
    pub(crate) edition: Edition,
    pub(crate) had_errors: bool,
    /// The path of the element that a step is at.
    pub(crate) path: Vec<i32>,
    faults: Vec<Fault>,
    locations: Locations,
    /// The files whose names can be used.
    visible: HashSet<FileId>,
    /// The files whose extensions can be used as options.
    option_visible: HashSet<FileId>,
    /// Imports that nothing has used so far.
    unused: Vec<FileId>,
    added_symbols: Vec<Name>,
    added_extensions: Vec<(MessageId, FieldId)>,
    /// Of the last look-up: what is not visible, and where it is defined.
    undeclared: Option<(FileId, String)>,
    /// Of the last look-up: the full name that the first part of the name led to.
    undefined: Option<String>,
    hints: HashMap<MessageId, Hint>,
    /// What messages of this file reserve, with the last numbers of ranges.
    reserved: HashMap<MessageId, Vec<(i64, i64)>>,
    /// The next free numbers of messages, once somebody asked.
    free_numbers: HashMap<MessageId, Option<i64>>,
    /// The features of oneofs, by message; empty before they are resolved.
    pub(crate) oneof_features: HashMap<MessageId, Vec<Features>>,
    /// How many names were looked for already that are nearly right.
    guesses: u32,
    /// Where interpreted options went: from path to path.
    pub(crate) moved: HashMap<Vec<i32>, Vec<i32>>,
    /// How many values repeated options have, by path.
    pub(crate) repeated: HashMap<Vec<i32>, i32>,
}

/// How many free numbers to suggest for a message, and where.
struct Hint {
    wanted: i64,
    path: Vec<i32>,
}

/// A fault whose place is looked up at the end.
struct Fault {
    at: FaultAt,
    message: String,
    help: Option<String>,
    severity: Severity,
}

enum FaultAt {
    /// The path of an element.
    Path(Vec<i32>),
    /// A line and column from zero.
    Place((u32, u32)),
}

/// What an import path led to.
pub(crate) type Imported<'a> = &'a dyn Fn(&str) -> Option<FileId>;

/// Links a file; its id if there was no error.
pub(crate) fn link(
    pool: &mut Pool,
    known: Option<&Pool>,
    mut ast: File,
    imported: Imported<'_>,
    is_input: bool,
) -> (Option<FileId>, Vec<Diagnostic>) {
    let id = FileId::next(&pool.files);
    pool.files.push(FileNode {
        ast: File::default(),
        dependencies: Vec::new(),
        option_dependencies: Vec::new(),
        public: Vec::new(),
        features: Features::of(ast.edition),
        is_lite: false,
    });
    let mut linker = Linker {
        pool,
        known,
        file: id,
        file_name: ast.name.clone(),
        package: ast.package.clone(),
        edition: ast.edition,
        had_errors: false,
        path: Vec::new(),
        faults: Vec::new(),
        locations: std::mem::take(&mut ast.locations),
        visible: HashSet::new(),
        option_visible: HashSet::new(),
        unused: Vec::new(),
        added_symbols: Vec::new(),
        added_extensions: Vec::new(),
        undeclared: None,
        undefined: None,
        hints: HashMap::new(),
        reserved: HashMap::new(),
        free_numbers: HashMap::new(),
        oneof_features: HashMap::new(),
        guesses: 0,
        moved: HashMap::new(),
        repeated: HashMap::new(),
    };
    linker.run(&mut ast, imported, is_input);
    let (diagnostics, locations) = linker.finish();
    ast.locations = locations;
    let errors = diagnostics.iter().any(|it| it.severity == Severity::Error);
    if errors {
        return (None, diagnostics);
    }
    pool.files[id.0 as usize].ast = ast;
    (Some(id), diagnostics)
}

impl Linker<'_> {
    fn run(&mut self, ast: &mut File, imported: Imported<'_>, is_input: bool) {
        if !self.check_edition() || !self.declare_package(ast) {
            return;
        }
        let missing_options = self.imports(ast, imported, is_input);
        self.declare(ast);
        self.resolve(ast);
        self.suggest_numbers(ast);
        if ast.has_uninterpreted() {
            for name in missing_options {
                self.import_error(ast, &name);
            }
        }
        if !self.had_errors {
            self.interpret_plain(ast);
            self.resolve_features(ast);
            self.interpret_extensions(ast);
            self.move_option_locations(ast);
        }
        if !self.had_errors {
            self.check(ast);
        }
        if self.had_errors {
            self.map_conflicts(ast);
        } else {
            self.warn_unused(ast);
            self.check_lifetimes(ast, is_input);
            self.check_style(ast);
            self.check_visibility(ast);
        }
        if is_input && !self.had_errors {
            self.check_targets(ast);
            self.check_redaction();
        }
    }

    fn check_edition(&mut self) -> bool {
        let edition = self.edition;
        let message = if edition < Edition::PROTO2 {
            let oldest = Edition::PROTO2;
            format!("Edition {edition} is earlier than the minimum supported edition {oldest}")
        } else if edition > Edition::NEWEST && edition != Edition::UNSTABLE {
            let newest = Edition::NEWEST;
            format!("Edition {edition} is later than the maximum supported edition {newest}")
        } else {
            return true;
        };
        self.error(&[SYNTAX], message);
        false
    }

    /// Looks up what the file imports; the option imports that are not there.
    fn imports(&mut self, ast: &File, imported: Imported<'_>, is_input: bool) -> Vec<String> {
        let mut seen = HashSet::new();
        let mut missing_options = Vec::new();
        let mut dependencies = Vec::new();
        let mut option_dependencies = Vec::new();
        let plain = ast.dependency.iter().map(|name| (name, false));
        let options = ast.option_dependency.iter().map(|name| (name, true));
        for (name, is_option) in plain.chain(options) {
            if !seen.insert(name) {
                let path = self.import_path(ast, name);
                self.error_at(path, format!("Import \"{name}\" was listed twice."));
            }
            let found = imported(name);
            match found {
                Some(file) => {
                    let re_exports = !self.pool.file(file).public.is_empty();
                    if is_input && ast.is_parsed && !re_exports && !self.unused.contains(&file) {
                        self.unused.push(file);
                    }
                }
                None if is_option => missing_options.push(name.clone()),
                None => self.import_error(ast, name),
            }
            match is_option {
                true => option_dependencies.push(found),
                false => dependencies.push(found),
            }
        }
        let lists = [("public", &ast.public_dependency), ("weak", &ast.weak_dependency)];
        for (what, list) in lists {
            let inside = |at: &i32| usize::try_from(*at).is_ok_and(|at| at < dependencies.len());
            if !list.iter().all(inside) {
                self.error(&[], format!("Invalid {what} dependency index."));
            }
        }
        let public = ast.public_dependency.iter();
        let public: Vec<FileId> =
            public.filter_map(|at| *dependencies.get(usize::try_from(*at).ok()?)?).collect();
        self.unused.retain(|file| !public.contains(file));
        for file in dependencies.iter().flatten() {
            self.pool.public_closure(*file, &mut self.visible);
        }
        for file in option_dependencies.iter().flatten() {
            self.pool.public_closure(*file, &mut self.option_visible);
        }
        let node = &mut self.pool.files[self.file.0 as usize];
        node.dependencies = dependencies;
        node.option_dependencies = option_dependencies;
        node.public = public;
        missing_options
    }

    fn import_error(&mut self, ast: &File, name: &str) {
        let path = self.import_path(ast, name);
        self.error_at(path, format!("Import \"{name}\" was not found or had errors."));
    }

    pub(crate) fn import_path(&self, ast: &File, name: &str) -> Vec<i32> {
        let at = |list: &[String]| list.iter().rposition(|it| it == name);
        match (at(&ast.dependency), at(&ast.option_dependency)) {
            (Some(at), _) => vec![3, i32::try_from(at).unwrap_or_default()],
            (None, Some(at)) => vec![15, i32::try_from(at).unwrap_or_default()],
            (None, None) => Vec::new(),
        }
    }

    fn warn_unused(&mut self, ast: &File) {
        for file in std::mem::take(&mut self.unused) {
            let name = self.pool.file(file).ast.name.clone();
            let path = self.import_path(ast, &name);
            self.warning_at(path, format!("Import {name} is unused."));
        }
    }

    /// Reports an error of the current element: `below` is the path of what is wrong with it.
    pub(crate) fn error(&mut self, below: &[i32], message: impl Into<String>) {
        let path = [&self.path, below].concat();
        self.error_at(path, message);
    }

    pub(crate) fn error_at(&mut self, path: Vec<i32>, message: impl Into<String>) {
        self.fault(FaultAt::Path(path), message.into(), None, Severity::Error);
    }

    pub(crate) fn error_place(&mut self, place: (u32, u32), message: String, help: Option<String>) {
        self.fault(FaultAt::Place(place), message, help, Severity::Error);
    }

    pub(crate) fn error_with_help(&mut self, below: &[i32], message: String, help: Option<String>) {
        let path = [&self.path, below].concat();
        self.fault(FaultAt::Path(path), message, help, Severity::Error);
    }

    pub(crate) fn warning(&mut self, below: &[i32], message: String) {
        let path = [&self.path, below].concat();
        self.warning_at(path, message);
    }

    pub(crate) fn warning_at(&mut self, path: Vec<i32>, message: String) {
        self.fault(FaultAt::Path(path), message, None, Severity::Warning);
    }

    fn fault(&mut self, at: FaultAt, message: String, help: Option<String>, severity: Severity) {
        let is_error = severity == Severity::Error;
        // The first one is what makes the file invalid.
        if self.faults.len() < MAX_FAULTS || is_error && !self.had_errors {
            self.faults.push(Fault { at, message, help, severity });
        }
        self.had_errors |= is_error;
    }

    /// Runs a step for an element below the current one.
    pub(crate) fn at<T>(&mut self, below: &[i32], step: impl FnOnce(&mut Self) -> T) -> T {
        let length = self.path.len();
        self.path.extend_from_slice(below);
        let result = step(self);
        self.path.truncate(length);
        result
    }

    /// The faults with their places; what was added is taken back if there are errors.
    fn finish(mut self) -> (Vec<Diagnostic>, Locations) {
        if self.had_errors {
            for name in &self.added_symbols {
                self.pool.remove_symbol(name);
            }
            for (message, field) in &self.added_extensions {
                let number = self.pool.field(*field).number;
                self.pool.remove_number(*message, number);
            }
        }
        if self.faults.is_empty() {
            return (Vec::new(), self.locations);
        }
        let starts = self.locations.starts();
        // What has no location of its own is shown where its parent is.
        let find = |path: &[i32]| {
            (1..=path.len()).rev().find_map(|length| starts.get(&path[..length])).copied()
        };
        let faults = std::mem::take(&mut self.faults);
        let diagnostics = faults.into_iter().map(|fault| Diagnostic {
            file: self.file_name.clone(),
            place: match &fault.at {
                FaultAt::Path(path) => find(path).and_then(Place::from_zero),
                FaultAt::Place(place) => Place::from_zero(*place),
            },
            message: fault.message,
            help: fault.help,
            severity: fault.severity,
        });
        (diagnostics.collect(), self.locations)
    }

    pub(crate) fn locations_mut(&mut self) -> &mut Locations {
        &mut self.locations
    }
}

/// An index in a path.
pub(crate) fn position(at: usize) -> i32 {
    i32::try_from(at).unwrap_or(i32::MAX)
}

/// `FileDescriptorProto.syntax`: where an edition stands.
pub(crate) const SYNTAX: i32 = 12;
