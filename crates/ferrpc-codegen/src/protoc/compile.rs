//! Inputs to descriptors.

use std::collections::HashSet;
use std::path::PathBuf;

use buffa_codegen::generated::descriptor::source_code_info::Location;
use buffa_codegen::generated::descriptor::{FileDescriptorProto, FileDescriptorSet};

use super::arguments::Arguments;
use super::report::{Failure, Report};
use super::sets;
use super::sources::{NoName, Sources};
use crate::descriptor::name;

/// Files that were asked for, and all that they import.
#[derive(Debug)]
pub(super) struct Compiled {
    /// Each behind its imports, with comments where the source is known.
    pub(super) files: Vec<FileDescriptorProto>,
    /// The names of the inputs, in the command line's order.
    pub(super) inputs: Vec<String>,
    pub(super) sources: Sources,
}

impl Compiled {
    /// The inputs themselves.
    pub(super) fn input_files(&self) -> impl Iterator<Item = &FileDescriptorProto> {
        let find = |input: &String| self.files.iter().find(|file| name(file) == input);
        self.inputs.iter().filter_map(find)
    }

    /// The paths of all files that were read from disk, in the files' order.
    pub(super) fn paths(&self) -> Vec<PathBuf> {
        let read = self.sources.read();
        let path = |file| read.iter().find(|it| it.name == name(file)).map(|it| it.path.clone());
        self.files.iter().filter_map(path).collect()
    }
}

pub(super) fn compile(arguments: &Arguments, report: &mut Report) -> Result<Compiled, Failure> {
    for warning in &arguments.warnings {
        report.warn(warning);
    }
    for (_, path) in &arguments.proto_path {
        if !path.exists() {
            report.warn(&format!("{}: warning: directory does not exist.", path.display()));
        }
    }
    let foreign = sets::read(&arguments.descriptor_set_in)?;
    let sources = Sources::new(arguments.proto_path.clone(), foreign.encoded());
    let mut inputs: Vec<String> = Vec::new();
    for input in &arguments.inputs {
        let name = sources.input_name(input).map_err(|why| no_name(input, &why))?;
        if !inputs.contains(&name) {
            inputs.push(name);
        }
    }
    let (in_sets, to_parse): (Vec<_>, Vec<_>) =
        inputs.iter().cloned().partition(|input| sources.only_in_set(input));
    let mut files = if to_parse.is_empty() {
        Vec::new()
    } else {
        foreign.check_front_end_reads_them(&to_parse, &sources)?;
        parse(&sources, &to_parse)
            .or_else(|error| parse_apart(&sources, &to_parse).ok_or(error))
            .map_err(|error| report.failure(&error, &sources))?
    };
    if !in_sets.is_empty() {
        let mut known: HashSet<String> = files.iter().map(|file| name(file).to_owned()).collect();
        let further = foreign.closure(&in_sets, &sources)?;
        files.extend(further.into_iter().filter(|file| known.insert(name(file).to_owned())));
    }
    let compiled = Compiled { files, inputs, sources };
    check_direct(arguments, &compiled)?;
    check_services(arguments, &compiled)?;
    warn_without_syntax(&compiled, report);
    Ok(compiled)
}

/// Parses files and all that they import.
pub(super) fn parse(
    sources: &Sources,
    names: &[String],
) -> Result<Vec<FileDescriptorProto>, protox::Error> {
    let mut compiler = protox::Compiler::with_file_resolver(sources.clone());
    compiler.include_imports(true).include_source_info(true);
    for name in names {
        compiler.open_file(name)?;
    }
    // Encoded by protox itself: its own types would lose custom options.
    let encoded = compiler.encode_file_descriptor_set();
    let set: FileDescriptorSet = buffa_codegen::tooling_decode_options()
        .map_err(protox::Error::new)?
        .decode_from_slice(&encoded)
        .map_err(protox::Error::new)?;
    let mut files = set.file;
    let read = sources.read();
    for file in &mut files {
        if let Some(read) = read.iter().find(|it| it.name == name(file)) {
            mark_bodies(file, &read.text);
        }
    }
    Ok(files)
}

/// The same, each input for itself; nothing if that fails too.
///
/// The front end looks for names in all files it has read, not only in those a file imports, so
/// that one input may hide a package from another.
fn parse_apart(sources: &Sources, names: &[String]) -> Option<Vec<FileDescriptorProto>> {
    let mut files: Vec<FileDescriptorProto> = Vec::new();
    let mut known = HashSet::new();
    for input in names {
        let more = parse(sources, std::slice::from_ref(input)).ok()?;
        files.extend(more.into_iter().filter(|file| known.insert(name(file).to_owned())));
    }
    // No run saw all of them.
    let mut defined = HashSet::new();
    files.iter().flat_map(top_level).all(|name| defined.insert(name)).then_some(files)
}

