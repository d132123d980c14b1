//! Generates both services.

fn main() -> Result<(), ferrpc_codegen::Error> {
    let protos = "../../testdata/protos";
    let files = ["grpc/testing/test.proto", "test_service.proto"];
    ferrpc_codegen::compile_protos(&files.map(|name| format!("{protos}/{name}")), &[protos])
}
