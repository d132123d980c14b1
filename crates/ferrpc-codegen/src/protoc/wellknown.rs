//! The well-known types' files: the descriptors that protoc has, without comments.
//!
//! They are found without any `--proto_path`, behind all directories that are given. The Python
//! package has the same files in `grpc_tools/_proto`, for those who look for them there.

macro_rules! bundled {
    ($name:literal) => {
        ($name, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/protos/", $name)))
    };
}

/// Virtual names and texts.
pub(crate) const FILES: &[(&str, &str)] = &[
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

/// The text of a well-known file.
pub(super) fn source(name: &str) -> Option<&'static str> {
    FILES.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}
