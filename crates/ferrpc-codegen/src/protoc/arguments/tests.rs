use super::*;

fn run(line: &str) -> Result<Box<Arguments>, String> {
    let arguments: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    match parse(&arguments)? {
        Parsed::Run(arguments) => Ok(arguments),
        other => Err(format!("{other:?}")),
    }
}

#[test]
fn values_stand_in_the_argument_or_behind_it() {
    let read = run("-Ia -I b --proto_path=v=c:d --python_out gen x.proto").expect("is right");
    let path = |prefix: &str, disk: &str| (prefix.to_owned(), PathBuf::from(disk));
    assert_eq!(read.proto_path, [path("", "a"), path("", "b"), path("v", "c"), path("", "d")]);
    assert_eq!(read.inputs, ["x.proto"]);
    assert_eq!(read.outputs[0].place, "gen");
}

#[test]
fn parameters_come_with_the_place_and_in_flags_of_their_own() {
    let read = run("--x_opt=c --x_out=a,b=1:gen --x_opt=d x.proto").expect("is right");
    assert_eq!(read.outputs[0].parameter, "a,b=1,c,d");
    assert_eq!(read.outputs[0].place, "gen");
    assert_eq!(read.outputs[0].generator, "x");
}

#[test]
fn flags_of_older_releases_are_taken() {
    // A value is ignored, as with all flags that take none.
    for flag in ["--experimental_allow_proto3_optional", "--experimental_editions=1"] {
        let read = run(&format!("{flag} x.proto -ox")).expect(flag);
        assert_eq!(read.inputs, ["x.proto"], "{flag}");
    }
}

#[test]
fn plugins_have_the_names_of_their_files_or_given_ones() {
    let read = run("--plugin=/a/protoc-gen-x --plugin=protoc-gen-y=/b/z --x_out=. x.proto")
        .expect("is right");
    assert_eq!(read.plugins["protoc-gen-x"], PathBuf::from("/a/protoc-gen-x"));
    assert_eq!(read.plugins["protoc-gen-y"], PathBuf::from("/b/z"));
}

#[test]
fn what_is_wrong_is_said_as_protoc_says_it() {
    for (line, expect) in [
        ("x.proto", "Missing output directives."),
        ("--python_out=.", "Missing input file."),
        ("--nonsense x.proto", "Unknown flag: --nonsense"),
        ("x.proto --python_out", "Missing value for flag: --python_out"),
        ("--include_imports=1 x.proto", "Missing output directives."),
        ("--python_out -I. x.proto", "Missing value for flag: --python_out"),
        ("--error_format=xcode x.proto", "Unknown error format: xcode"),
        ("-q x.proto -o y", "Unknown flag: -q"),
        ("@/nonexistent", "Failed to open argument file: /nonexistent"),
        (
            "--option_dependencies=a --option_dependencies=b -ox y.proto",
            "--option_dependencies may only be passed once. To specify multiple option \
             dependencies, pass them all as a single parameter separated by ':'.",
        ),
    ] {
        assert_eq!(run(line).expect_err(line), expect, "{line}");
    }
}

#[test]
fn with_sets_only_no_directory_is_searched() {
    let read = run("--descriptor_set_in=a:b -o c x.proto").expect("is right");
    assert!(read.proto_path.is_empty());
    assert_eq!(read.descriptor_set_in.len(), 2);
}
