//! Generated code against what is committed in `testdata/protos/codegen/golden` and
//! `testdata/protos/python/golden`.
//!
//! After a wanted change: `FERRPC_BLESS=1 cargo test -p ferrpc-codegen --all-features`, and read
//! the difference.

use std::fs;
use std::path::{Path, PathBuf};

use ferrpc_codegen::{Builder, Messages};

use crate::directory;

#[test]
fn the_example_with_its_messages() {
    check("buffa", Builder::new(), &["test_service.proto"], "", &["example.rs"]);
}

#[test]
#[cfg(feature = "prost")]
fn the_example_with_its_messages_by_prost() {
    let builder = Builder::new().messages(Messages::Prost);
    check("prost", builder, &["test_service.proto"], "", &["example.rs", "ferrpc_protos.rs"]);
}

#[test]
fn all_kinds_of_calls() {
    let files = &["grpc/testing/test.proto"];
    check("buffa", services(Messages::Buffa), files, "", &["grpc.testing.rs"]);
}

#[test]
fn packages_well_known_types_comments_and_options() {
    let files = &["shop/cart/cart.proto"];
    let expect = &["shop.cart.rs", "shop.rs", "ferrpc_protos.rs"];
    check("buffa", services(Messages::Buffa), files, "codegen", expect);
}

#[test]
#[cfg(feature = "prost")]
fn packages_and_well_known_types_by_prost() {
    let files = &["shop/cart/cart.proto"];
    check("prost", services(Messages::Prost), files, "codegen", &["shop.cart.rs"]);
}

#[test]
fn names_that_are_keywords_or_clash() {
    let builder = services(Messages::Buffa).default_methods(true);
    let files = &["names.proto", "no_package.proto"];
    check("buffa", builder, files, "codegen", &["type.async.rs", "_.rs"]);
}

#[test]
fn python_modules_and_their_types() {
    let testdata = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/protos/python");
    let out = directory();
    let out = out.path();
    let out_flag = |generator: &str, parameter: &str| {
        format!("--{generator}_out={parameter}:{}", out.display())
    };
    let arguments = [
        "protoc".to_owned(),
        format!("-I{}", testdata.display()),
        out_flag("python", "pyi_out"),
        out_flag("grpc_python", "pyi_out"),
        "no_syntax.proto".to_owned(),
        "tagged.proto".to_owned(),
        "pkg/class/words.proto".to_owned(),
    ];
    let mut said = Vec::new();
    let status = ferrpc_codegen::protoc::main(
        &arguments,
        &mut std::io::empty(),
        &mut std::io::sink(),
        &mut said,
    );
    let said = String::from_utf8_lossy(&said);
    let expect = "no_syntax.proto: warning: No edition or syntax specified";
    assert_eq!((status, said.lines().count()), (0, 1), "{said}");
    assert!(said.starts_with(expect), "{said}");
    for stem in ["no_syntax", "tagged", "pkg/class/words"] {
        for ending in ["pb2.py", "pb2.pyi", "pb2_grpc.py", "pb2_grpc.pyi"] {
            let name = format!("{stem}_{ending}");
            let content = fs::read_to_string(out.join(&name)).expect("was written");
            compare(&testdata.join("golden").join(&name), &content);
        }
    }
}

#[test]
fn the_python_package_has_the_same_well_known_files() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../python/grpc_tools/_proto");
    for (name, text) in ferrpc_codegen::protoc::well_known_files() {
        compare(&package.join(name), text);
    }
}

/// Services only: what the message libraries make is theirs to test.
fn services(messages: Messages) -> Builder {
    Builder::new().messages(messages).with_messages(false).descriptors(false)
}

#[track_caller]
fn check(golden: &str, builder: Builder, protos: &[&str], include: &str, expect: &[&str]) {
    let testdata = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/protos");
    let include = testdata.join(include);
    let protos: Vec<PathBuf> = protos.iter().map(|proto| include.join(proto)).collect();
    let set = ferrpc_codegen::descriptor_set(&protos, &[include]).expect("the protos are right");
    let files = builder.generate(&set).expect("and can be generated");
    for name in expect {
        let file = files.iter().find(|file| file.path == *name).expect("the file was generated");
        let path = testdata.join("codegen/golden").join(golden).join(name);
        compare(&path, &file.content);
    }
}

#[track_caller]
fn compare(path: &Path, content: &str) {
    if std::env::var_os("FERRPC_BLESS").is_some() {
        fs::create_dir_all(path.parent().expect("it was joined")).expect("can be created");
        fs::write(path, content).expect("can be written");
        return;
    }
    let golden = fs::read_to_string(path).unwrap_or_default();
    let same = golden.lines().zip(content.lines()).take_while(|(a, b)| a == b).count();
    assert!(
        golden == content,
        "{} differs from line {}; the head of this file says how to renew it.\n{content}",
        path.display(),
        same + 1,
    );
}
