//! The types of a set of files by their full names.

use std::collections::{BTreeSet, HashMap};

use buffa_codegen::generated::descriptor::{
    DescriptorProto, EnumDescriptorProto, FileDescriptorProto,
};
use ferrpc_compiler::{Compilation, EncodeOptions};

use crate::descriptor::{name, package};

/// All files of a compilation, and what is defined in them.
pub(crate) struct Index<'a> {
    by_name: HashMap<&'a str, &'a FileDescriptorProto>,
    types: HashMap<String, Defined<'a>>,
    front: &'a Compilation,
}

/// A message or an enum.
#[derive(Clone)]
pub(crate) struct Defined<'a> {
    pub(crate) file: &'a FileDescriptorProto,
    /// Its names from the outermost message to itself.
    pub(crate) path: Vec<&'a str>,
    pub(crate) kind: DefinedKind<'a>,
}

#[derive(Clone, Copy)]
pub(crate) enum DefinedKind<'a> {
    Message(&'a DescriptorProto),
    Enum,
}

impl<'a> Index<'a> {
    pub(crate) fn new(
        front: &'a Compilation,
        files: impl IntoIterator<Item = &'a FileDescriptorProto>,
    ) -> Self {
        let mut index = Self { by_name: HashMap::new(), types: HashMap::new(), front };
        for file in files {
            index.by_name.insert(name(file), file);
            for message in &file.message_type {
                index.add_message(file, &mut Vec::new(), message);
            }
            for defined in &file.enum_type {
                index.add_enum(file, &[], defined);
            }
        }
        index
    }

    /// A file as programs carry it along: without comments and options that are for sources only.
    pub(crate) fn carried(&self, file: &str) -> Vec<u8> {
        let mut options = EncodeOptions::default();
        options.only_utf8 = true;
        self.front.encode(file, options).unwrap_or_default()
    }

    pub(crate) fn file(&self, name: &str) -> Option<&'a FileDescriptorProto> {
        self.by_name.get(name).copied()
    }

    /// What a field's `type_name` or a method's type refers to; the name has a dot in front.
    pub(crate) fn defined(&self, type_name: &str) -> Option<&Defined<'a>> {
        self.types.get(type_name.strip_prefix('.').unwrap_or(type_name))
    }

    /// All that a file's public imports bring, through any number of files; not itself.
    pub(crate) fn public_closure(&self, file: &'a FileDescriptorProto) -> Vec<&'a str> {
        let mut seen = BTreeSet::new();
        let mut order = Vec::new();
        let mut open = public_imports(file);
        open.reverse();
        while let Some(next) = open.pop() {
            if seen.insert(next) {
                order.push(next);
                if let Some(file) = self.file(next) {
                    let mut further = public_imports(file);
                    further.reverse();
                    open.extend(further);
                }
            }
        }
        order
    }

    fn add_message(
        &mut self,
        file: &'a FileDescriptorProto,
        path: &mut Vec<&'a str>,
        message: &'a DescriptorProto,
    ) {
        path.push(message.name.as_deref().unwrap_or_default());
        let defined = Defined { file, path: path.clone(), kind: DefinedKind::Message(message) };
        self.types.insert(full_name(file, path), defined);
        for nested in &message.nested_type {
            self.add_message(file, path, nested);
        }
        for nested in &message.enum_type {
            self.add_enum(file, path, nested);
        }
        path.pop();
    }

    fn add_enum(
        &mut self,
        file: &'a FileDescriptorProto,
        path: &[&'a str],
        defined: &'a EnumDescriptorProto,
    ) {
        let mut path = path.to_vec();
        path.push(defined.name.as_deref().unwrap_or_default());
        let defined = Defined { file, path, kind: DefinedKind::Enum };
        self.types.insert(full_name(file, &defined.path), defined);
    }
}

/// The names of the files that a file's importers see as well.
pub(crate) fn public_imports(file: &FileDescriptorProto) -> Vec<&str> {
    file.public_dependency
        .iter()
        .filter_map(|&at| file.dependency.get(usize::try_from(at).ok()?))
        .map(String::as_str)
        .collect()
}

fn full_name(file: &FileDescriptorProto, path: &[&str]) -> String {
    let path = path.join(".");
    match package(file) {
        "" => path,
        package => format!("{package}.{path}"),
    }
}
