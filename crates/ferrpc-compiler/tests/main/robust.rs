//! Whatever is in a file, the compiler comes to an end, soon, and says something.

use std::collections::HashMap;
use std::fmt::Write as _;

use ferrpc_compiler::{Diagnostic, compile};

fn refused(text: &str) -> Vec<Diagnostic> {
    compile(&HashMap::from([("a.proto", text)]), &["a.proto"]).expect_err("it is wrong")
}

#[test]
fn ten_thousand_of_the_same_fault() {
    let mut text = "syntax = \"proto3\"; message A {\n".to_owned();
    for at in 0..10_000 {
        let _ = writeln!(text, "Nosuch{at} f = 1;");
    }
    text.push('}');
    assert_eq!(refused(&text).len(), 10_000);
    let mut text = "syntax = \"proto3\"; message A {\n".to_owned();
    for at in 0..10_000 {
        let _ = writeln!(text, "int32 f{at} = 1;");
    }
    text.push('}');
    assert_eq!(refused(&text).len(), 9_999);
}

#[test]
fn ranges_that_all_overlap() {
    let text = format!("syntax = \"proto3\"; message A {{ reserved 1{}; }}", ", 1".repeat(3_000));
    assert!(refused(&text).len() <= 10_001);
}

#[test]
fn comments_that_do_not_nest() {
    let text = format!("{}*/ message A {{ }}", "/*".repeat(100_000));
    assert!(!refused(&text).is_empty());
}

#[test]
fn nesting_without_end() {
    for (open, close) in [("message A {", "}"), ("option (a).b = {", "}"), ("oneof o {", "}")] {
        let text = format!("syntax = \"proto3\";{}{}", open.repeat(50_000), close.repeat(50_000));
        assert!(!refused(&text).is_empty(), "{open}");
    }
    let groups = "optional group G = 1 {".repeat(50_000);
    assert!(!refused(&format!("syntax = \"proto2\"; message A {{ {groups}")).is_empty());
    for open in ["m {", "m: [", "m: [{ m <", "x: [", "x { y: ["] {
        let text = format!(
            "syntax = \"proto2\"; import \"google/protobuf/descriptor.proto\";\n\
             message M {{ repeated M m = 1; reserved \"x\"; }}\n\
             extend google.protobuf.FileOptions {{ optional M m = 50000; }}\n\
             option (m) = {{ {} }};",
            open.repeat(20_000)
        );
        let descriptor = ferrpc_compiler::WELL_KNOWN_FILES
            .iter()
            .find(|(name, _)| *name == "google/protobuf/descriptor.proto")
            .expect("is well known");
        let tree = HashMap::from([("a.proto", text.as_str()), *descriptor]);
        assert!(compile(&tree, &["a.proto"]).is_err(), "{open}");
    }
}

#[test]
fn a_long_chain_of_imports_and_a_diamond() {
    let mut files = HashMap::new();
    for at in 0..1_000 {
        let text = match at {
            999 => "syntax = \"proto3\"; message Last {}".to_owned(),
            _ => format!(
                "syntax = \"proto3\"; import public \"f{}.proto\"; message M{at} {{}}",
                at + 1
            ),
        };
        files.insert(format!("f{at}.proto"), text);
    }
    let mut tree: HashMap<&str, &str> =
        files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let own = "syntax = \"proto3\"; import \"f0.proto\"; message A { Last last = 1; }";
    tree.insert("a.proto", own);
    let (compilation, _) = compile(&tree, &["a.proto"]).expect("is valid");
    assert_eq!(compilation.files().count(), 1_001);
}

