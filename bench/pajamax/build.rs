use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let protos = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/protos");
    println!("cargo:rerun-if-changed={}", protos.display());
    // protox reads the protos in Rust, so that a machine without protoc can build the peer.
    let mut files = protox::compile(["grpc/testing/test.proto", "test_service.proto"], [&protos])?;
    for file in &mut files.file {
        // The generated code means std's Result by that word. Names of messages do not travel.
        for message in &mut file.message_type {
            if message.name() == "Result" {
                message.name = Some("Answer".to_owned());
            }
        }
        for service in &mut file.service {
            let streams = |method: &prost_types::MethodDescriptorProto| {
                method.client_streaming() || method.server_streaming()
            };
            // pajamax has no streams.
            service.method.retain(|method| !streams(method));
            for method in &mut service.method {
                if method.output_type() == ".example.Result" {
                    method.output_type = Some(".example.Answer".to_owned());
                }
            }
        }
    }
    prost_build::Config::new()
        .service_generator(Box::new(pajamax_build::PajamaxGen::Local))
        .compile_fds(files)?;
    Ok(())
}
