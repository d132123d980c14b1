//! The command line of `protoc`, as a function: `ferrpc protoc` and `python -m grpc_tools.protoc`
//! are this.
//!
//! ```text
//! arguments.rs -> compile.rs ---------------> generate.rs -> output.rs
//!                   sources.rs: names, files     plugin.rs: programs of others
//!                   sets.rs, check.rs: descriptor sets of others
//!                   report.rs: errors, and how they look
//! ```
//!
//! Everything is read, compiled and generated before the first file is written; then all files are
//! written or none.

mod archive;
mod arguments;
mod check;
mod coding;
mod compile;
mod free_numbers;
mod generate;
mod help;
mod output;
mod parallel;
mod plugin;
mod report;
mod sets;
mod sources;

use std::io::{Read, Write};
use std::path::Path;

use arguments::{Arguments, Mode, Parsed};
use output::Outputs;
use report::{Failure, Report};

pub(crate) use report::render;
pub(crate) use sources::{NoName, Sources};

/// Runs the compiler with a program's arguments, the first of which is the program's name.
///
/// What it has to say goes to `stdout` and `stderr`; `stdin` is read by `--encode`, `--decode` and
/// `--decode_raw` only. Returns the exit status: 0, or 1 if anything was wrong, and then no file
/// was written.
pub fn main(
    arguments: &[String],
    stdin: &mut dyn Read,
    stdout: &mut dyn Write,
    stderr: &mut dyn Write,
) -> i32 {
    let program = arguments.first().map_or("protoc", String::as_str);
    let result = match arguments::parse(arguments.get(1..).unwrap_or_default()) {
        Err(message) => Err(Failure::message(message)),
        Ok(Parsed::Help) => print(stdout, &help::text(program)),
        Ok(Parsed::Version) => print(stdout, &format!("libprotoc {VERSION}\n")),
        Ok(Parsed::Notices) => print(stdout, help::NOTICES),
        Ok(Parsed::Run(arguments)) => run(&arguments, stdin, stdout, stderr),
    };
    match result {
        Ok(()) => 0,
        Err(failure) => {
            // Nobody is left to tell if this cannot be written.
            let _ = stderr.write_all(failure.text.as_bytes());
            1
        }
    }
}

/// The bundled `.proto` files of the well-known types: virtual name and text.
///
/// They are found without any `--proto_path`.
pub fn well_known_files() -> &'static [(&'static str, &'static str)] {
    ferrpc_compiler::WELL_KNOWN_FILES
}

/// The module of a file's messages, or of its services, for loading at run time.
///
/// `name` is looked for in the directories `paths`, as an import would be. The error is what would
/// be printed.
pub fn python_module(
    name: &str,
    paths: &[std::path::PathBuf],
    services: bool,
) -> Result<String, String> {
    generate::python_module(name, paths, services).map_err(|failure| failure.text)
}

fn run(
    arguments: &Arguments,
    stdin: &mut dyn Read,
    stdout: &mut dyn Write,
    stderr: &mut dyn Write,
) -> Result<(), Failure> {
    if arguments.mode == Mode::DecodeRaw {
        let text = ferrpc_compiler::raw_text(&input(stdin)?);
        return print(stdout, &text.ok_or_else(|| Failure::message("Failed to parse input."))?);
    }
    let mut report = Report::new(arguments.error_format);
    let compiled = compile::compile(arguments, &mut report);
    // They may be the reason: a folder that is not there, say.
    say(stderr, &mut report)?;
    let compiled = compiled?;
    if arguments.fatal_warnings && report.is_grave() {
        return Err(Failure::silent());
    }
    let defaults = edition_defaults(arguments, &compiled)?;
    match &arguments.mode {
        Mode::FreeNumbers => return print(stdout, &free_numbers::text(&compiled)),
        Mode::Encode(type_name) => {
            let text = input(stdin)?;
            let sorted = arguments.deterministic;
            let encoded = coding::encode(&compiled, type_name, &text, sorted, &mut report);
            say(stderr, &mut report)?;
            return stdout.write_all(&encoded?).map_err(|error| Failure::io("stdout", &error));
        }
        Mode::Decode(type_name) => {
            let text = coding::decode(&compiled, type_name, &input(stdin)?, &mut report);
            say(stderr, &mut report)?;
            return print(stdout, &text?);
        }
        Mode::Compile | Mode::DecodeRaw => {}
    }
    let mut outputs = Outputs::new(arguments.allow_escape);
    for output in &arguments.outputs {
        generate::run(output, arguments, &compiled, &mut outputs)?;
    }
    if let Some(path) = &arguments.descriptor_set_out {
        outputs.single(path, sets::encode(arguments, &compiled));
    }
    if let Some((path, content)) = defaults {
        outputs.single(path, content);
    }
    if let Some(path) = &arguments.dependency_out {
        let text = outputs.dependencies(&compiled.paths());
        outputs.single(path, text.into_bytes());
    }
    outputs.write()
}

/// `--edition_defaults_out`: where to, and what. With `--encode` and the like, it is checked only.
fn edition_defaults<'a>(
    arguments: &'a Arguments,
    compiled: &compile::Compiled,
) -> Result<Option<(&'a Path, Vec<u8>)>, Failure> {
    let Some(path) = &arguments.edition_defaults_out else { return Ok(None) };
    let (oldest, newest) = arguments.edition_defaults_range;
    let defaults = compiled.front.edition_defaults(oldest, newest);
    let defaults = defaults.map_err(|why| Failure::message(format!("{}: {why}", path.display())));
    Ok(Some((path, defaults?)))
}

/// Prints the warnings that were not printed yet.
fn say(stderr: &mut dyn Write, report: &mut Report) -> Result<(), Failure> {
    stderr
        .write_all(report.take_warnings().as_bytes())
        .map_err(|error| Failure::io("stderr", &error))
}

fn print(stdout: &mut dyn Write, text: &str) -> Result<(), Failure> {
    stdout.write_all(text.as_bytes()).map_err(|error| Failure::io("stdout", &error))
}

fn input(stdin: &mut dyn Read) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    stdin.read_to_end(&mut bytes).map_err(|error| Failure::io("stdin", &error))?;
    Ok(bytes)
}

/// The release of protoc whose command line this is; build systems read it.
const VERSION: &str = "35.1";
