//! A file as it was parsed: `FileDescriptorProto` and what belongs to it, field by field.
//!
//! Strings that may hold any bytes, since they come from literals, are `Vec<u8>`. The ids are
//! filled in when the file is declared in the [`Pool`](crate::pool::Pool).

use crate::pool::{EnumId, FieldId, MessageId};
use crate::source_info::Locations;
use crate::wire::Records;

#[derive(Debug, Default)]
pub(crate) struct File {
    pub(crate) name: String,
    pub(crate) package: String,
    pub(crate) dependency: Vec<String>,
    pub(crate) public_dependency: Vec<i32>,
    pub(crate) weak_dependency: Vec<i32>,
    pub(crate) option_dependency: Vec<String>,
    pub(crate) messages: Vec<Message>,
    pub(crate) enums: Vec<Enum>,
    pub(crate) services: Vec<Service>,
    pub(crate) extensions: Vec<Field>,
    pub(crate) options: Option<Box<Options>>,
    pub(crate) locations: Locations,
    pub(crate) edition: Edition,
    /// Whether it was parsed, rather than read from a descriptor.
    pub(crate) is_parsed: bool,
    /// Whether there is source info at all, as a file from a descriptor set may have none.
    pub(crate) has_source_info: bool,
}

/// The edition of a file; proto2 and proto3 are the first two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Edition(pub(crate) i32);

impl Edition {
    /// What holds for whatever is older than editions.
    pub(crate) const LEGACY: Self = Self(900);
    pub(crate) const PROTO2: Self = Self(998);
    pub(crate) const PROTO3: Self = Self(999);
    pub(crate) const E2023: Self = Self(1000);
    pub(crate) const E2024: Self = Self(1001);
    pub(crate) const UNSTABLE: Self = Self(9999);
    /// The newest that protoc takes.
    pub(crate) const NEWEST: Self = Self::E2024;

    /// Whether the file says `syntax` or nothing.
    pub(crate) fn is_legacy(self) -> bool {
        self < Self::E2023
    }

    /// The number that a name in quotes stands for.
    pub(crate) fn named(name: &[u8]) -> Option<Self> {
        EDITIONS.iter().find(|(_, known)| known.as_bytes() == name).map(|(number, _)| Self(*number))
    }
}

impl std::fmt::Display for Edition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match EDITIONS.iter().find(|(number, _)| *number == self.0) {
            Some((_, name)) => f.write_str(name),
            None => write!(f, "{}", self.0),
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Message {
    pub(crate) id: MessageId,
    pub(crate) name: String,
    pub(crate) fields: Vec<Field>,
    pub(crate) nested: Vec<Message>,
    pub(crate) enums: Vec<Enum>,
    pub(crate) extension_ranges: Vec<ExtensionRange>,
    pub(crate) extensions: Vec<Field>,
    pub(crate) options: Option<Box<Options>>,
    pub(crate) oneofs: Vec<Oneof>,
    pub(crate) reserved_ranges: Vec<Range>,
    pub(crate) reserved_names: Vec<Vec<u8>>,
    pub(crate) visibility: Visibility,
    /// Of the entry of a map: the index of its field, which is where faults are reported.
    pub(crate) map_field: Option<usize>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Visibility {
    #[default]
    Unset,
    Local,
    Export,
}

impl Visibility {
    pub(crate) fn number(self) -> i32 {
        match self {
            Self::Unset => 0,
            Self::Local => 1,
            Self::Export => 2,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Label {
    #[default]
    None,
    Optional,
    Required,
    Repeated,
}

/// The type of a field, with the numbers of `FieldDescriptorProto.Type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    Double = 1,
    Float,
    Int64,
    Uint64,
    Int32,
    Fixed64,
    Fixed32,
    Bool,
    String,
    Group,
    Message,
    Bytes,
    Uint32,
    Enum,
    Sfixed32,
    Sfixed64,
    Sint32,
    Sint64,
}

#[derive(Debug, Default)]
pub(crate) struct Field {
    pub(crate) id: FieldId,
    pub(crate) name: String,
    pub(crate) number: i32,
    pub(crate) label: Label,
    /// None until a type name is resolved.
    pub(crate) field_type: Option<Type>,
    pub(crate) type_name: Option<String>,
    pub(crate) extendee: Option<String>,
    pub(crate) default: Option<Vec<u8>>,
    pub(crate) oneof: Option<usize>,
    pub(crate) json_name: Option<Vec<u8>>,
    pub(crate) proto3_optional: bool,
    pub(crate) options: Option<Box<Options>>,
}

#[derive(Debug, Default)]
pub(crate) struct Oneof {
    pub(crate) name: String,
    pub(crate) options: Option<Box<Options>>,
}

/// The end is not part of the range, except in an enum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) start: i32,
    pub(crate) end: i32,
}

#[derive(Debug, Default)]
pub(crate) struct ExtensionRange {
    pub(crate) range: Range,
    pub(crate) options: Option<Box<Options>>,
}

#[derive(Debug, Default)]
pub(crate) struct Enum {
    pub(crate) id: EnumId,
    pub(crate) name: String,
    pub(crate) values: Vec<EnumValue>,
    pub(crate) options: Option<Box<Options>>,
    pub(crate) reserved_ranges: Vec<Range>,
    pub(crate) reserved_names: Vec<Vec<u8>>,
    pub(crate) visibility: Visibility,
}

#[derive(Debug, Default)]
pub(crate) struct EnumValue {
    pub(crate) name: String,
    pub(crate) number: i32,
    pub(crate) options: Option<Box<Options>>,
}

#[derive(Debug, Default)]
pub(crate) struct Service {
    pub(crate) name: String,
    pub(crate) methods: Vec<Method>,
    pub(crate) options: Option<Box<Options>>,
}

#[derive(Debug, Default)]
pub(crate) struct Method {
    pub(crate) name: String,
    pub(crate) input: String,
    pub(crate) output: String,
    pub(crate) client_streaming: bool,
    pub(crate) server_streaming: bool,
    pub(crate) options: Option<Box<Options>>,
}

/// Options as they were written, and what they came to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    pub(crate) uninterpreted: Vec<Uninterpreted>,
    pub(crate) records: Records,
}

#[derive(Clone, Debug)]
pub(crate) struct Uninterpreted {
    pub(crate) name: Vec<NamePart>,
    pub(crate) value: OptionValue,
    /// Where the name begins, from zero.
    pub(crate) name_at: (u32, u32),
    pub(crate) value_at: (u32, u32),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NamePart {
    pub(crate) text: String,
    pub(crate) is_extension: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum OptionValue {
    None,
    Identifier(String),
    Positive(u64),
    Negative(i64),
    Double(f64),
    String(Vec<u8>),
    /// The tokens between the braces, with a space between each two.
    Aggregate(Vec<u8>),
}

/// Numbers and names of `google.protobuf.Edition`, without its prefix.
const EDITIONS: &[(i32, &str)] = &[
    (0, "UNKNOWN"),
    (900, "LEGACY"),
    (998, "PROTO2"),
    (999, "PROTO3"),
    (1000, "2023"),
    (1001, "2024"),
    (1002, "2026"),
    (9999, "UNSTABLE"),
    (1, "1_TEST_ONLY"),
    (2, "2_TEST_ONLY"),
    (99_997, "99997_TEST_ONLY"),
    (99_998, "99998_TEST_ONLY"),
    (99_999, "99999_TEST_ONLY"),
    (i32::MAX, "MAX"),
];