/// The full names of what a file defines in its package.
fn top_level(file: &FileDescriptorProto) -> Vec<String> {
    let messages = file.message_type.iter().map(|it| &it.name);
    let enums = file.enum_type.iter().map(|it| &it.name);
    let values = file.enum_type.iter().flat_map(|it| &it.value).map(|it| &it.name);
    let services = file.service.iter().map(|it| &it.name);
    let extensions = file.extension.iter().map(|it| &it.name);
    let all = messages.chain(enums).chain(values).chain(services).chain(extensions);
    let package = file.package.as_deref().unwrap_or_default();
    all.flatten().map(|name| format!("{package}.{name}")).collect()
}

/// Gives methods that end in `{}` options, if they have none: protoc makes them where the braces
/// are, the front end where an option is.
fn mark_bodies(file: &mut FileDescriptorProto, text: &str) {
    let lines: Vec<&str> = text.lines().collect();
    let mut with_body = Vec::new();
    for location in &file.source_code_info.location {
        let (
            [FILE_SERVICE, service, SERVICE_METHOD, method],
            [line, _, column] | [_, _, line, column],
        ) = (location.path.as_slice(), location.span.as_slice())
        else {
            continue;
        };
        let end = usize::try_from(*line).ok().zip(usize::try_from(*column).ok());
        let last =
            end.and_then(|(line, column)| lines.get(line)?.as_bytes().get(column.checked_sub(1)?));
        if last == Some(&b'}') {
            with_body.push((*service, *method));
        }
    }
    for (service, method) in with_body {
        let at = |number: i32| usize::try_from(number).unwrap_or(usize::MAX);
        let method = file.service.get_mut(at(service)).and_then(|it| it.method.get_mut(at(method)));
        if let Some(method) = method {
            method.options.get_or_insert_default();
        }
    }
}

/// The well-known files among `names`, and what they import.
pub(super) fn parse_well_known(names: &[String]) -> Result<Vec<FileDescriptorProto>, Failure> {
    parse(&Sources::default(), names).map_err(|error| Failure::message(error.to_string()))
}

fn no_name(input: &str, why: &NoName) -> Failure {
    Failure::message(match why {
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

/// `--direct_dependencies`: inputs import nothing that is not in the list.
fn check_direct(arguments: &Arguments, compiled: &Compiled) -> Result<(), Failure> {
    let Some(allowed) = &arguments.direct_dependencies else { return Ok(()) };
    let message = arguments.direct_dependencies_message.as_deref().unwrap_or(NOT_DECLARED);
    let mut text = String::new();
    for file in compiled.input_files() {
        for import in file.dependency.iter().filter(|import| !allowed.contains(import)) {
            text.push_str(&format!("{}: {}\n", name(file), message.replace("%s", import)));
        }
    }
    if text.is_empty() { Ok(()) } else { Err(Failure::message(text)) }
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

/// A file that says neither `syntax` nor `edition` is proto2, which its author may not know.
fn warn_without_syntax(compiled: &Compiled, report: &mut Report) {
    for file in compiled.files.iter().filter(|file| file.source_code_info.is_set()) {
        let locations = &file.source_code_info.location;
        // The well-known files that are bundled have none either.
        let said = |it: &Location| matches!(it.path.as_slice(), [FILE_SYNTAX | FILE_EDITION]);
        if !locations.iter().any(said) {
            report.warn_mildly(&format!(
                "{0}: warning: No edition or syntax specified for the proto file: {0}. Please use \
                 'edition = \"YYYY\";' to specify a valid edition version. (Defaulted to \
                 \"syntax = \"proto2\";\".)",
                name(file)
            ));
        }
    }
}

/// What protoc says of an import that is not in the list.
const NOT_DECLARED: &str = "File is imported but not declared in --direct_dependencies: %s";
/// `FileDescriptorProto.syntax`.
const FILE_SYNTAX: i32 = 12;
/// `FileDescriptorProto.edition`.
const FILE_EDITION: i32 = 14;

/// `FileDescriptorProto.service`.
const FILE_SERVICE: i32 = 6;
/// `ServiceDescriptorProto.method`.
const SERVICE_METHOD: i32 = 2;
