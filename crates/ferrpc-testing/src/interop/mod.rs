//! Both ends of the interop cases on ferrpc, as `interop/README.md` describes them.

pub mod client;
mod failure;
pub mod server;

pub use failure::Failure;

/// gRPC's interop service.
pub mod testing {
    ferrpc::include_proto!("grpc.testing");

    impl Payload {
        /// So many zero bytes.
        pub fn of_size(size: usize) -> Self {
            Self { body: vec![0; size], ..Self::default() }
        }
    }
}

/// The tutorial's service.
pub mod tutorial {
    ferrpc::include_proto!("example");
}

/// The largest message received, on both ends.
pub const MESSAGE_LIMIT: usize = 16 << 20;

/// Comes back as initial metadata.
const ECHO_INITIAL: &str = "x-grpc-test-echo-initial";
/// Comes back as trailing metadata.
const ECHO_TRAILING: &str = "x-grpc-test-echo-trailing-bin";
