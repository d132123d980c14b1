//! What the options change, and what is written.

use std::fs;
use std::path::{Path, PathBuf};

use ferrpc_codegen::{Builder, GeneratedFile};

use crate::directory;

fn testdata() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/protos/codegen")
}

fn set(protos: &[&str]) -> Vec<u8> {
    let protos: Vec<_> = protos.iter().map(|proto| testdata().join(proto)).collect();
    ferrpc_codegen::descriptor_set(&protos, &[testdata()]).expect("the protos are right")
}

fn generate(builder: &Builder, protos: &[&str]) -> Vec<GeneratedFile> {
    builder.generate(&set(protos)).expect("they can be generated")
}

fn content<'a>(files: &'a [GeneratedFile], path: &str) -> &'a str {
    &files.iter().find(|file| file.path == path).expect("the file was generated").content
}

#[test]
fn server_and_client_can_be_left_out() {
    let files = generate(&Builder::new().server(false), &["no_package.proto"]);
    assert!(!content(&files, "_.rs").contains("trait Pinger"));
    assert!(content(&files, "_.rs").contains("struct PingerClient"));
    let files = generate(&Builder::new().client(false), &["no_package.proto"]);
    assert!(content(&files, "_.rs").contains("trait Pinger"));
    assert!(!content(&files, "_.rs").contains("PingerClient"));
}

#[test]
fn types_of_another_crate_are_referred_to() {
    let builder = Builder::new().extern_path(".shop", "::shop_protos");
    let files = generate(&builder, &["shop/cart/cart.proto"]);
    // The package below is covered as well; only its services remain.
    let paths: Vec<_> = files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths, ["shop.cart.rs", "ferrpc_protos.rs"]);
    let cart = content(&files, "shop.cart.rs");
    assert!(cart.contains("::ferrpc::Request<::shop_protos::cart::Item>"), "{cart}");
    assert!(cart.contains("::ferrpc::Response<::shop_protos::Money>"), "{cart}");
    assert!(!cart.contains("struct Item"), "{cart}");
}

#[test]
fn attributes_and_bytes_reach_the_message_library() {
    let builder = Builder::new()
        .type_attribute(".messages.only.Point", "#[derive(Hash)]")
        .field_attribute(".messages.only.Point.x", "#[doc = \"across\"]");
    let files = generate(&builder, &["messages_only.proto"]);
    let point = content(&files, "messages.only.rs");
    assert!(point.contains("derive(Hash)") && point.contains("across"), "{point}");
}

#[test]
fn custom_options_stay_in_the_embedded_descriptors() {
    let files = generate(&Builder::new(), &["options.proto"]);
    let described = content(&files, "options.rs");
    assert!(described.contains("pub static FILE_DESCRIPTOR_SET"), "{described}");
    assert!(described.contains("/describe"), "{described}");
    let files = generate(&Builder::new().descriptors(false), &["options.proto"]);
    assert!(!content(&files, "options.rs").contains("/describe"));
}

#[test]
fn generation_is_deterministic() {
    let protos = &["names.proto", "shop/cart/cart.proto", "messages_only.proto"];
    assert_eq!(generate(&Builder::new(), protos), generate(&Builder::new(), protos));
}

#[test]
fn what_is_unchanged_is_not_written_again() {
    let directory = directory();
    let directory = directory.path();
    let builder = Builder::new().out_dir(directory).emit_cargo_lines(false);
    let compile = || builder.compile(&[testdata().join("no_package.proto")], &[testdata()]);
    compile().expect("it can be written");
    let written = fs::metadata(directory.join("_.rs")).and_then(|data| data.modified());
    fs::write(directory.join("ferrpc_protos.rs"), "changed").expect("can be written");
    compile().expect("it can be written again");
    let after = fs::metadata(directory.join("_.rs")).and_then(|data| data.modified());
    assert_eq!(written.expect("it is there"), after.expect("it is there"));
    let tree = fs::read_to_string(directory.join("ferrpc_protos.rs")).expect("it is there");
    assert!(tree.contains("include!(\"_.rs\")"), "{tree}");
    let left: Vec<_> = fs::read_dir(directory).expect("it is there").collect();
    assert_eq!(left.len(), 2, "something was left behind: {left:?}");
}

