use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let protos = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/protos");
    println!("cargo:rerun-if-changed={}", protos.display());
    volo_build::Builder::protobuf()
        .add_service(protos.join("grpc/testing/test.proto"))
        .add_service(protos.join("test_service.proto"))
        .include_dirs(vec![protos])
        .write()?;
    Ok(())
}
