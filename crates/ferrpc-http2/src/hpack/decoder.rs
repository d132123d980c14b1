//! Decoding of header blocks (RFC 7541, 3 and 6).

use std::fmt;

use super::list::HeaderList;
use super::memo::Memo;
use super::static_table::STATIC_TABLE;
use super::table::Table;
use super::{INITIAL_TABLE_SIZE, MAX_TABLE_SIZE, huffman, integer};

/// The longest string literal that is read, in bytes as it stands on the wire, unless lists may be
/// larger ([`Decoder::with_max_string`]). Of a longer one no byte is kept: its field is left out of
/// the list, which tells so.
///
/// It bounds what a representation cut by the end of a fragment can make the decoder keep.
pub const MAX_STRING_LENGTH: usize = 64 * 1024;

/// What stays allocated between blocks, for each of the decoder's buffers.
const KEPT_CAPACITY: usize = 4096;

/// Size updates at the beginning of one block: the smallest size since the last block and the
/// final one (RFC 7541, 4.2).
const MAX_SIZE_UPDATES: u8 = 2;

/// Decodes the header blocks of one direction of a connection.
///
/// All blocks that arrive must pass through it, in order and whole, those of refused streams too:
/// each may change the table that the next one is coded against. After an error the table is not
/// to be trusted, so the connection ends and the decoder with it.
#[derive(Debug)]
pub struct Decoder {
    table: Table,
    /// What a size update may set at most.
    max_table_size: usize,
    /// The longest string that is read. A longer one does not fit the table: no Huffman code has
    /// more than 30 bits, so four times the table's size are more than it in any case.
    max_string: usize,
    /// Bytes of a longer string still to pass.
    skip: usize,
    /// The beginning of a representation that the last fragment cut.
    partial: Vec<u8>,
    /// The literal being decoded, its name directly followed by its value.
    literal: Vec<u8>,
    memo: Memo,
    /// Size updates of this block so far.
    size_updates: u8,
    /// Whether this block had a field, after which size updates are not allowed.
    in_fields: bool,
}

impl Decoder {
    /// A decoder at the beginning of a connection. `max_table_size` is what we advertise as
    /// SETTINGS_HEADER_TABLE_SIZE (of more than 1 GiB, 1 GiB).
    ///
    /// The table begins with the 4096 bytes of the protocol whatever is advertised, for the peer
    /// uses them until our settings reach it. Only a size update of the peer changes that.
    pub fn new(max_table_size: usize) -> Self {
        Self {
            table: Table::new(INITIAL_TABLE_SIZE),
            max_table_size: max_table_size.min(MAX_TABLE_SIZE),
            max_string: MAX_STRING_LENGTH.max(4 * max_table_size.min(MAX_TABLE_SIZE)),
            skip: 0,
            partial: Vec::new(),
            literal: Vec::new(),
            memo: Memo::default(),
            size_updates: 0,
            in_fields: false,
        }
    }

    /// The same, where lists of `size` bytes are taken: their strings may be as long.
    #[must_use]
    pub fn with_max_string(mut self, size: usize) -> Self {
        self.max_string = self.max_string.max(size);
        self
    }

    /// Changes whenever a block decodes to something else than the same bytes did before.
    pub fn version(&self) -> u64 {
        self.table.version()
    }

