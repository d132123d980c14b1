//! Generators that are programs: a `CodeGeneratorRequest` to their standard input, a
//! `CodeGeneratorResponse` from their output. What they write to standard error is shown.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use buffa::Message;
use buffa_codegen::generated::compiler::{CodeGeneratorRequest, CodeGeneratorResponse, Version};
use buffa_codegen::generated::descriptor::FileDescriptorProto;
use ferrpc_compiler::EncodeOptions;

use super::arguments::Output;
use super::compile::{Compiled, decode};
use super::generate::refused;
use super::output::Outputs;
use super::report::Failure;
use crate::descriptor::name;

pub(super) fn run(
    named: &str,
    program: Option<&PathBuf>,
    output: &Output,
    compiled: &Compiled,
    outputs: &mut Outputs,
) -> Result<(), Failure> {
    let request = request(output, compiled).map_err(|why| refused(output, &why))?.encode_to_vec();
    let program = program.map_or(Path::new(named), PathBuf::as_path);
    let pieces = talk(named, program, request)
        .and_then(|answer| read(named, &answer, compiled))
        .map_err(|why| refused(output, &why))?;
    for (name, point, content) in pieces {
        match point {
            None => outputs.add(&output.place, &name, content)?,
            Some(point) => outputs.insert(&output.place, &name, &point, &content)?,
        }
    }
    Ok(())
}

/// A file, or what comes into one: its name, the point, and the content.
type Piece = (String, Option<String>, String);

fn read(named: &str, answer: &[u8], compiled: &Compiled) -> Result<Vec<Piece>, String> {
    let response = CodeGeneratorResponse::decode_from_slice(answer)
        .map_err(|error| format!("{named}: Plugin output is unparseable: {error}"))?;
    if let Some(error) = response.error {
        return Err(error);
    }
    check_features(named, response.supported_features.unwrap_or_default(), compiled)?;
    let mut pieces: Vec<Piece> = Vec::new();
    for file in response.file {
        let content = file.content.unwrap_or_default();
        match file.name.filter(|name| !name.is_empty()) {
            Some(name) => {
                let point = file.insertion_point.filter(|point| !point.is_empty());
                pieces.push((name, point, content));
            }
            // A file may come in pieces, of which the first has the name.
            None => match pieces.last_mut() {
                Some((_, _, before)) => before.push_str(&content),
                None => {
                    return Err(format!(
                        "{named}: First file chunk returned by plugin did not specify a file name."
                    ));
                }
            },
        }
    }
    Ok(pieces)
}

fn request(output: &Output, compiled: &Compiled) -> Result<CodeGeneratorRequest, String> {
    let mut options = EncodeOptions::default();
    (options.source_info, options.json_names) = (true, true);
    // Without options that are for sources only, which `source_file_descriptors` has.
    let files: Result<Vec<FileDescriptorProto>, Failure> =
        compiled.front.files().map(|name| decode(&compiled.front, name, options)).collect();
    let proto_file = files.map_err(|failure| failure.text)?;
    let (major, minor, patch) = COMPILER;
    Ok(CodeGeneratorRequest {
        file_to_generate: compiled.inputs.clone(),
        parameter: (!output.parameter.is_empty()).then(|| output.parameter.clone()),
        proto_file,
        source_file_descriptors: compiled.input_files().cloned().collect(),
        compiler_version: buffa::MessageField::from_pointer(buffa::Inline(Version {
            major: Some(major),
            minor: Some(minor),
            patch: Some(patch),
            suffix: Some(String::new()),
            ..Default::default()
        })),
        ..Default::default()
    })
}

fn talk(named: &str, program: &Path, request: Vec<u8>) -> Result<Vec<u8>, String> {
    let child = Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child = child.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => format!(
            "{named}: program not found or is not executable; give its path with \
             --plugin={named}=PATH, or put it into a directory of PATH"
        ),
        _ => format!("{named}: {error}"),
    })?;
    // Both at once: a plugin may answer before it has read everything.
    let writer = child.stdin.take().map(|mut stdin| {
        std::thread::spawn(move || {
            // One that stops reading says why by its status.
            let _ = stdin.write_all(&request);
        })
    });
    let answer = child.wait_with_output().map_err(|error| format!("{named}: {error}"))?;
    if let Some(writer) = writer {
        let _ = writer.join();
    }
    if answer.status.success() {
        return Ok(answer.stdout);
    }
    Err(match answer.status.code() {
        Some(code) => format!("{named}: Plugin failed with status code {code}."),
        None => format!("{named}: Plugin killed by a signal."),
    })
}

/// A plugin that does not know of `optional` in proto3, or of editions, would make wrong code.
fn check_features(named: &str, features: u64, compiled: &Compiled) -> Result<(), String> {
    for file in compiled.input_files() {
        if features & FEATURE_PROTO3_OPTIONAL == 0 && has_proto3_optional(file) {
            return Err(format!(
                "{}: is a proto3 file that contains optional fields, but code generator {named} \
                 hasn't been updated to support optional fields in proto3.",
                name(file)
            ));
        }
        if features & FEATURE_EDITIONS == 0 && file.edition.is_some() {
            return Err(format!(
                "{}: is an editions file, but code generator {named} hasn't been updated to \
                 support editions yet.",
                name(file)
            ));
        }
    }
    Ok(())
}

fn has_proto3_optional(file: &FileDescriptorProto) -> bool {
    let mut open: Vec<_> = file.message_type.iter().collect();
    while let Some(message) = open.pop() {
        if message.field.iter().any(|field| field.proto3_optional.unwrap_or(false)) {
            return true;
        }
        open.extend(&message.nested_type);
    }
    false
}

/// `CodeGeneratorResponse.Feature`.
const FEATURE_PROTO3_OPTIONAL: u64 = 1;
const FEATURE_EDITIONS: u64 = 2;
/// What protoc 35.1 calls itself.
const COMPILER: (i32, i32, i32) = (7, 35, 1);
