//! Where each message, enum and service lies in a serialised file.
//!
//! The pure-Python `protobuf` cuts a descriptor's own bytes out of its file's (`CopyToProto`), and
//! asks the generated module where they are.

use std::ops::Range;

/// The ranges of a `FileDescriptorProto`'s parts, in the order they are encoded.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Positions {
    pub(crate) messages: Vec<MessagePositions>,
    pub(crate) enums: Vec<Range<usize>>,
    pub(crate) services: Vec<Range<usize>>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct MessagePositions {
    pub(crate) own: Range<usize>,
    pub(crate) nested: Vec<MessagePositions>,
    pub(crate) enums: Vec<Range<usize>>,
}

impl Positions {
    /// Of bytes that were just encoded: what is not well formed ends the search.
    pub(crate) fn of(file: &[u8]) -> Self {
        let mut positions = Self::default();
        for (number, range) in fields(file, 0..file.len()) {
            match number {
                FILE_MESSAGE => positions.messages.push(message(file, range)),
                FILE_ENUM => positions.enums.push(range),
                FILE_SERVICE => positions.services.push(range),
                _ => {}
            }
        }
        positions
    }
}

fn message(file: &[u8], own: Range<usize>) -> MessagePositions {
    let mut nested = Vec::new();
    let mut enums = Vec::new();
    for (number, range) in fields(file, own.clone()) {
        match number {
            MESSAGE_NESTED => nested.push(message(file, range)),
            MESSAGE_ENUM => enums.push(range),
            _ => {}
        }
    }
    MessagePositions { own, nested, enums }
}

/// The length-delimited fields of a message, each with the range of its content.
fn fields(file: &[u8], within: Range<usize>) -> Vec<(u64, Range<usize>)> {
    let mut out = Vec::new();
    let mut at = within.start;
    while at < within.end {
        let Some((tag, next)) = varint(file, at, within.end) else { break };
        let end = match tag & 7 {
            0 => varint(file, next, within.end).map(|(_, end)| end),
            1 => Some(next + 8),
            5 => Some(next + 4),
            2 => varint(file, next, within.end).and_then(|(length, start)| {
                let end = start.checked_add(usize::try_from(length).ok()?)?;
                (end <= within.end).then(|| {
                    out.push((tag >> 3, start..end));
                    end
                })
            }),
            _ => None,
        };
        let Some(end) = end else { break };
        at = end;
    }
    out
}

fn varint(bytes: &[u8], mut at: usize, end: usize) -> Option<(u64, usize)> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = *bytes[..end].get(at)?;
        at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some((value, at));
        }
    }
    None
}

/// `FileDescriptorProto.message_type`.
const FILE_MESSAGE: u64 = 4;
/// `FileDescriptorProto.enum_type`.
const FILE_ENUM: u64 = 5;
/// `FileDescriptorProto.service`.
const FILE_SERVICE: u64 = 6;
/// `DescriptorProto.nested_type`.
const MESSAGE_NESTED: u64 = 3;
/// `DescriptorProto.enum_type`.
const MESSAGE_ENUM: u64 = 4;

#[cfg(test)]
mod tests {
    use buffa::Message;
    use buffa_codegen::generated::descriptor::{
        DescriptorProto, EnumDescriptorProto, FileDescriptorProto, ServiceDescriptorProto,
    };

    use super::*;

    #[test]
    fn each_range_is_the_parts_own_encoding() {
        let inner = DescriptorProto { name: Some("Inner".into()), ..Default::default() };
        let level = EnumDescriptorProto { name: Some("Level".into()), ..Default::default() };
        let outer = DescriptorProto {
            name: Some("Outer".repeat(50)),
            nested_type: vec![inner.clone()],
            enum_type: vec![level.clone()],
            ..Default::default()
        };
        let service = ServiceDescriptorProto { name: Some("S".into()), ..Default::default() };
        let file = FileDescriptorProto {
            name: Some("a.proto".into()),
            message_type: vec![outer.clone(), inner.clone()],
            enum_type: vec![level.clone()],
            service: vec![service.clone()],
            ..Default::default()
        }
        .encode_to_vec();
        let positions = Positions::of(&file);
        let at = |range: &Range<usize>| file[range.clone()].to_vec();
        assert_eq!(at(&positions.messages[0].own), outer.encode_to_vec());
        assert_eq!(at(&positions.messages[0].nested[0].own), inner.encode_to_vec());
        assert_eq!(at(&positions.messages[0].enums[0]), level.encode_to_vec());
        assert_eq!(at(&positions.messages[1].own), inner.encode_to_vec());
        assert_eq!(at(&positions.enums[0]), level.encode_to_vec());
        assert_eq!(at(&positions.services[0]), service.encode_to_vec());
    }

    #[test]
    fn what_is_cut_off_is_left_out() {
        assert_eq!(Positions::of(b"\x22\x05ab"), Positions::default());
        assert_eq!(
            Positions::of(b"\x22\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
            Positions::default()
        );
    }
}
