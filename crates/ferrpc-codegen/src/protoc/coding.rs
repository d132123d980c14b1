//! `--encode` and `--decode`: messages between text and bytes.

use ferrpc_compiler::{ConvertError, Converted};

use super::compile::Compiled;
use super::report::{Failure, Report};

/// The bytes of a message; with `sorted`, in a form that depends on the message alone.
pub(super) fn encode(
    compiled: &Compiled,
    type_name: &str,
    text: &[u8],
    sorted: bool,
    report: &mut Report,
) -> Result<Vec<u8>, Failure> {
    let result = compiled.front.encode_text(type_name, text, sorted);
    converted(result, type_name, compiled, report)
}

pub(super) fn decode(
    compiled: &Compiled,
    type_name: &str,
    bytes: &[u8],
    report: &mut Report,
) -> Result<String, Failure> {
    let result = compiled.front.decode_text(type_name, bytes);
    converted(result, type_name, compiled, report)
}

fn converted<T>(
    result: Result<Converted<T>, ConvertError>,
    type_name: &str,
    compiled: &Compiled,
    report: &mut Report,
) -> Result<T, Failure> {
    match result {
        Ok(converted) => {
            // There are no errors among them.
            let _ = report.diagnostics(&converted.warnings, &compiled.sources);
            if let Some(missing) = converted.missing {
                report.warn(&format!(
                    "warning:  Input message is missing required fields:  {missing}"
                ));
            }
            Ok(converted.message)
        }
        Err(ConvertError::Invalid(diagnostics)) => {
            let mut failure = report.diagnostics(&diagnostics, &compiled.sources);
            failure.text.push_str("Failed to parse input.\n");
            Err(failure)
        }
        Err(_) => Err(Failure::message(format!("Type not defined: {type_name}"))),
    }
}
