//! Descriptor sets: those of others, which may hold anything, and ours.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::PathBuf;

use buffa::unknown_fields::{UnknownField, UnknownFieldData, UnknownFields};
use buffa_codegen::generated::descriptor::FileDescriptorProto;
use ferrpc_compiler::EncodeOptions;

use super::arguments::Arguments;
use super::compile::Compiled;
use super::report::Failure;
use crate::descriptor::name;

/// The files of all sets, encoded, by name; of two with the same name the first counts.
pub(super) fn read(paths: &[PathBuf]) -> Result<HashMap<String, Vec<u8>>, Failure> {
    let mut files = HashMap::new();
    for path in paths {
        let bytes = fs::read(path).map_err(|error| Failure::io(path.display(), &error))?;
        let set =
            split(&bytes).map_err(|why| Failure::message(format!("{}: {why}", path.display())))?;
        for (name, file) in set {
            files.entry(name).or_insert(file);
        }
    }
    Ok(files)
}

fn split(bytes: &[u8]) -> Result<Vec<(String, Vec<u8>)>, String> {
    let wrong = |_| "Unable to parse.".to_owned();
    let options = buffa_codegen::tooling_decode_options()?;
    let fields = UnknownFields::decode_from_slice(bytes).map_err(wrong)?;
    let mut files = Vec::new();
    for field in fields.iter() {
        if let UnknownField { number: FILE, data: UnknownFieldData::LengthDelimited(bytes) } = field
        {
            let file: FileDescriptorProto = options.decode_from_slice(bytes).map_err(wrong)?;
            files.push((name(&file).to_owned(), bytes.clone()));
        }
    }
    Ok(files)
}

/// `--descriptor_set_out`.
pub(super) fn encode(arguments: &Arguments, compiled: &Compiled) -> Vec<u8> {
    let mut options = EncodeOptions::default();
    options.json_names = true;
    options.source_info = arguments.include_source_info;
    options.retain_options = arguments.retain_options;
    let inputs: HashSet<&str> = compiled.inputs.iter().map(String::as_str).collect();
    let mut set = UnknownFields::default();
    for name in compiled.front.files() {
        if arguments.include_imports || inputs.contains(name) {
            let bytes = compiled.front.encode(name, options).unwrap_or_default();
            let data = UnknownFieldData::LengthDelimited(bytes);
            set.push(UnknownField { number: FILE, data });
        }
    }
    let mut out = Vec::new();
    set.write_to(&mut out);
    out
}

/// `FileDescriptorSet.file`.
const FILE: u32 = 1;
