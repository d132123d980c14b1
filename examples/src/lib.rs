//! What the examples share: the code that the build script generated.

/// The tutorial's service: `example.TestService`.
pub mod example {
    ferrpc::include_proto!("example");
}
