//! Descriptor sets: those of others, which may hold anything, and ours.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::path::PathBuf;

use buffa::Message;
use buffa_codegen::generated::descriptor::{FileDescriptorProto, FileDescriptorSet};

use super::arguments::Arguments;
use super::check;
use super::compile::{self, Compiled};
use super::report::Failure;
use super::sources::Sources;
use crate::descriptor::name;
use crate::python::Index;
use crate::retention;

/// The files of all sets; of two with the same name the first counts.
#[derive(Debug, Default)]
pub(super) struct Foreign {
    files: Vec<FileDescriptorProto>,
    by_name: BTreeMap<String, usize>,
}

pub(super) fn read(paths: &[PathBuf]) -> Result<Foreign, Failure> {
    let mut foreign = Foreign::default();
    for path in paths {
        let bytes = fs::read(path).map_err(|error| Failure::io(path.display(), &error))?;
        let set =
            decode(&bytes).map_err(|why| Failure::message(format!("{}: {why}", path.display())))?;
        for file in set.file {
            let name = name(&file).to_owned();
            if !foreign.by_name.contains_key(&name) {
                foreign.by_name.insert(name, foreign.files.len());
                foreign.files.push(file);
            }
        }
    }
    Ok(foreign)
}

fn decode(bytes: &[u8]) -> Result<FileDescriptorSet, String> {
    buffa_codegen::tooling_decode_options()?
        .decode_from_slice(bytes)
        .map_err(|error| format!("Unable to parse: {error}."))
}

impl Foreign {
    /// For the front end, which reads encoded files.
    pub(super) fn encoded(&self) -> HashMap<String, Vec<u8>> {
        self.files.iter().map(|file| (name(file).to_owned(), file.encode_to_vec())).collect()
    }

    fn get(&self, name: &str) -> Option<&FileDescriptorProto> {
        self.by_name.get(name).map(|&at| &self.files[at])
    }

    /// Files of the sets and all that they import, checked; each behind its imports.
    pub(super) fn closure(
        &self,
        names: &[String],
        sources: &Sources,
    ) -> Result<Vec<FileDescriptorProto>, Failure> {
        let mut order = Vec::new();
        let mut outside = Vec::new();
        self.visit(names, &mut order, &mut outside)?;
        let mut files = Vec::new();
        if !outside.is_empty() {
            let parsed = match outside.iter().all(|name| sources.on_disk(name).is_none()) {
                true => compile::parse_well_known(&outside)?,
                false => compile::parse(sources, &outside)
                    .map_err(|error| Failure::message(error.to_string()))?,
            };
            files.extend(parsed);
        }
        let known: HashSet<String> = files.iter().map(|file| name(file).to_owned()).collect();
        files.extend(order.into_iter().filter(|file| !known.contains(name(file))).cloned());
        check::files(&files).map_err(Failure::message)?;
        Ok(files)
    }

    /// Makes sure that files of the sets that parsed files import are what the front end takes:
    /// it trusts descriptors.
    pub(super) fn check_front_end_reads_them(
        &self,
        inputs: &[String],
        sources: &Sources,
    ) -> Result<(), Failure> {
        if self.files.is_empty() {
            return Ok(());
        }
        let reachable: Vec<String> = self
            .files
            .iter()
            .map(|file| name(file).to_owned())
            .filter(|name| sources.on_disk(name).is_none() && !inputs.contains(name))
            .collect();
        let mut wanted = Vec::new();
        let mut outside = Vec::new();
        self.visit(&reachable, &mut wanted, &mut outside)?;
        for file in &wanted {
            check::readable(file).map_err(Failure::message)?;
        }
        self.closure(&reachable, sources).map(drop)
    }

    /// Depth first with a stack of its own, so that no chain of imports is too long.
    fn visit<'a>(
        &'a self,
        names: &[String],
        order: &mut Vec<&'a FileDescriptorProto>,
        outside: &mut Vec<String>,
    ) -> Result<(), Failure> {
        let mut done: HashSet<&str> = HashSet::new();
        let mut open: HashSet<&str> = HashSet::new();
        for start in names {
            let Some(file) = self.get(start) else { continue };
            let mut stack = vec![(file, 0)];
            while let Some((file, at)) = stack.pop() {
                let own = name(file);
                if at == 0 {
                    if done.contains(own) {
                        continue;
                    }
                    open.insert(own);
                }
                let Some(import) = file.dependency.get(at) else {
                    open.remove(own);
                    if done.insert(own) {
                        order.push(file);
                    }
                    continue;
                };
                stack.push((file, at + 1));
                match self.get(import) {
                    Some(next) if open.contains(name(next)) => {
                        return Err(Failure::message(format!(
                            "{own}: Import cycle: it imports {import}, which imports it."
                        )));
                    }
                    Some(next) => stack.push((next, 0)),
                    None if outside.contains(import) => {}
                    None => outside.push(import.clone()),
                }
            }
        }
        Ok(())
    }
}

/// `--descriptor_set_out`.
pub(super) fn encode(arguments: &Arguments, compiled: &Compiled) -> Vec<u8> {
    let index = Index::new(&compiled.files);
    let finish = |file: &FileDescriptorProto| {
        let mut file = match arguments.retain_options {
            true => file.clone(),
            false => retention::strip(&index, file),
        };
        if !arguments.include_source_info {
            file.source_code_info = Default::default();
        }
        file
    };
    let inputs: Vec<&str> = compiled.inputs.iter().map(String::as_str).collect();
    let wanted = match arguments.include_imports {
        true => index.closure(&inputs),
        false => inputs.into_iter().collect(),
    };
    let files = compiled.files.iter().filter(|file| wanted.contains(name(file)));
    let files = files.map(finish).collect();
    FileDescriptorSet { file: files, ..Default::default() }.encode_to_vec()
}
