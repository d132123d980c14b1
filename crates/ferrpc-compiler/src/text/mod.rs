//! Messages of the files that were compiled, between their bytes and the text format: protoc's
//! `--encode`, `--decode` and `--decode_raw`.
//!
//! ```text
//! text  --options::aggregate--> records --write.rs--> bytes
//! bytes --read.rs--> Message --print.rs--> text
//! ```

mod print;
mod read;
mod write;

use crate::compile::Compilation;
use crate::diagnostic::{Diagnostic, Place, Severity};
use crate::options::aggregate::{self, Names};
use crate::pool::{FieldId, MessageId, Pool, Symbol};
use crate::wire;

/// A message in its other form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Converted<T> {
    /// The bytes, or the text.
    pub message: T,
    /// The required fields that are missing, if there are any: their paths, separated by commas.
    pub missing: Option<String>,
    /// What is worth a warning in a text, whose file is called `input`.
    pub warnings: Vec<Diagnostic>,
}

/// Why a message has no other form.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConvertError {
    /// No file has a message of the name.
    UnknownType,
    /// It is not a message of the type. What is wrong, in a file that is called `input`; nothing of
    /// bytes that break the wire format.
    Invalid(Vec<Diagnostic>),
}

impl Compilation {
    /// Reads a message from the text format and encodes it, by the full name of its type. The
    /// entries of maps keep their order; with `sorted` they are in the order of their keys.
    ///
    /// # Errors
    ///
    /// If there is no such type, or the text is not a message of the type.
    pub fn encode_text(
        &self,
        type_name: &str,
        text: &[u8],
        sorted: bool,
    ) -> Result<Converted<Vec<u8>>, ConvertError> {
        let pool = self.pool();
        let id = pool.message_named(type_name).ok_or(ConvertError::UnknownType)?;
        let (records, faults) = aggregate::read(All { pool }, id, text, true);
        let diagnostics = faults.into_iter().map(|fault| {
            let place = Place::from_zero((fault.line, fault.column));
            diagnostic(place, fault.message, fault.warning)
        });
        let mut diagnostics: Vec<Diagnostic> = diagnostics.collect();
        let Some(records) = records else { return Err(ConvertError::Invalid(diagnostics)) };
        let plain = wire::encode(&records);
        let missing = match read::read(pool, id, &plain) {
            Ok(read) => read.missing(pool, id),
            Err(not_utf8) => {
                let message = not_utf8.map(|field| not_utf8_text(pool, field));
                diagnostics.extend(message.map(|message| diagnostic(None, message, true)));
                None
            }
        };
        let message = match sorted {
            true => wire::encode(&write::sorted(pool, id, &records)),
            false => plain,
        };
        Ok(Converted { message, missing, warnings: diagnostics })
    }

    /// Decodes a message and writes it in the text format, by the full name of its type.
    ///
    /// # Errors
    ///
    /// If there is no such type, or the bytes are not a message of the type.
    pub fn decode_text(
        &self,
        type_name: &str,
        bytes: &[u8],
    ) -> Result<Converted<String>, ConvertError> {
        let pool = self.pool();
        let id = pool.message_named(type_name).ok_or(ConvertError::UnknownType)?;
        let read = read::read(pool, id, bytes).map_err(|not_utf8| {
            let message = not_utf8.map(|field| not_utf8_text(pool, field));
            let message = message.map(|message| diagnostic(None, message, false));
            ConvertError::Invalid(message.into_iter().collect())
        })?;
        let message = print::message(pool, id, &read);
        Ok(Converted { message, missing: read.missing(pool, id), warnings: Vec::new() })
    }
}

/// A message of an unknown type in the text format; none if the bytes are no message.
///
/// A length-delimited field is shown as a message if it can be one and is not empty, otherwise as a
/// string.
pub fn raw_text(bytes: &[u8]) -> Option<String> {
    read::unknown(bytes).map(|records| print::unknown(&records))
}

fn diagnostic(place: Option<Place>, message: String, warning: bool) -> Diagnostic {
    let severity = if warning { Severity::Warning } else { Severity::Error };
    Diagnostic { file: "input".to_owned(), place, message, help: None, severity }
}

fn not_utf8_text(pool: &Pool, field: FieldId) -> String {
    let name = &pool.field(field).name;
    format!("String field '{name}' is not UTF-8. Fields of type 'bytes' may hold any bytes.")
}

