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

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn messages() {
        let check = |bytes: &[u8], code, message: &[u8]| {
            assert_eq!(read(bytes), Some(RpcStatus { code, message }), "{bytes:x?}");
        };
        check(b"", 0, b"");
        check(b"\x08\x05\x12\x03abc", 5, b"abc");
        check(b"\x12\x03abc\x08\x05", 5, b"abc");
        check(b"\x08\x05\x12\x01a\x1a\x02\x0a\x00", 5, b"a");
        // The last of a repeated field counts; long varints and negative numbers are legal.
        check(b"\x08\x05\x08\x86\x00", 6, b"");
        check(b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", -1, b"");
        // Unknown fields of every kind.
        check(b"\x20\x01\x29abcdefgh\x32\x01a\x3dabcd\x08\x03", 3, b"");
        // A known field of another kind is an unknown one.
        check(b"\x0a\x01a\x10\x05", 0, b"");
    }

    #[test]
    fn not_messages() {
        let cases: [&[u8]; 8] = [
            b"\x08",
            b"\x08\x80",
            b"\x12\x04abc",
            b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            b"\x00\x01",
            b"\x0b\x0c",
            b"\x29abcdefg",
        ];
        for bytes in cases {
            assert_eq!(read(bytes), None, "{bytes:x?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_handled(bytes in vec(any::<u8>(), 0..40)) {
            let _ = read(&bytes);
        }
    }
}