    /// Decodes one fragment of a header block, the payload of a HEADERS or CONTINUATION frame.
    /// `end` says that it is the block's last (END_HEADERS).
    ///
    /// Fragments may be cut anywhere. What `list` has no room for is decoded all the same.
    ///
    /// # Errors
    ///
    /// Each is a connection error of type COMPRESSION_ERROR.
    pub fn decode(
        &mut self,
        fragment: &[u8],
        end: bool,
        list: &mut HeaderList,
    ) -> Result<(), DecodeError> {
        let mut input = fragment;
        if !self.partial.is_empty() || self.skip > 0 {
            input = self.go_on(input, list)?;
        }
        while let Some((&first, rest)) = input.split_first() {
            // The common case, an indexed field of one byte, needs no parsing.
            if first > 0x80 && first < 0xff {
                self.indexed(u32::from(first & 0x7f), list)?;
                input = rest;
                continue;
            }
            match Representation::parse(input, self.max_string) {
                Ok(Parsed::Complete(representation, length)) => {
                    self.apply(representation, list)?;
                    input = &input[length..];
                }
                Err(Stop::Long) => {
                    let start = self.pass_over(input, list)?;
                    input = self.go_on(&input[start..], list)?;
                }
                Err(Stop::Error(error)) => return Err(error),
                Ok(Parsed::Missing(_)) => {
                    self.partial.extend_from_slice(input);
                    break;
                }
            }
        }
        if end { self.end_block() } else { Ok(()) }
    }

