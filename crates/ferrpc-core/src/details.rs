//! Reads `google.rpc.Status`, as far as a transport needs it: its code and message.

/// The first two fields of a `google.rpc.Status`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RpcStatus<'a> {
    /// The number of its code; 0 if absent.
    pub(crate) code: i32,
    /// Its message, which should be UTF-8.
    pub(crate) message: &'a [u8],
}

/// Reads a serialised `google.rpc.Status`; `None` if it is not a protobuf message.
pub(crate) fn read(mut bytes: &[u8]) -> Option<RpcStatus<'_>> {
    let mut status = RpcStatus::default();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes)?;
        match (tag >> 3, tag & 7) {
            (0, _) => return None,
            // An int32 is the low half of its varint.
            (1, VARINT) => status.code = varint(&mut bytes)? as i32,
            (2, LENGTH) => status.message = length_delimited(&mut bytes)?,
            (_, VARINT) => drop(varint(&mut bytes)?),
            (_, FIXED_64) => drop(bytes.split_off(..8)?),
            (_, LENGTH) => drop(length_delimited(&mut bytes)?),
            (_, FIXED_32) => drop(bytes.split_off(..4)?),
            _ => return None,
        }
    }
    Some(status)
}

fn length_delimited<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(varint(bytes)?).ok()?;
    bytes.split_off(..length)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.split_off_first()?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

const VARINT: u64 = 0;
const FIXED_64: u64 = 1;
const LENGTH: u64 = 2;
const FIXED_32: u64 = 5;
