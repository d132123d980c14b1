//! The Huffman code of string literals (RFC 7541, 5.2 and appendix B).

use super::DecodeError;

/// The length of `input` when coded, in bytes.
#[inline]
pub(super) fn encoded_len(input: &[u8]) -> usize {
    input.iter().map(|&byte| usize::from(LENGTHS[byte as usize])).sum::<usize>().div_ceil(8)
}

/// Appends `input`, coded and padded.
pub(super) fn encode(input: &[u8], out: &mut Vec<u8>) {
    let mut pending = 0u64;
    let mut bits = 0;
    for &byte in input {
        let length = u32::from(LENGTHS[byte as usize]);
        pending = pending << length | u64::from(CODES[byte as usize]);
        bits += length;
        if bits >= 32 {
            bits -= 32;
            out.extend_from_slice(&((pending >> bits) as u32).to_be_bytes());
        }
    }
    while bits >= 8 {
        bits -= 8;
        out.push((pending >> bits) as u8);
    }
    if bits > 0 {
        // The padding is the most significant bits of EOS, which are ones.
        out.push((pending << (8 - bits)) as u8 | 0xff >> bits);
    }
}

/// Appends the decoding of `input`.
pub(super) fn decode(input: &[u8], out: &mut Vec<u8>) -> Result<(), DecodeError> {
    // No code is shorter than 5 bits. Sized once, so that the loop writes without growing.
    let start = out.len();
    let room = input.len() * 8 / 5;
    out.resize(start + room, 0);
    let written = decode_into(input, &mut out[start..])?;
    out.truncate(start + written);
    Ok(())
}

fn decode_into(input: &[u8], out: &mut [u8]) -> Result<usize, DecodeError> {
    let mut reader = Reader { rest: input, window: 0, bits: 0 };
    let mut written = 0;
    loop {
        reader.refill();
        if reader.bits < MAX_LENGTH {
            break;
        }
        while reader.bits >= MAX_LENGTH {
            let (symbol, length) = reader.peek();
            if symbol == EOS {
                return Err(DecodeError::InvalidHuffman);
            }
            *out.get_mut(written).ok_or(DecodeError::InvalidHuffman)? = symbol as u8;
            written += 1;
            reader.skip(length);
        }
    }
    // Fewer bits than the longest code: read as if ones followed, so that proper padding looks
    // like the beginning of EOS.
    loop {
        reader.window |= u64::MAX >> reader.bits;
        let (symbol, length) = reader.peek();
        if length > reader.bits {
            break;
        }
        *out.get_mut(written).ok_or(DecodeError::InvalidHuffman)? = symbol as u8;
        written += 1;
        reader.skip(length);
    }
    if reader.bits > 7 || reader.window != u64::MAX {
        return Err(DecodeError::InvalidHuffman);
    }
    Ok(written)
}

/// The input as a window of bits, the next one at the top.
struct Reader<'a> {
    rest: &'a [u8],
    window: u64,
    bits: u32,
}

impl Reader<'_> {
    /// Fills the window to at least 56 bits, or to the end of the input.
    #[inline]
    fn refill(&mut self) {
        if let Some(chunk) = self.rest.first_chunk::<8>() {
            // What is shifted in beyond `bits` is shifted in again, the same, the next time.
            self.window |= u64::from_be_bytes(*chunk) >> self.bits;
            let bytes = (63 - self.bits) / 8;
            self.bits += bytes * 8;
            self.rest = &self.rest[bytes as usize..];
            return;
        }
        while let Some((&byte, after)) = self.rest.split_first()
            && self.bits <= 56
        {
            self.window |= u64::from(byte) << (56 - self.bits);
            self.bits += 8;
            self.rest = after;
        }
    }

    /// The symbol at the top of the window, and the length of its code.
    #[inline]
    fn peek(&self) -> (u16, u32) {
        let short = SHORT[(self.window >> 56) as usize];
        if short.length != 0 {
            return (u16::from(short.symbol), u32::from(short.length));
        }
        peek_long((self.window >> 32) as u32)
    }

    #[inline]
    fn skip(&mut self, length: u32) {
        self.window <<= length;
        self.bits -= length;
    }
}

