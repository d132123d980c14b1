//! The files of the well-known types and of the options: protoc's own, with their comments, which
//! plugins put into what they generate (`protos/LICENSE`).

macro_rules! bundled {
    ($name:literal) => {
        ($name, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/protos/", $name)))
    };
}

/// The `.proto` files that come with the language, by import path; for a
/// [`SourceTree`](crate::SourceTree) to fall back on.
pub const WELL_KNOWN_FILES: &[(&str, &str)] = &[
    bundled!("google/protobuf/any.proto"),
    bundled!("google/protobuf/api.proto"),
    bundled!("google/protobuf/compiler/plugin.proto"),
    bundled!("google/protobuf/cpp_features.proto"),
    bundled!("google/protobuf/descriptor.proto"),
    bundled!("google/protobuf/duration.proto"),
    bundled!("google/protobuf/empty.proto"),
    bundled!("google/protobuf/field_mask.proto"),
    bundled!("google/protobuf/go_features.proto"),
    bundled!("google/protobuf/java_features.proto"),
    bundled!("google/protobuf/source_context.proto"),
    bundled!("google/protobuf/struct.proto"),
    bundled!("google/protobuf/timestamp.proto"),
    bundled!("google/protobuf/type.proto"),
    bundled!("google/protobuf/wrappers.proto"),
];