#[test]
fn names_that_are_nearly_right_are_suggested() {
    let found = refused("syntax = \"proto3\"; message Request {} message A { Reqest r = 1; }");
    assert_eq!(found[0].help.as_deref(), Some("did you mean Request?"));
    let found = refused("syntax = \"proto3\"; option java_pakage = \"x\";");
    assert_eq!(found[0].help.as_deref(), Some("did you mean java_package?"));
    for (field, help) in [
        ("google.protobuf.Timestamp t = 1;", "add: import \"google/protobuf/timestamp.proto\";"),
        (".google.protobuf.NullValue t = 1;", "add: import \"google/protobuf/struct.proto\";"),
        (
            "Timestamp t = 1;",
            "did you mean google.protobuf.Timestamp? add: import \"google/protobuf/timestamp.proto\";",
        ),
    ] {
        let found = refused(&format!("syntax = \"proto3\"; message A {{ {field} }}"));
        assert_eq!(found[0].help.as_deref(), Some(help), "{field}");
    }
    let found = refused(
        "syntax = \"proto3\"; package a.b; message A { message b { } b.C c = 1; }\nmessage C {}",
    );
    assert_eq!(found[0].help.as_deref(), Some("write .b.C"), "{}", found[0]);
    let found = refused("syntax = \"proto3\"; enum E { A = 0; B = 1; C = 1; }");
    assert!(found[0].message.contains("set 'option allow_alias = true;'"), "{}", found[0]);
    let found = refused("syntax = \"proto3\"; message A { reserved 1; int32 a = 1; }");
    let suggested = "Suggested field numbers for A: 2";
    assert!(found.iter().any(|it| it.message == suggested), "{found:#?}");
    let found = refused("syntax = \"proto3\"; message A { int32 a = 1; int32 b = 1; }");
    assert!(found[0].message.ends_with("Next available field number is 2."), "{}", found[0]);
    let found = refused("syntax = \"proto3\";\nmessage A {\n  int32 a 1;\n}");
    assert_eq!(found[0].help.as_deref(), Some("found 1"));
}

#[test]
fn an_error_behind_ten_thousand_warnings_is_told() {
    let mut text = "syntax = \"proto2\"; message A {\n".to_owned();
    for at in 0..10_000 {
        let _ = writeln!(text, "reserved \"not a name {at}\";");
    }
    let read = refused(&format!("{text} nonsense }}"));
    assert!(read.iter().any(|it| it.severity == ferrpc_compiler::Severity::Error));
    let linked = refused(&format!("{text} optional Nosuch n = 1; }}"));
    assert!(linked.iter().any(|it| it.message.contains("Nosuch")), "{}", linked.len());
    assert!(read.len() <= 10_001 && linked.len() <= 10_001);
}

#[test]
fn many_ranges_and_many_fields() {
    let fields = |count: i32, number: &dyn Fn(i32) -> i32| -> String {
        (0..count).map(|at| format!("optional int32 f{at} = {};\n", number(at))).collect()
    };
    let ranges = |count: i32| -> String {
        let list: Vec<String> = (0..count).map(|at| (2 * at + 2).to_string()).collect();
        format!("reserved {};", list.join(", "))
    };
    let message = |body: &str| format!("syntax = \"proto2\"; message A {{ {body} }}");
    let odd = message(&format!("{} {}", ranges(60_000), fields(9_000, &|at| 2 * at + 1)));
    let tree = HashMap::from([("a.proto", odd.as_str())]);
    assert!(compile(&tree, &["a.proto"]).is_ok());
    let even = message(&format!("{} {}", ranges(60_000), fields(60_000, &|at| 2 * at + 2)));
    assert!(refused(&even).len() <= 10_001);
    let own = "reserved 1 to max; reserved 1 to max;".repeat(2_000);
    assert!(refused(&message(&own)).len() <= 10_001);
}

#[test]
fn aliases_of_a_long_run_of_numbers() {
    let mut text = "syntax = \"proto2\"; enum E {\n".to_owned();
    for at in 0..60_000 {
        let _ = writeln!(text, "A{at} = {at}; B{at} = {at};");
    }
    text.push('}');
    let found = refused(&text);
    assert!(found[0].message.ends_with("The next available enum value is 60000."), "{}", found[0]);
    assert!(found.len() <= 10_001);
}

#[test]
fn options_behind_many_ranges() {
    let numbers: Vec<String> = (0..20_000).map(|at| (2 * at + 1).to_string()).collect();
    let option = "verification = UNVERIFIED,".repeat(20_000);
    let text = format!(
        "syntax = \"proto2\"; message A {{ extensions {} [{option} verification = DECLARATION]; }}",
        numbers.join(", ")
    );
    assert!(refused(&text).iter().any(|it| it.message.starts_with("Too many options")));
}

#[test]
fn extensions_that_are_all_declared() {
    let mut text = "syntax = \"proto2\"; message A { extensions 1 to max [\n".to_owned();
    for at in 1..8_000 {
        let _ = writeln!(
            text,
            "declaration = {{ number: {at} full_name: \".e{at}\" type: \"int32\" }},"
        );
    }
    text.push_str("verification = DECLARATION]; } extend A {");
    for at in 1..8_000 {
        let _ = writeln!(text, "optional int32 e{at} = {at};");
    }
    text.push('}');
    let tree = HashMap::from([("a.proto", text.as_str())]);
    let result = compile(&tree, &["a.proto"]);
    assert!(result.is_ok(), "{:?}", result.err().map(|found| found[0].to_string()));
}
