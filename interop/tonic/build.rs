use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let protos = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/protos");
    println!("cargo:rerun-if-changed={}", protos.display());
    // protox reads the protos in Rust, so that a machine without protoc can build the peer.
    let files = protox::compile(["grpc/testing/test.proto", "test_service.proto"], [&protos])?;
    tonic_prost_build::configure().compile_fds(files)?;
    Ok(())
}