    /// Passes over a long string, completes the kept representation from `input`, or both, and
    /// gives what is left of that.
    #[cold]
    fn go_on<'a>(
        &mut self,
        mut input: &'a [u8],
        list: &mut HeaderList,
    ) -> Result<&'a [u8], DecodeError> {
        loop {
            let passed = self.skip.min(input.len());
            self.skip -= passed;
            input = &input[passed..];
            if self.skip > 0 || self.partial.is_empty() {
                return Ok(input);
            }
            input = self.complete_partial(input, list)?;
            if self.skip == 0 {
                return Ok(input);
            }
        }
    }

    /// Completes the kept representation from `input` and gives what is left of that. Takes only
    /// what is known to be missing, so that nothing is copied or read twice.
    fn complete_partial<'a>(
        &mut self,
        mut input: &'a [u8],
        list: &mut HeaderList,
    ) -> Result<&'a [u8], DecodeError> {
        let mut partial = std::mem::take(&mut self.partial);
        loop {
            match Representation::parse(&partial, self.max_string) {
                Ok(Parsed::Complete(representation, _)) => {
                    self.apply(representation, list)?;
                    partial.clear();
                    break;
                }
                // Its length was the last that was missing: none of its bytes was taken.
                Err(Stop::Long) => {
                    self.pass_over(&partial, list)?;
                    return Ok(input);
                }
                Err(Stop::Error(error)) => return Err(error),
                Ok(Parsed::Missing(_)) if input.is_empty() => break,
                Ok(Parsed::Missing(missing)) => {
                    let (taken, rest) = input.split_at(missing.min(input.len()));
                    partial.extend_from_slice(taken);
                    input = rest;
                }
            }
        }
        self.partial = partial;
        Ok(input)
    }

    /// `input` begins with a literal that has a string too long to be read: it counts, and has the
    /// effect on the table that any entry has which is larger than it (4.4). Gives where the string
    /// begins.
    #[cold]
    fn pass_over(&mut self, input: &[u8], list: &mut HeaderList) -> Result<usize, DecodeError> {
        let prefix = if input[0] & 0x40 != 0 { 6 } else { 4 };
        let integer = |at: usize, prefix| integer::decode(&input[at..], prefix).transpose();
        let lost = Err(DecodeError::Truncated);
        let (index, mut start) = integer(0, prefix).unwrap_or(lost)?;
        let (mut length, head) = integer(start, 7).unwrap_or(lost)?;
        start += head;
        let is_name = index == 0 && length as usize > self.max_string;
        if index == 0 && !is_name {
            start += length as usize;
            let (value, head) = integer(start, 7).unwrap_or(lost)?;
            (length, start) = (value, start + head);
        }
        self.in_fields = true;
        if prefix == 6 {
            self.table.clear();
        }
        list.count_unread(length as usize);
        self.skip = length as usize;
        if is_name {
            // What is left, the value, is then that of a field without a name.
            self.partial.extend_from_slice(&[0, 0]);
        }
        Ok(start)
    }

    fn end_block(&mut self) -> Result<(), DecodeError> {
        self.size_updates = 0;
        self.in_fields = false;
        for buffer in [&mut self.partial, &mut self.literal] {
            if buffer.capacity() > KEPT_CAPACITY && buffer.is_empty() {
                *buffer = Vec::new();
            }
        }
        if self.partial.is_empty() && self.skip == 0 { Ok(()) } else { Err(DecodeError::Truncated) }
    }

    fn apply(
        &mut self,
        representation: Representation<'_>,
        list: &mut HeaderList,
    ) -> Result<(), DecodeError> {
        match representation {
            Representation::Indexed(index) => self.indexed(index, list),
            Representation::Literal { indexing, index, name, value } => {
                self.in_fields = true;
                let mut literal = std::mem::take(&mut self.literal);
                let result = self.literal(indexing, index, name, value, &mut literal);
                if let Ok(name_len) = result {
                    list.push(&literal, name_len, indexing == Indexing::Never);
                }
                literal.clear();
                self.literal = literal;
                result.map(|_| ())
            }
            Representation::SizeUpdate(size) => self.size_update(size as usize),
        }
    }

    #[inline]
    fn indexed(&mut self, index: u32, list: &mut HeaderList) -> Result<(), DecodeError> {
        self.in_fields = true;
        let (bytes, name_len) = self.entry(index)?;
        list.push(bytes, name_len, false);
        Ok(())
    }

    /// Decodes a literal into `out`, adds it to the table if it asks for that, and gives the
    /// length of its name. Being copied first, the name may be that of an entry that its own
    /// insertion evicts (4.4).
    fn literal(
        &mut self,
        indexing: Indexing,
        index: u32,
        name: Text<'_>,
        value: Text<'_>,
        out: &mut Vec<u8>,
    ) -> Result<usize, DecodeError> {
        if index == 0 {
            self.text(indexing, name, out)?;
        } else {
            let (bytes, name_len) = self.entry(index)?;
            out.extend_from_slice(&bytes[..name_len]);
        }
        let name_len = out.len();
        self.text(indexing, value, out)?;
        if indexing == Indexing::Incremental {
            self.table.insert([out, &[]], name_len);
        }
        Ok(name_len)
    }

    #[inline]
    fn text(
        &mut self,
        indexing: Indexing,
        text: Text<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), DecodeError> {
        if !text.huffman {
            out.extend_from_slice(text.raw);
            return Ok(());
        }
        match indexing {
            // Literals that go to the table come back as an index, and secrets are not kept.
            Indexing::Incremental | Indexing::Never => huffman::decode(text.raw, out),
            Indexing::Without => self.memo.recall(text.raw, out, huffman::decode),
        }
    }

    /// The field at `index` of the joint index space (2.3.3).
    #[inline]
    fn entry(&self, index: u32) -> Result<(&[u8], usize), DecodeError> {
        let at = (index as usize).checked_sub(1).ok_or(DecodeError::InvalidIndex)?;
        match STATIC_TABLE.get(at) {
            Some(entry) => Ok((entry.bytes, entry.name_len)),
            None => self.table.entry(at - STATIC_TABLE.len()).ok_or(DecodeError::InvalidIndex),
        }
    }

    fn size_update(&mut self, size: usize) -> Result<(), DecodeError> {
        if self.in_fields || self.size_updates == MAX_SIZE_UPDATES {
            return Err(DecodeError::MisplacedSizeUpdate);
        }
        if size > self.max_table_size {
            return Err(DecodeError::InvalidSizeUpdate);
        }
        self.size_updates += 1;
        self.table.resize(size);
        Ok(())
    }
}

/// One representation (RFC 7541, 6), its strings not yet decoded.
enum Representation<'a> {
    Indexed(u32),
    /// `name` is meaningful if `index` is 0.
    Literal {
        indexing: Indexing,
        index: u32,
        name: Text<'a>,
        value: Text<'a>,
    },
    SizeUpdate(u32),
}

/// What a literal asks to be done with it (6.2).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Indexing {
    Incremental,
    Without,
    Never,
}

/// A string literal (5.2).
#[derive(Clone, Copy)]
struct Text<'a> {
    huffman: bool,
    raw: &'a [u8],
}

