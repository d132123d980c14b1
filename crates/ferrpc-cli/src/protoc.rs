//! `ferrpc protoc`: the compiler with protoc's own command line.

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;

use clap::Args;

/// Compile .proto files: the flags of protoc, which is not needed.
#[derive(Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Options {
    /// Flags and files as protoc takes them; `ferrpc protoc --help` lists them.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

pub(crate) fn run(options: Options) -> ExitCode {
    let given = options.arguments.into_iter().map(|it| it.to_string_lossy().into_owned());
    let arguments: Vec<String> = std::iter::once("ferrpc protoc".to_owned()).chain(given).collect();
    // Not locked: plugins write to them too.
    let status = ferrpc_codegen::protoc::main(
        &arguments,
        &mut io::stdin(),
        &mut io::stdout(),
        &mut io::stderr(),
    );
    if status == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