/// Names are full ones, and all files are seen.
struct All<'p> {
    pool: &'p Pool,
}

impl Names for All<'_> {
    fn types(&self) -> &Pool {
        self.pool
    }

    fn extension(&mut self, name: &str, _: &str) -> Option<Symbol> {
        self.pool.symbol(name)
    }

    fn any(&mut self, _: &str, name: &str) -> Option<Symbol> {
        self.pool.symbol(name)
    }
}

/// The key and the value of a map's entry.
fn entry_fields(pool: &Pool, entry: MessageId) -> Option<[FieldId; 2]> {
    pool.message(entry).fields.as_slice().try_into().ok()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::compile::compile;

    const FILE: &str = "
edition = \"2023\";
message A {
  extensions 100 to max;
  int32 a = 1 [features.field_presence = LEGACY_REQUIRED];
  A in = 2 [features.message_encoding = DELIMITED];
  map<string, A> by_name = 3;
  repeated sint64 packed = 4;
  repeated E closed = 5;
  string text = 6;
  Set set = 7;
  oneof choice { double left = 8; A right = 9; }
}
enum E { option features.enum_type = CLOSED; ZERO = 0; ONE = 1; }
message Set { option message_set_wire_format = true; extensions 4 to max; }
message Item { extend Set { Item item = 1000; } string s = 1; }
extend A { repeated bytes more = 100; }
";
    const TEXT: &str = "a: 1 in { a: -2 } by_name { key: 'k' value { a: 3 } } packed: [1, -1]
closed: ONE text: 'x' set { [Item] { s: 'i' } } right { a: 4 } [more]: '\\377' [more]: ''";

    fn compilation() -> Compilation {
        let tree = HashMap::from([("a.proto", FILE)]);
        compile(&tree, &["a.proto"]).expect("it is valid").0
    }

    #[test]
    fn what_is_written_is_read_again() {
        let compiled = compilation();
        let encoded = compiled.encode_text("A", TEXT.as_bytes(), true).expect("it is one");
        assert_eq!((encoded.missing, encoded.warnings), (None, Vec::new()));
        let decoded = compiled.decode_text("A", &encoded.message).expect("it was written");
        let again = compiled.encode_text("A", decoded.message.as_bytes(), true);
        assert_eq!(again.expect("it was printed").message, encoded.message);
        let missing = compiled.decode_text("A", b"").expect("nothing is a message").missing;
        assert_eq!(missing.as_deref(), Some("a"));
        assert_eq!(compiled.decode_text("B", b""), Err(ConvertError::UnknownType));
    }

    /// Edits of good input, by a generator of numbers with a fixed start.
    #[test]
    fn nothing_that_is_read_panics() {
        let compiled = compilation();
        let good = compiled.encode_text("A", TEXT.as_bytes(), false).expect("it is one").message;
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut next = |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            usize::try_from(state >> 33).unwrap_or_default() % below.max(1)
        };
        for _ in 0..20_000 {
            let mut bytes = good.clone();
            let mut text = TEXT.as_bytes().to_vec();
            for input in [&mut bytes, &mut text] {
                for _ in 0..1 + next(3) {
                    let at = next(input.len());
                    match next(4) {
                        0 => drop(input.remove(at)),
                        1 => input.insert(at, next(256).to_le_bytes()[0]),
                        2 => input.truncate(at),
                        _ => {
                            let copied = input[at..].to_vec();
                            input.extend(copied);
                        }
                    }
                    if input.is_empty() {
                        input.push(0);
                    }
                }
            }
            let _ = raw_text(&bytes);
            let _ = compiled.decode_text("A", &bytes);
            let _ = compiled.encode_text("A", &text, true);
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let compiled = compilation();
        let deep = "in {".repeat(100_000);
        let Err(ConvertError::Invalid(found)) = compiled.encode_text("A", deep.as_bytes(), false)
        else {
            panic!("it is too deep")
        };
        assert!(found[0].message.starts_with("Message is too deep"), "{found:?}");
        for byte in [0x13, 0x0b] {
            assert!(compiled.decode_text("A", &vec![byte; 100_000]).is_err());
            assert_eq!(raw_text(&vec![byte; 100_000]), None);
        }
    }
}
