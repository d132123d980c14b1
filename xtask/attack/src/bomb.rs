//! A message that is small on the wire: zeros, by gzip (RFC 1951 and 1952).

/// A compressed gRPC message of `size` bytes and more.
pub(crate) fn message(size: usize) -> Vec<u8> {
    let mut gzip = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let mut bits = Bits::default();
    // The last block, with fixed codes; a zero, and "258 bytes, from one byte ago" without end. No
    // checksum: whoever gets there has lost.
    bits.push(0b1, 1);
    bits.push(0b01, 2);
    bits.push(0b0000_1100, 8);
    for _ in 0..size.div_ceil(258) {
        bits.push(0b1010_0011, 8);
        bits.push(0, 5);
    }
    bits.push(0, 7);
    gzip.extend(bits.bytes);
    gzip.extend([0; 8]);
    let mut message = vec![1];
    message.extend(u32::try_from(gzip.len()).unwrap_or(u32::MAX).to_be_bytes());
    message.extend(gzip);
    message
}

/// Bits, the lowest of a byte first; Huffman codes are given from right to left.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    open: u32,
    count: u32,
}

impl Bits {
    fn push(&mut self, value: u32, count: u32) {
        self.open |= value << self.count;
        self.count += count;
        while self.count >= 8 {
            self.bytes.push(self.open.to_le_bytes()[0]);
            self.open >>= 8;
            self.count -= 8;
        }
    }
}
