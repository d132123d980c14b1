//! Runs a generator: one of ours, or somebody's program.

use std::collections::HashMap;
use std::path::PathBuf;

use buffa_codegen::generated::descriptor::FileDescriptorProto;

use super::arguments::{Arguments, ErrorFormat, Output};
use super::compile::{self, Compiled};
use super::output::Outputs;
use super::parallel::each;
use super::plugin;
use super::report::{Failure, Report};
use super::sources::Sources;
use crate::descriptor::name;
use crate::output::GeneratedFile;
use crate::python::{self, Index, Insertion, MessageOptions, ServiceOptions};

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
    // Parameters are read for each file, so that the first one stands in the error.
    let wrong = |why: String| {
        let first = compiled.inputs.first().map_or("", String::as_str);
        refused(output, &format!("{first}: {why}"))
    };
    let inputs: Vec<&FileDescriptorProto> = compiled.input_files().collect();
    let made: Vec<Result<Modules, Failure>> = match output.generator.as_str() {
        "python" => {
            let options = MessageOptions::parse(&output.parameter).map_err(wrong)?;
            each(&inputs, |file| Ok((python::messages(index, file, &options), Vec::new())))
        }
        "pyi" => {
            let options = MessageOptions::parse(&output.parameter).map_err(wrong)?;
            let relative = options.relative_imports;
            each(&inputs, |file| {
                Ok((vec![python::message_types(index, file, relative)], Vec::new()))
            })
        }
        _ => {
            let options = ServiceOptions::parse(&output.parameter).map_err(wrong)?;
            each(&inputs, |file| {
                // As the official generator wants it; that of messages takes any name.
                if !name(file).ends_with(".proto") {
                    let why = "Invalid proto file name. Proto file must end with .proto";
                    return Err(refused(output, &format!("{}: {why}", name(file))));
                }
                if file.service.is_empty() {
                    return Ok(python::services(index, file, &options));
                }
                let commented = compile::with_comments(&compiled.front, name(file))?;
                Ok(python::services(index, &commented, &options))
            })
        }
    };
    for modules in made {
        let (files, insertions) = modules?;
        for file in files {
            outputs.add(place, &file.path, file.content)?;
        }
        for it in insertions {
            outputs.insert(place, &it.path, it.point, &it.content)?;
        }
    }
    Ok(())
}

/// The files of an input, and what comes into files of others.
type Modules = (Vec<GeneratedFile>, Vec<Insertion>);

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
        true => {
            let commented = compile::with_comments(&front, input)?;
            python::services(&index, &commented, &ServiceOptions::default()).0
        }
    };
    Ok(modules.swap_remove(0).content)
}