/// Decodes a code of more than 8 bits at the top of `window`. The code is canonical: the codes of
/// one length are consecutive numbers, and greater than the beginnings of all shorter ones.
#[cold]
fn peek_long(window: u32) -> (u16, u32) {
    for length in SHORT_BITS + 1..MAX_LENGTH {
        let class = &CLASSES[length as usize];
        let code = window >> (32 - length);
        if code < class.end {
            let at = class.symbols + (code - class.first) as usize;
            return (SYMBOLS[at], length);
        }
    }
    let class = &CLASSES[MAX_LENGTH as usize];
    let at = class.symbols + ((window >> (32 - MAX_LENGTH)) - class.first) as usize;
    (SYMBOLS[at], MAX_LENGTH)
}

const EOS: u16 = 256;
const SYMBOL_COUNT: usize = 257;
const MAX_LENGTH: u32 = 30;

/// The bits that a code must have at most to be found in one step: all of letters, digits and
/// most punctuation.
const SHORT_BITS: u32 = 8;

/// A code of at most [`SHORT_BITS`] bits; length 0 says that it is longer.
#[derive(Clone, Copy)]
struct Short {
    symbol: u8,
    length: u8,
}

/// The codes of one length.
#[derive(Clone, Copy)]
struct Class {
    first: u32,
    /// One past the last code.
    end: u32,
    /// Where the symbol of the first code stands in [`SYMBOLS`].
    symbols: usize,
}

/// All symbols in the order of their codes.
static SYMBOLS: [u16; SYMBOL_COUNT] = CODE.symbols;

/// The code of each symbol, in its low bits.
static CODES: [u32; SYMBOL_COUNT] = CODE.codes;

static CLASSES: [Class; MAX_LENGTH as usize + 1] = CODE.classes;

/// What the first bits of the input say.
static SHORT: [Short; 1 << SHORT_BITS] = {
    let mut table = [Short { symbol: 0, length: 0 }; 1 << SHORT_BITS];
    let mut symbol = 0;
    while symbol < SYMBOL_COUNT {
        let length = LENGTHS[symbol] as u32;
        if length <= SHORT_BITS {
            let spare = SHORT_BITS - length;
            let start = (CODE.codes[symbol] as usize) << spare;
            let mut at = start;
            while at < start + (1 << spare) {
                table[at] = Short { symbol: symbol as u8, length: length as u8 };
                at += 1;
            }
        }
        symbol += 1;
    }
    table
};

struct Code {
    codes: [u32; SYMBOL_COUNT],
    symbols: [u16; SYMBOL_COUNT],
    classes: [Class; MAX_LENGTH as usize + 1],
}

/// Assigns the canonical code: by length, then by symbol.
const CODE: Code = {
    let mut codes = [0; SYMBOL_COUNT];
    let mut symbols = [0; SYMBOL_COUNT];
    let mut classes = [Class { first: 0, end: 0, symbols: 0 }; MAX_LENGTH as usize + 1];
    let mut next = 0u32;
    let mut assigned = 0;
    let mut length = 1;
    while length <= MAX_LENGTH as usize {
        next <<= 1;
        classes[length] = Class { first: next, end: next, symbols: assigned };
        let mut symbol = 0;
        while symbol < SYMBOL_COUNT {
            if LENGTHS[symbol] as usize == length {
                codes[symbol] = next;
                symbols[assigned] = symbol as u16;
                next += 1;
                assigned += 1;
            }
            symbol += 1;
        }
        classes[length].end = next;
        length += 1;
    }
    Code { codes, symbols, classes }
};

/// The length in bits of each symbol's code. The codes follow from the lengths.
#[rustfmt::skip]
static LENGTHS: [u8; SYMBOL_COUNT] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
    6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
];
