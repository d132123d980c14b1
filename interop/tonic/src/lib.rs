//! The tonic peer: what its programs share.

pub mod args;
pub mod bench;
pub mod cases;
pub mod example;
pub mod failure;
pub mod layer;
pub mod test_service;

/// gRPC's interop service.
pub mod testing {
    tonic::include_proto!("grpc.testing");

    impl Payload {
        pub fn of_size(size: usize) -> Self {
            Self { body: vec![0; size], ..Self::default() }
        }
    }
}

/// The tutorial's service.
pub mod tutorial {
    tonic::include_proto!("example");
}

/// For messages in both directions; tonic's own limit is 4 MiB for received ones.
pub const MESSAGE_LIMIT: usize = 16 << 20;

/// h2 ends a connection with ENHANCE_YOUR_CALM when more small DATA frames lie unread than half this
/// window allows, at 256 bytes each. With the default, `many_messages` from a fast sender does so.
pub const CONNECTION_WINDOW: u32 = 16 << 20;

pub const ECHO_INITIAL: &str = "x-grpc-test-echo-initial";
pub const ECHO_TRAILING: &str = "x-grpc-test-echo-trailing-bin";
