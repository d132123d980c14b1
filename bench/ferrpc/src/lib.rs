//! What ferrpc's programs of the bench share: the generated code.

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

/// The largest message received, on both ends: a payload of 16 MiB fits.
pub const MESSAGE_LIMIT: usize = 17 << 20;
