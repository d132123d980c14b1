//! HPACK, the header compression of HTTP/2 (RFC 7541).
//!
//! A [`Decoder`] turns the fragments of header blocks into [`HeaderList`]s, an [`Encoder`] turns
//! fields into header blocks. A connection has one of each, for its two directions; both live as
//! long as the connection, since each block is coded against a table the blocks before it built.
//!
//! | section | where |
//! |---|---|
//! | 2.3.2, 2.3.3, 4: dynamic table, eviction, index space | `table` |
//! | 5.1: integers | `integer` |
//! | 5.2, appendix B: string literals, Huffman code | `huffman` |
//! | 6: representations, size updates | `decoder`, `encoder` |
//! | 7.1: what must not be indexed | `encoder` |
//! | appendix A: static table | `static_table` |
//!
//! What a peer sends is bounded here by string length, integer range and table size, and in the
//! [`HeaderList`] by the limits of the list. A list over its limits is no error of this layer: the
//! block is decoded to its end, so that the table stays in step, and its excess is not stored.
//!
//! The bytes of names and values are not judged: whether a name is empty, upper case or misplaced
//! is a question of RFC 9113.

mod decoder;
mod encoder;
mod hash;
mod huffman;
mod integer;
mod list;
mod memo;
mod sequence;
mod static_table;
mod table;

pub use decoder::{DecodeError, Decoder, MAX_STRING_LENGTH};
pub use encoder::Encoder;
pub use list::{HeaderList, ListLimits};

/// The table size both sides begin with (RFC 9113, 6.5.2).
const INITIAL_TABLE_SIZE: usize = 4096;

/// Beyond this a table size is not taken seriously: positions in a table are 32-bit.
const MAX_TABLE_SIZE: usize = 1 << 30;
