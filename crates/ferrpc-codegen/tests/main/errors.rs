//! What a user sees when something is wrong.

use std::fs;
use std::path::PathBuf;

use ferrpc_codegen::{Builder, Error};

/// Compiles `a.proto` with the given text; `DIR` in the expectation is where it is.
#[track_caller]
fn check(name: &str, text: &str, expect: &str) {
    let directory = directory(name);
    fs::write(directory.join("a.proto"), text).expect("can be written");
    let error = compile(&directory).expect_err("it is wrong");
    let shown = error.to_string().replace(&directory.display().to_string(), "DIR");
    assert_eq!(shown, expect);
    assert_eq!(format!("{error:?}"), error.to_string());
    assert!(!directory.join("out").exists(), "something was written");
}

fn compile(directory: &PathBuf) -> Result<(), Error> {
    Builder::new()
        .out_dir(directory.join("out"))
        .emit_cargo_lines(false)
        .compile(&[directory.join("a.proto")], &[directory])
}

fn directory(name: &str) -> PathBuf {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("errors").join(name);
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).expect("can be created");
    directory
}

#[test]
fn a_syntax_error_has_its_place() {
    check(
        "syntax",
        "syntax = \"proto3\";\nmessage A {\n  int32 x 1;\n}\n",
        "DIR/a.proto:3:11: Missing field number.\n    int32 x 1;\n            ^\n  help: found 1",
    );
}

#[test]
fn an_unknown_type_has_its_place() {
    check(
        "unknown",
        "syntax = \"proto3\";\nmessage A {\n  B b = 1;\n}\n",
        "DIR/a.proto:3:3: \"B\" is not defined.\n    B b = 1;\n    ^",
    );
}

#[test]
fn every_fault_of_a_file_is_told() {
    check(
        "several",
        "syntax = \"proto3\";\nmessage A {\n  B b = 1;\n  C c = 2;\n}\n",
        "DIR/a.proto:3:3: \"B\" is not defined.\n    B b = 1;\n    ^\n\
         DIR/a.proto:4:3: \"C\" is not defined.\n    C c = 2;\n    ^",
    );
}

#[test]
fn a_number_given_twice_has_its_place() {
    check(
        "twice",
        "syntax = \"proto3\";\nmessage A {\n  int32 b = 1;\n  int32 c = 1;\n}\n",
        "DIR/a.proto:4:13: Field number 1 has already been used in \"A\" by field \"b\". Next \
         available field number is 2.\n    int32 c = 1;\n              ^",
    );
}

#[test]
fn a_missing_import_has_its_place() {
    check(
        "import",
        "syntax = \"proto3\";\nimport \"b.proto\";\n",
        "b.proto: File not found.\n\
         DIR/a.proto:2:1: Import \"b.proto\" was not found or had errors.\n  \
         import \"b.proto\";\n  ^\n\
         The include directories are: DIR.",
    );
}

#[test]
fn imports_in_a_circle_are_told() {
    check(
        "circle",
        "syntax = \"proto3\";\nimport \"a.proto\";\n",
        "DIR/a.proto:2:1: File recursively imports itself: a.proto -> a.proto\n  \
         import \"a.proto\";\n  ^\n\
         DIR/a.proto:2:1: Import \"a.proto\" was not found or had errors.\n  \
         import \"a.proto\";\n  ^",
    );
}

#[test]
fn a_missing_file_is_named() {
    let directory = directory("missing");
    let error = compile(&directory).expect_err("there is none");
    let shown = error.to_string().replace(&directory.display().to_string(), "DIR");
    assert_eq!(
        shown,
        "DIR/a.proto does not exist.\n\
         The include directories are: DIR."
    );
}

#[test]
fn what_prefix_an_option_needs_is_told() {
    let error = Builder::new().extern_path("common", "::common").generate(&[]).expect_err("no dot");
    assert_eq!(
        error.to_string(),
        "extern_path takes a Protobuf path with a dot in front; write \".common\"."
    );
}

#[test]
fn bytes_that_are_no_descriptors_are_refused() {
    let error = ferrpc_codegen::generate(b"\xff\xff").expect_err("they are none");
    let expect = "The descriptor set cannot be used: ";
    assert!(error.to_string().starts_with(expect), "{error}");
}

#[test]
fn names_that_the_message_library_refuses_are_listed() {
    check_messages(
        "refused",
        "syntax = \"proto3\";\npackage kw;\nmessage Fine { enum while { Z = 0; } }\n\
         message Of { oneof self { int32 a = 1; } }\n",
        "buffa has no Rust names for kw.Of.self, kw.Fine.while: rename them, or take \
         Messages::Prost (this crate's feature `prost`)",
    );
}

/// The same where the message library is what refuses, whose own words are its own.
#[track_caller]
fn check_messages(name: &str, text: &str, expect: &str) {
    let directory = directory(name);
    fs::write(directory.join("a.proto"), text).expect("can be written");
    let error = compile(&directory).expect_err("it is wrong").to_string();
    assert!(error.contains(expect), "{error}");
    assert!(!directory.join("out").exists(), "something was written");
}
