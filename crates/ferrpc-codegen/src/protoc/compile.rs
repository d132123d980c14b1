//! Inputs to descriptors.

use std::collections::HashMap;
use std::path::PathBuf;

use buffa_codegen::generated::descriptor::FileDescriptorProto;
use ferrpc_compiler::{Compilation, EncodeOptions};

use super::arguments::{Arguments, Mode};
use super::check;
use super::parallel::each;
use super::report::{Failure, Report};
use super::sets;
use super::sources::{NoName, Sources};
use crate::descriptor::name;

/// Files that were asked for, and all that they import.
#[derive(Debug)]
pub(super) struct Compiled {
    pub(super) front: Compilation,
    /// Each behind its imports, without comments.
    pub(super) files: Vec<FileDescriptorProto>,
    /// The names of the inputs, in the command line's order.
    pub(super) inputs: Vec<String>,
    pub(super) sources: Sources,
}

impl Compiled {
    /// The inputs themselves.
    pub(super) fn input_files(&self) -> impl Iterator<Item = &FileDescriptorProto> {
        let by_name: HashMap<&str, &FileDescriptorProto> =
            self.files.iter().map(|file| (name(file), file)).collect();
        self.inputs.iter().filter_map(move |input| by_name.get(input.as_str()).copied())
    }

    /// The paths of all files that were read from disk, in the files' order.
    pub(super) fn paths(&self) -> Vec<PathBuf> {
        self.files.iter().filter_map(|file| self.sources.on_disk(name(file))).collect()
    }
}

pub(super) fn compile(arguments: &Arguments, report: &mut Report) -> Result<Compiled, Failure> {
    for warning in &arguments.warnings {
        report.warn_mildly(warning);
    }
    for (_, path) in &arguments.proto_path {
        if !path.exists() {
            let line = format!("{}: warning: directory does not exist.", path.display());
            report.warn_mildly(&line);
        }
    }
    let foreign = sets::read(&arguments.descriptor_set_in)?;
    // For --decode without inputs, all files are there that a type may be in.
    let mut inputs: Vec<String> = Vec::new();
    if arguments.inputs.is_empty() && arguments.mode != Mode::FreeNumbers {
        inputs.extend(foreign.keys().cloned());
        inputs.sort_unstable();
    }
    let sources = Sources::new(arguments.proto_path.clone(), foreign);
    for input in &arguments.inputs {
        if arguments.proto_path.is_empty() && !sources.is_in_set(input) {
            return Err(Failure::message(format!(
                "Could not find file in descriptor database: {input}: No such file or directory"
            )));
        }
        inputs.push(sources.input_name(input).map_err(|why| no_name(input, &why))?);
    }
    let (front, files) = front_end(&sources, &inputs, report)?;
    let compiled = Compiled { front, files, inputs, sources };
    check_foreign(&compiled)?;
    check_editions(arguments, &compiled)?;
    check_direct(arguments, &compiled)?;
    check_services(arguments, &compiled)?;
    Ok(compiled)
}

/// Compiles files and all that they import; each file stands behind its imports.
pub(super) fn front_end(
    sources: &Sources,
    names: &[String],
    report: &mut Report,
) -> Result<(Compilation, Vec<FileDescriptorProto>), Failure> {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let result = ferrpc_compiler::compile(sources, &names);
    let diagnostics = match &result {
        Ok((_, diagnostics)) | Err(diagnostics) => diagnostics,
    };
    let failure = report.diagnostics(diagnostics, sources);
    let Ok((front, _)) = result else { return Err(failure) };
    let names: Vec<&str> = front.files().collect();
    let files = each(&names, |name| decode(&front, name, without_comments()));
    let files = files.into_iter().collect::<Result<_, _>>()?;
    Ok((front, files))
}

/// Comments are long, and few generators look at them.
fn without_comments() -> EncodeOptions {
    let mut options = EncodeOptions::default();
    (options.json_names, options.retain_options) = (true, true);
    options
}

/// The same with comments and places.
pub(super) fn with_comments(
    front: &Compilation,
    name: &str,
) -> Result<FileDescriptorProto, Failure> {
    let mut options = without_comments();
    options.source_info = true;
    decode(front, name, options)
}

