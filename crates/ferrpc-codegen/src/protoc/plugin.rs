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
use super::compile::{Compiled, decode, with_comments};
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
        .map_err(Refused::Plugin)
        .and_then(|answer| read(named, &answer, compiled))
        .map_err(|why| match why {
            Refused::Plugin(why) => refused(output, &why),
            Refused::Us(why) => Failure::message(why),
        })?;
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

/// Whose the error is: protoc's own say no generator.
enum Refused {
    Plugin(String),
    Us(String),
}

fn read(named: &str, answer: &[u8], compiled: &Compiled) -> Result<Vec<Piece>, Refused> {
    let response = CodeGeneratorResponse::decode_from_slice(answer).map_err(|_| {
        // Often it is text that was meant for standard error.
        let shown = escaped(answer.get(..MAX_SHOWN).unwrap_or(answer));
        Refused::Plugin(format!("{named}: Plugin output is unparseable: {shown}"))
    })?;
    if let Some(error) = response.error {
        return Err(Refused::Plugin(error));
    }
    check_features(named, &response, compiled).map_err(Refused::Us)?;
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
                    return Err(Refused::Plugin(format!(
                        "{named}: First file chunk returned by plugin did not specify a file name."
                    )));
                }
            },
        }
    }
    Ok(pieces)
}

fn request(output: &Output, compiled: &Compiled) -> Result<CodeGeneratorRequest, String> {
    let mut options = EncodeOptions::default();
    (options.source_info, options.json_names) = (true, true);
    let front = &compiled.front;
    let files: Result<Vec<FileDescriptorProto>, Failure> = front
        .files()
        .map(|name| {
            // Inputs come without options that are for sources only, which
            // `source_file_descriptors` has; that has no imports.
            options.retain_options = !compiled.inputs.iter().any(|input| input == name);
            decode(front, name, options)
        })
        .collect();
    let proto_file = files.map_err(|failure| failure.text)?;
    let files: Result<Vec<FileDescriptorProto>, Failure> =
        compiled.inputs.iter().map(|name| with_comments(front, name)).collect();
    let source_file_descriptors = files.map_err(|failure| failure.text)?;
    let (major, minor, patch) = COMPILER;
    Ok(CodeGeneratorRequest {
        file_to_generate: compiled.inputs.clone(),
        parameter: (!output.parameter.is_empty()).then(|| output.parameter.clone()),
        proto_file,
        source_file_descriptors,
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
        None => format!("{named}: Plugin killed by {}.", signal(answer.status)),
    })
}

/// A plugin that does not know of `optional` in proto3, or of editions, would make wrong code.
fn check_features(
    named: &str,
    response: &CodeGeneratorResponse,
    compiled: &Compiled,
) -> Result<(), String> {
    let features = response.supported_features.unwrap_or_default();
    let oldest = response.minimum_edition.unwrap_or_default();
    let newest = response.maximum_edition.unwrap_or_default();
    for file in compiled.input_files() {
        if features & FEATURE_PROTO3_OPTIONAL == 0 && has_proto3_optional(file) {
            return Err(format!(
                "{}: is a proto3 file that contains optional fields, but code generator {named} \
                 hasn't been updated to support optional fields in proto3. Please ask the owner of \
                 this code generator to support proto3 optional.",
                name(file)
            ));
        }
        let Some(edition) = compiled.front.edition(name(file)) else { continue };
        // What comes with the language is not the plugin's to generate from.
        if name(file).starts_with("google/protobuf/") || name(file).starts_with("upb/") {
            continue;
        }
        let shown = edition_name(edition);
        if features & FEATURE_EDITIONS == 0 {
            return Err(format!(
                "{}: is an editions file, but code generator {named} hasn't been updated to \
                 support editions yet.  Please ask the owner of this code generator to add support \
                 or switch back to proto2/proto3.\n\nSee https://protobuf.dev/editions/overview/ \
                 for more information.",
                name(file)
            ));
        }
        if edition < oldest {
            return Err(format!(
                "{}: is a file using edition {shown}, which isn't supported by code generator \
                 {named}.  Please upgrade your file to at least edition {}.",
                name(file),
                edition_name(oldest)
            ));
        }
        if edition > newest {
            return Err(format!(
                "{}: is a file using edition {shown}, which isn't supported by code generator \
                 {named}.  Please ask the owner of this code generator to add support or switch \
                 back to a maximum of edition {}.",
                name(file),
                edition_name(newest)
            ));
        }
    }
    Ok(())
}

/// The name in descriptor.proto, without its prefix.
fn edition_name(edition: i32) -> String {
    match edition {
        0 => "UNKNOWN".to_owned(),
        900 => "LEGACY".to_owned(),
        998 => "PROTO2".to_owned(),
        999 => "PROTO3".to_owned(),
        1000..=1002 => {
            ["2023", "2024", "2026"][usize::try_from(edition - 1000).unwrap_or(0)].into()
        }
        9999 => "UNSTABLE".to_owned(),
        other => other.to_string(),
    }
}

/// As in C: what is not printable is octal.
fn escaped(bytes: &[u8]) -> String {
    let escape = |&byte: &u8| match byte {
        0..0x20 | 0x7f.. if !b"\t\n\r".contains(&byte) => format!("\\{byte:03o}"),
        byte => byte.escape_ascii().to_string(),
    };
    bytes.iter().map(escape).collect()
}

#[cfg(unix)]
fn signal(status: std::process::ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    status.signal().map_or_else(|| "a signal".to_owned(), |number| format!("signal {number}"))
}

#[cfg(not(unix))]
fn signal(_: std::process::ExitStatus) -> String {
    "a signal".to_owned()
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
/// Output that is no answer is shown so far.
const MAX_SHOWN: usize = 200;
/// What protoc 35.1 calls itself.
const COMPILER: (i32, i32, i32) = (7, 35, 1);
