//! Runs a generator: one of ours, or somebody's program.

use std::collections::HashMap;
use std::path::PathBuf;

use super::arguments::{Arguments, ErrorFormat, Output};
use super::compile::{self, Compiled};
use super::output::Outputs;
use super::plugin;
use super::report::{Failure, Report};
use super::sources::Sources;
use crate::descriptor::name;
use crate::output::GeneratedFile;
use crate::python::{self, Index, MessageOptions, ServiceOptions};

pub(super) fn run(
    output: &Output,
    arguments: &Arguments,
    compiled: &Compiled,
    outputs: &mut Outputs,
) -> Result<(), Failure> {
    let named = format!("protoc-gen-{}", output.generator);
    // A program that the user names comes before ours.
    let program = arguments.plugins.get(&named);
    match (program, output.generator.as_str()) {
        (None, "python" | "pyi" | "grpc_python") => {
            python(output, &Index::new(&compiled.front, &compiled.files), compiled, outputs)
        }
        (program, _) => plugin::run(&named, program, output, compiled, outputs),
    }
}

/// What a generator has to say.
pub(super) fn refused(output: &Output, why: &str) -> Failure {
    Failure::message(format!("--{}_out: {why}", output.generator))
}

fn python(
    output: &Output,
    index: &Index<'_>,
    compiled: &Compiled,
    outputs: &mut Outputs,
) -> Result<(), Failure> {
    let place = &output.place;
    let add = |files: Vec<GeneratedFile>, outputs: &mut Outputs| {
        files.into_iter().try_for_each(|file| outputs.add(place, &file.path, file.content))
    };
    // Parameters are read for each file, so that the first one stands in the error.
    let wrong = |why: String| {
        let first = compiled.inputs.first().map_or("", String::as_str);
        refused(output, &format!("{first}: {why}"))
    };
    match output.generator.as_str() {
        "python" => {
            let options = MessageOptions::parse(&output.parameter).map_err(wrong)?;
            for file in compiled.input_files() {
                add(python::messages(index, file, &options), outputs)?;
            }
        }
        "pyi" => {
            let options = MessageOptions::parse(&output.parameter).map_err(wrong)?;
            for file in compiled.input_files() {
                let types = python::message_types(index, file, options.relative_imports);
                add(vec![types], outputs)?;
            }
        }
        _ => {
            let options = ServiceOptions::parse(&output.parameter).map_err(wrong)?;
            for file in compiled.input_files() {
                // As the official generator wants it; that of messages takes any name.
                if !name(file).ends_with(".proto") {
                    let why = "Invalid proto file name. Proto file must end with .proto";
                    return Err(refused(output, &format!("{}: {why}", name(file))));
                }
                let (files, insertions) = python::services(index, file, &options);
                add(files, outputs)?;
                for it in insertions {
                    outputs.insert(place, &it.path, it.point, &it.content)?;
                }
            }
        }
    }
    Ok(())
}

/// See [`super::python_module`].
pub(super) fn python_module(
    input: &str,
    paths: &[PathBuf],
    services: bool,
) -> Result<String, Failure> {
    let mappings = paths.iter().map(|path| (String::new(), path.clone())).collect();
    let sources = Sources::new(mappings, HashMap::new());
    let mut report = Report::new(ErrorFormat::Gcc);
    let (front, files) = compile::front_end(&sources, &[input.to_owned()], &mut report)?;
    let index = Index::new(&front, &files);
    let Some(file) = index.file(input) else {
        return Err(Failure::message(format!("{input}: File not found.")));
    };
    let mut modules = match services {
        false => python::messages(&index, file, &MessageOptions::default()),
        true => python::services(&index, file, &ServiceOptions::default()).0,
    };
    Ok(modules.swap_remove(0).content)
}