enum Parsed<T> {
    /// The thing, and the bytes it takes.
    Complete(T, usize),
    /// How many more bytes it takes at least; not 0.
    Missing(usize),
}

/// Why there is nothing to apply.
enum Stop {
    Error(DecodeError),
    /// A string is too long to be read.
    Long,
}

impl From<DecodeError> for Stop {
    fn from(error: DecodeError) -> Self {
        Self::Error(error)
    }
}

impl<'a> Representation<'a> {
    /// Parses the first representation of `input`. Costs the same for strings of any length.
    #[inline]
    fn parse(input: &'a [u8], max_string: usize) -> Result<Parsed<Self>, Stop> {
        let (indexing, prefix) = match input.first() {
            None => return Ok(Parsed::Missing(1)),
            Some(0x80..) => return Ok(single(integer::decode(input, 7)?, Self::Indexed)),
            Some(0x40..) => (Indexing::Incremental, 6),
            Some(0x20..) => return Ok(single(integer::decode(input, 5)?, Self::SizeUpdate)),
            Some(0x10..) => (Indexing::Never, 4),
            Some(_) => (Indexing::Without, 4),
        };
        let Some((index, mut length)) = integer::decode(input, prefix)? else {
            return Ok(Parsed::Missing(1));
        };
        let mut name = Text { huffman: false, raw: &[] };
        if index == 0 {
            match Text::parse(&input[length..], max_string)? {
                Parsed::Complete(text, taken) => {
                    name = text;
                    length += taken;
                }
                Parsed::Missing(missing) => return Ok(Parsed::Missing(missing)),
            }
        }
        Ok(match Text::parse(&input[length..], max_string)? {
            Parsed::Complete(value, taken) => {
                Parsed::Complete(Self::Literal { indexing, index, name, value }, length + taken)
            }
            Parsed::Missing(missing) => Parsed::Missing(missing),
        })
    }
}

fn single<'a>(
    integer: Option<(u32, usize)>,
    make: impl FnOnce(u32) -> Representation<'a>,
) -> Parsed<Representation<'a>> {
    match integer {
        Some((value, length)) => Parsed::Complete(make(value), length),
        None => Parsed::Missing(1),
    }
}

impl<'a> Text<'a> {
    #[inline]
    fn parse(input: &'a [u8], max: usize) -> Result<Parsed<Self>, Stop> {
        let Some((length, start)) = integer::decode(input, 7)? else {
            return Ok(Parsed::Missing(1));
        };
        let length = length as usize;
        if length > max {
            return Err(Stop::Long);
        }
        let end = start + length;
        Ok(match input.get(start..end) {
            Some(raw) => Parsed::Complete(Self { huffman: input[0] & 0x80 != 0, raw }, end),
            None => Parsed::Missing(end - input.len()),
        })
    }
}

/// What is wrong with a header block. Each is a connection error of type COMPRESSION_ERROR
/// (RFC 9113, 4.3), and the peer's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// An integer exceeds 32 bits or 5 continuation bytes.
    IntegerOverflow,
    /// A Huffman string holds EOS, or ends in something else than at most 7 bits of ones.
    InvalidHuffman,
    /// An index is 0, or past the end of the table.
    InvalidIndex,
    /// A size update exceeds the table size that was advertised.
    InvalidSizeUpdate,
    /// A size update does not stand at the beginning of its block, or is the third one there.
    MisplacedSizeUpdate,
    /// The block ends within a representation.
    Truncated,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::IntegerOverflow => "an integer of the header block exceeds 32 bits",
            Self::InvalidHuffman => "a string of the header block is not valid Huffman code",
            Self::InvalidIndex => "the header block refers to an entry that no table has",
            Self::InvalidSizeUpdate => "a table size update exceeds the advertised size",
            Self::MisplacedSizeUpdate => "a table size update not at the block's beginning",
            Self::Truncated => "the header block ends within a field",
        })
    }
}

impl std::error::Error for DecodeError {}
