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
    Ok(())
}

#[cfg(not(feature = "interop"))]
const fn main() {}

#[cfg(feature = "interop")]
const HARD: [&str; 5] = [
    "names.proto",
    "no_package.proto",
    "messages_only.proto",
    "options.proto",
    "shop/cart/cart.proto",
];
