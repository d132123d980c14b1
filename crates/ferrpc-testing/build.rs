//! Generates the interop services, and the protos that are hard on the generator by both message
//! libraries.

#[cfg(feature = "interop")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    use ferrpc_codegen::{Builder, Messages};
    use std::path::PathBuf;

    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    let protos = PathBuf::from("../../testdata/protos");
    let interop = ["grpc/testing/test.proto", "test_service.proto"].map(|name| protos.join(name));
    ferrpc_codegen::compile_protos(&interop, &[&protos])?;

    let hard = protos.join("codegen");
    let files = HARD.map(|name| hard.join(name));
    for (directory, messages) in [("buffa", Messages::Buffa), ("prost", Messages::Prost)] {
        let builder = Builder::new().messages(messages).out_dir(out.join(directory));
        builder.compile(&files, &[&hard])?;
    }

    // All options; in two calls, the second of which adds to the modules of the first.
    let no_package = hard.join("no_package.proto");
    let tuned = hard.join("tuned.proto");
    for (directory, messages) in
        [("tuned/buffa", Messages::Buffa), ("tuned/prost", Messages::Prost)]
    {
        let mut builder = Builder::new()
            .messages(messages)
            .out_dir(out.join(directory))
            .include_file("all.rs")
            .default_package_filename("none")
            .file_descriptor_set_path(out.join(format!("{}.bin", directory.replace('/', "_"))))
            .emit_rerun_if_changed(false)
            .compile_well_known_types(true)
            .type_attribute(".tuned", "#[doc(alias = \"a type\")]")
            .message_attribute(".tuned.Plain", "#[doc(alias = \"a message\")]")
            .field_attribute(".tuned.Plain.blob", "#[doc(alias = \"a field\")]")
            .server_attribute(".", "#[doc = \"A server.\"]")
            .client_attribute(".tuned.Tuner", "#[derive(::serde::Serialize)]")
            .client_attribute(".tuned.Tuner", "#[serde(into = \"crate::generated::Named\")]")
            .trait_attribute("Tuner", "#[doc(alias = \"tune\")]")
            .bytes(".tuned")
            .btree_map(".tuned")
            .boxed(".tuned.Plain.other")
            .disable_comments(".tuned.Plain")
            .default_methods(true);
        if messages == Messages::Buffa {
            builder = builder.enum_attribute(".tuned.Kind", "#[derive(Ord, PartialOrd)]");
        } else {
            builder = builder
                .type_attribute(".", "#[derive(::serde::Serialize)]")
                .message_attribute(".tuned.Plain", "#[serde(rename_all = \"UPPERCASE\")]")
                .field_attribute(".tuned.Plain.blob", "#[serde(skip)]")
                .field_attribute(".tuned.Plain.next", "#[serde(rename = \"after\")]")
                .skip_debug(".tuned.Plain")
                .enable_type_names()
                .type_name_domain(".tuned", "types.example.com")
                .retain_enum_prefix();
        }
        builder.compile(&[&tuned], &[&hard])?;
        builder.compile(&[&no_package], &[&hard])?;
    }
    Ok(())
}

#[cfg(not(feature = "interop"))]
const fn main() {}

#[cfg(feature = "interop")]
const HARD: [&str; 7] = [
    "clashes.proto",
    "editions.proto",
    "names.proto",
    "no_package.proto",
    "messages_only.proto",
    "options.proto",
    "shop/cart/cart.proto",
];
