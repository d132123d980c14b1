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

    /// For so many replies of a size, with a payload of its own.
    pub fn asking(replies: usize, size: usize, payload: usize) -> StreamingOutputCallRequest {
        let wanted = ResponseParameters { size: size as i32, ..Default::default() };
        StreamingOutputCallRequest {
            response_parameters: vec![wanted; replies],
            payload: Payload::of_size(payload).into(),
            ..Default::default()
        }
    }
}

/// The tutorial's service.
pub mod tutorial {
    ferrpc::include_proto!("example");
}

/// The largest message received, on both ends: a payload of 16 MiB fits.
pub const MESSAGE_LIMIT: usize = 17 << 20;