/// A file as the generators' library has it.
pub(super) fn decode(
    front: &Compilation,
    name: &str,
    mut options: EncodeOptions,
) -> Result<FileDescriptorProto, Failure> {
    options.only_utf8 = true;
    let bytes = front.encode(name, options).unwrap_or_default();
    buffa_codegen::tooling_decode_options()
        .and_then(|decoder| decoder.decode_from_slice(&bytes).map_err(|error| error.to_string()))
        .map_err(|error| Failure::message(format!("{name}: {error}")))
}

/// Descriptors of others are checked for what would break generated code.
fn check_foreign(compiled: &Compiled) -> Result<(), Failure> {
    let foreign = compiled.files.iter().filter(|file| compiled.sources.is_in_set(name(file)));
    for file in foreign {
        check::names(file).map_err(Failure::message)?;
    }
    Ok(())
}

/// Editions that are not released yet are for those who ask for them.
fn check_editions(arguments: &Arguments, compiled: &Compiled) -> Result<(), Failure> {
    if arguments.experimental_editions {
        return Ok(());
    }
    for input in &compiled.inputs {
        if compiled.front.edition(input) == Some(UNSTABLE) {
            return Err(Failure::message(format!(
                "{input}: is a file using edition UNSTABLE, which is later than the protoc maximum \
                 supported edition 2024."
            )));
        }
    }
    Ok(())
}

fn no_name(input: &str, why: &NoName) -> Failure {
    Failure::message(match why {
        NoName::Directory => {
            format!("Could not map to virtual file: {input}: Input file is a directory.")
        }
        NoName::Missing => {
            format!("Could not make proto path relative: {input}: No such file or directory")
        }
        NoName::Outside => format!(
            "{input}: File does not reside within any path specified using --proto_path (or -I).  \
             Name the directory that its imports start from, spelt as the file's path begins."
        ),
        NoName::Shadowed(path) => format!(
            "{input}: Input is shadowed in the --proto_path by \"{}\".  Either use the latter \
             file as your input or reorder the --proto_path so that the former file's location \
             comes first.",
            path.display()
        ),
    })
}

/// `--direct_dependencies` and `--option_dependencies`: inputs import nothing that is not in the
/// list.
fn check_direct(arguments: &Arguments, compiled: &Compiled) -> Result<(), Failure> {
    let direct = (&arguments.direct_dependencies, &arguments.direct_dependencies_message);
    let option = (&arguments.option_dependencies, &arguments.option_dependencies_message);
    let mut text = String::new();
    for input in &compiled.inputs {
        let imports = compiled.front.imports(input);
        let options = compiled.front.option_imports(input);
        let lists = [(imports, direct, NOT_DECLARED), (options, option, NO_OPTION_DECLARED)];
        for (imports, (allowed, message), usual) in lists {
            let Some(allowed) = allowed else { continue };
            let message = message.as_deref().unwrap_or(usual);
            let all = imports.unwrap_or_default().iter();
            for import in all.filter(|import| !allowed.contains(import)) {
                text.push_str(&format!("{input}: {}\n", message.replace("%s", import)));
            }
        }
        // The first input with one ends the run.
        if !text.is_empty() {
            return Err(Failure::message(text));
        }
    }
    Ok(())
}

/// `--disallow_services`. The first input with one ends the run.
fn check_services(arguments: &Arguments, compiled: &Compiled) -> Result<(), Failure> {
    let mut files = compiled.input_files().filter(|file| !file.service.is_empty());
    match files.next().filter(|_| arguments.disallow_services) {
        None => Ok(()),
        Some(file) => Err(Failure::message(format!(
            "{}: This file contains services, but --disallow_services was used.",
            name(file)
        ))),
    }
}

/// What protoc says of an import that is not in the list.
const NOT_DECLARED: &str = "File is imported but not declared in --direct_dependencies: %s";
const NO_OPTION_DECLARED: &str =
    "File is option imported but not declared in --option_dependencies: %s";
/// `EDITION_UNSTABLE`.
const UNSTABLE: i32 = 9999;
