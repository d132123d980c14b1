//! `testdata/protos/language/cases.txt`: what protoc says of a file is what this crate says of it,
//! and descriptors are the same bytes.

use std::collections::HashMap;

use ferrpc_compiler::{
    Diagnostic, EncodeOptions, Severity, Source, SourceTree, WELL_KNOWN_FILES, compile,
};

/// Cases in which protoc says less or more, and why.
const OTHERWISE: &[(&str, &str)] = &[
    ("reserved bounds", "a newer protoc says what is wrong"),
    ("import itself", "protoc leaves the import out of the file before it says so"),
    ("several links", "protoc compares the number with a field whose type is not known"),
    ("feature targets", "protoc has no place for it"),
];

struct Case {
    name: String,
    files: HashMap<String, Vec<u8>>,
    taken: Option<u64>,
    said: Vec<String>,
}

impl SourceTree for Case {
    fn open(&self, path: &str) -> Result<Source, String> {
        let known = WELL_KNOWN_FILES.iter().find(|(name, _)| *name == path);
        let own = self.files.get(path).cloned();
        let text = own.or_else(|| known.map(|(_, text)| text.as_bytes().to_vec()));
        text.map(Source::Text).ok_or_else(|| "File not found.".to_owned())
    }
}

fn cases() -> Vec<Case> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/protos/language/cases.txt");
    let text = std::fs::read_to_string(path).expect("is there");
    text.split("\n=== ").skip(1).map(case).collect()
}

fn case(text: &str) -> Case {
    let (files, said) = text.split_once("\n>>> ").expect("protoc said something");
    let mut parts = files.split("\n--- ");
    let name = parts.next().expect("has a name").to_owned();
    let files = parts.map(|part| {
        let (name, text) = part.split_once('\n').expect("has a text");
        (name.to_owned(), unescaped(&format!("{text}\n")))
    });
    let files = files.collect();
    let mut lines = said.lines();
    let verdict = lines.next().expect("has a verdict");
    let taken = verdict.strip_prefix("taken ");
    let taken = taken.map(|digest| u64::from_str_radix(digest, 16).expect("is a number"));
    let said = lines.filter(|line| !line.is_empty()).map(str::to_owned).collect();
    Case { name, files, taken, said }
}

/// `{{ff}}` is a byte, and `{{}}` takes the line feed behind it away.
fn unescaped(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text.strip_suffix("{{}}\n").unwrap_or(text);
    while let Some((before, after)) = rest.split_once("{{") {
        let (digits, after) = after.split_once("}}").expect("is closed");
        out.extend_from_slice(before.as_bytes());
        out.push(u8::from_str_radix(digits, 16).expect("is a byte"));
        rest = after;
    }
    out.extend_from_slice(rest.as_bytes());
    out
}

fn digest(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

/// The lines of ours, without those that protoc has in its log. Where protoc has no place, ours is
/// left out.
fn lines(found: &[Diagnostic], theirs: &[String]) -> Vec<String> {
    let shown = found.iter().filter(|it| it.severity != Severity::Notice).map(|it| {
        let plain = Diagnostic { place: None, ..it.clone() }.to_string();
        if theirs.contains(&plain) { plain } else { it.to_string() }
    });
    let mut lines: Vec<String> = shown.collect();
    lines.sort_unstable();
    lines
}

#[test]
fn protoc_is_agreed_with() {
    let mut faults = Vec::new();
    let cases = cases();
    assert!(cases.len() > 400, "only {} cases", cases.len());
    for case in &cases {
        let result = compile(case, &["a.proto"]);
        let mut theirs = case.said.clone();
        theirs.sort_unstable();
        let known = OTHERWISE.iter().any(|(name, _)| *name == case.name);
        match (&result, case.taken) {
            (Ok((compilation, warnings)), Some(expect)) => {
                let mut options = EncodeOptions::default();
                (options.source_info, options.json_names) = (true, true);
                let own = compilation.files().filter(|name| !name.starts_with("google/protobuf/"));
                let bytes: Vec<u8> =
                    own.filter_map(|name| compilation.encode(name, options)).flatten().collect();
                if digest(&bytes) != expect {
                    faults.push(format!("{}: other descriptors", case.name));
                }
                let ours = lines(warnings, &theirs);
                if ours != theirs && !known {
                    faults.push(format!("{}:\n  {theirs:#?}\n  {ours:#?}", case.name));
                }
            }
            (Err(found), None) => {
                let ours = lines(found, &theirs);
                if ours != theirs && !known {
                    faults.push(format!("{}:\n  {theirs:#?}\n  {ours:#?}", case.name));
                }
            }
            (Ok(_), None) => faults.push(format!("{}: taken", case.name)),
            (Err(found), Some(_)) => {
                faults.push(format!("{}: refused: {:#?}", case.name, lines(found, &theirs)));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn options_that_are_for_sources_only_are_kept_on_request() {
    let text = "syntax = \"proto3\"; import \"google/protobuf/descriptor.proto\";\n\
                extend google.protobuf.FileOptions {\n\
                  string gone = 50000 [retention = RETENTION_SOURCE];\n\
                }\n\
                option (gone) = \"xyzzy\";\n";
    let files = HashMap::from([("a.proto".to_owned(), text.as_bytes().to_vec())]);
    let case = Case { name: String::new(), files, taken: None, said: Vec::new() };
    let (compilation, _) = compile(&case, &["a.proto"]).expect("is valid");
    let mut options = EncodeOptions::default();
    let has = |options| {
        let bytes = compilation.encode("a.proto", options).expect("is there");
        bytes.windows(5).any(|part| part == b"xyzzy")
    };
    assert!(!has(options));
    options.retain_options = true;
    assert!(has(options));
}

#[test]
fn descriptors_are_read_as_sources_are() {
    /// The files of another compilation, as descriptors.
    struct Descriptors(HashMap<String, Vec<u8>>);

    impl SourceTree for Descriptors {
        fn open(&self, path: &str) -> Result<Source, String> {
            self.0.get(path).cloned().map(Source::Descriptor).ok_or_else(String::new)
        }
    }

    for case in cases().iter().filter(|case| case.taken.is_some()) {
        let (compilation, _) = compile(case, &["a.proto"]).expect("is valid");
        let mut options = EncodeOptions::default();
        (options.source_info, options.json_names, options.retain_options) = (true, true, true);
        let all = |compilation: &ferrpc_compiler::Compilation| -> HashMap<String, Vec<u8>> {
            let files = compilation.files();
            files
                .map(|name| (name.to_owned(), compilation.encode(name, options).expect("is there")))
                .collect()
        };
        let first = all(&compilation);
        let tree = Descriptors(first.clone());
        match compile(&tree, &["a.proto"]) {
            Ok((again, _)) => assert!(all(&again) == first, "{}", case.name),
            // The edition of these is not released.
            Err(found) => panic!("{}: {:#?}", case.name, lines(&found, &[])),
        }
    }
}
