//! Generates `example` from the tutorial's `.proto` file.

fn main() -> Result<(), ferrpc_codegen::Error> {
    let protos = "../testdata/protos";
    ferrpc_codegen::compile_protos(&[format!("{protos}/test_service.proto")], &[protos])
}