#[test]
fn a_package_may_have_services_alone() {
    let libraries = [
        ferrpc_codegen::Messages::Buffa,
        #[cfg(feature = "prost")]
        ferrpc_codegen::Messages::Prost,
    ];
    for library in libraries {
        let builder = Builder::new().messages(library);
        let files = generate(&builder, &["services_only.proto"]);
        let services = content(&files, "only.services.rs");
        assert!(services.contains("struct MoverClient"), "{library:?}: {services}");
        assert!(services.contains("messages::only::Point"), "{library:?}: {services}");
    }
}

#[test]
fn names_that_clash_get_others() {
    let files = generate(&Builder::new(), &["clashes.proto"]);
    let clashes = content(&files, "clashes.rs");
    for expect in [
        "pub struct FooBar {",
        "pub struct Foo_Bar2 {",
        "pub struct While {",
        "pub struct Abstract {",
        "const FULL_NAME: &'static str = \"clashes.Foo_Bar\"",
        "const FULL_NAME: &'static str = \"clashes.Foo_Bar.while\"",
        "::ferrpc::Request<Foo_Bar2>",
    ] {
        assert!(clashes.contains(expect), "{expect}\n{clashes}");
    }
    assert!(!clashes.contains("\"clashes.Foo_Bar2"), "{clashes}");
}

#[test]
fn two_calls_make_one_tree() {
    let directory = directory();
    let directory = directory.path();
    let builder = Builder::new().out_dir(directory).emit_cargo_lines(false).include_file("it.rs");
    for proto in ["no_package.proto", "messages_only.proto"] {
        builder.compile(&[testdata().join(proto)], &[testdata()]).expect("it can be written");
    }
    let tree = fs::read_to_string(directory.join("it.rs")).expect("it is there");
    for file in ["_.rs", "messages.only.rs"] {
        assert!(tree.contains(&format!("include!(\"{file}\");")), "{tree}");
    }
}

#[test]
fn comments_can_be_left_out() {
    let said = |builder: Builder| {
        let files = generate(&builder, &["tuned.proto"]);
        let text = content(&files, "tuned.rs").to_owned();
        let all = ["Plain", "kind", "Kind", "none", "Tuner", "Tune"];
        all.map(|it| text.contains(&format!("Said of {it}.")))
    };
    assert_eq!(said(Builder::new()), [true; 6]);
    assert_eq!(said(Builder::new().disable_comments(".")), [false; 6]);
    let some = Builder::new().disable_comments(".tuned.Plain").disable_comments("Tuner.Tune");
    assert_eq!(said(some), [false, false, true, true, true, false]);
}

#[test]
fn json_is_for_those_who_ask() {
    let with = |yes| {
        let files = generate(&Builder::new().json(yes), &["messages_only.proto"]);
        content(&files, "messages.only.rs").contains("serde")
    };
    assert_eq!([with(false), with(true)], [false, true]);
}

#[test]
fn a_set_can_be_written_without_its_sources() {
    let directory = directory();
    let directory = directory.path();
    let builder = Builder::new().out_dir(directory).default_package_filename("none");
    builder.compile_set(&set(&["no_package.proto"])).expect("it can be written");
    let tree = fs::read_to_string(directory.join("ferrpc_protos.rs")).expect("it is there");
    assert!(directory.join("none.rs").is_file() && tree.contains("none.rs"), "{tree}");
}

#[test]
#[cfg(feature = "prost")]
fn what_prost_alone_can_do_reaches_it() {
    let builder = Builder::new()
        .messages(ferrpc_codegen::Messages::Prost)
        .skip_debug(".tuned.Plain")
        .prost_path("::other::prost")
        .prost_types_path("::other::types");
    let files = generate(&builder, &["tuned.proto"]);
    let tuned = content(&files, "tuned.rs");
    for expect in ["#[prost(skip_debug)]", "::other::prost::Message", "::other::types::Timestamp"] {
        assert!(tuned.contains(expect), "{expect}\n{tuned}");
    }
}
