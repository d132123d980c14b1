//! What a user sees when something is wrong.

use std::fs;
use std::path::Path;

use ferrpc_codegen::{Builder, Error};

use crate::directory;

/// Compiles `a.proto` with the given text; `DIR` in the expectation is where it is.
#[track_caller]
fn check(text: &str, expect: &str) {
    let directory = directory();
    let directory = directory.path();
    fs::write(directory.join("a.proto"), text).expect("can be written");
    let error = compile(directory).expect_err("it is wrong");
    let shown = error.to_string().replace(&directory.display().to_string(), "DIR");
    assert_eq!(shown, expect);
    assert_eq!(format!("{error:?}"), error.to_string());
    assert!(!directory.join("out").exists(), "something was written");
}

fn compile(directory: &Path) -> Result<(), Error> {
    Builder::new()
        .out_dir(directory.join("out"))
        .emit_cargo_lines(false)
        .compile(&[directory.join("a.proto")], &[directory])
}

#[test]
fn a_syntax_error_has_its_place() {
    check(
        "syntax = \"proto3\";\nmessage A {\n  int32 x 1;\n}\n",
        "DIR/a.proto:3:11: Missing field number.\n    int32 x 1;\n            ^\n  help: found 1",
    );
}

#[test]
fn an_unknown_type_has_its_place() {
    check(
        "syntax = \"proto3\";\nmessage A {\n  B b = 1;\n}\n",
        "DIR/a.proto:3:3: \"B\" is not defined.\n    B b = 1;\n    ^",
    );
}

#[test]
fn every_fault_of_a_file_is_told() {
    check(
        "syntax = \"proto3\";\nmessage A {\n  B b = 1;\n  C c = 2;\n}\n",
        "DIR/a.proto:3:3: \"B\" is not defined.\n    B b = 1;\n    ^\n\
         DIR/a.proto:4:3: \"C\" is not defined.\n    C c = 2;\n    ^",
    );
}

#[test]
fn a_number_given_twice_has_its_place() {
    check(
        "syntax = \"proto3\";\nmessage A {\n  int32 b = 1;\n  int32 c = 1;\n}\n",
        "DIR/a.proto:4:13: Field number 1 has already been used in \"A\" by field \"b\". Next \
         available field number is 2.\n    int32 c = 1;\n              ^",
    );
}

#[test]
fn a_missing_import_has_its_place() {
    check(
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
        "syntax = \"proto3\";\nimport \"a.proto\";\n",
        "DIR/a.proto:2:1: File recursively imports itself: a.proto -> a.proto\n  \
         import \"a.proto\";\n  ^\n\
         DIR/a.proto:2:1: Import \"a.proto\" was not found or had errors.\n  \
         import \"a.proto\";\n  ^",
    );
}

#[test]
fn a_missing_file_is_named() {
    let directory = directory();
    let directory = directory.path();
    let error = compile(directory).expect_err("there is none");
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
fn what_a_library_cannot_do_is_told() {
    let error = Builder::new().skip_debug(".").generate(&[]).expect_err("buffa cannot");
    assert_eq!(
        error.to_string(),
        "buffa has nothing for Builder::skip_debug; leave it out, or take the other library."
    );
    let error = Builder::new().include_file("a/b.rs").generate(&[]).expect_err("it is elsewhere");
    assert_eq!(error.to_string(), "\"a/b.rs\" is not the name of a file in the output directory.");
}

#[test]
fn an_attribute_that_is_none_is_told() {
    let directory = directory();
    let directory = directory.path();
    let text = "syntax = \"proto3\";\nmessage M {}\nservice S { rpc A(M) returns (M); }\n";
    fs::write(directory.join("a.proto"), text).expect("can be written");
    let builder = Builder::new().out_dir(directory.join("out")).client_attribute(".S", "derive(X)");
    let error = builder.compile(&[directory.join("a.proto")], &[directory]).expect_err("no #");
    assert!(error.to_string().starts_with("the attribute `derive(X)` for \".S\" is none: "));
}

#[test]
fn a_package_that_two_calls_write_is_told() {
    let directory = directory();
    let directory = directory.path();
    for (name, message) in [("a", "A"), ("b", "B")] {
        let text = format!("syntax = \"proto3\";\npackage p;\nmessage {message} {{}}\n");
        fs::write(directory.join(format!("{name}.proto")), text).expect("can be written");
    }
    let builder = Builder::new().out_dir(directory.join("out")).emit_cargo_lines(false);
    builder.compile(&[directory.join("a.proto")], &[directory]).expect("it is the first");
    builder.compile(&[directory.join("a.proto")], &[directory]).expect("it is the same");
    let error = builder.compile(&[directory.join("b.proto")], &[directory]);
    let error = error.expect_err("A would be lost").to_string();
    assert!(error.contains("an earlier call of this build script wrote p.rs"), "{error}");
}
