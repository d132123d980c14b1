//! The front end of a Protocol Buffers compiler: `.proto` files to descriptors.
//!
//! It reads proto2, proto3 and the editions 2023 and 2024, and says of a file what protoc 35 says
//! of it: what that takes is taken, what that refuses is refused for its reasons, and descriptors
//! are the same bytes, comments and custom options included. It generates no code, and touches no
//! disk: files come from a [`SourceTree`].
//!
//! Begin with [`compile`]. It returns a [`Compilation`], whose files can be
//! [encoded](Compilation::encode), or the [`Diagnostic`]s that say why there is none. Messages of
//! the types in it can be [read from text](Compilation::encode_text) and
//! [written as text](Compilation::decode_text).
//!
//! ```
//! use std::collections::HashMap;
//! use ferrpc_compiler::{EncodeOptions, compile};
//!
//! let tree = HashMap::from([("a.proto", "syntax = \"proto3\"; message A { int32 id = 1; }")]);
//! let (compilation, _warnings) = compile(&tree, &["a.proto"]).expect("it is valid");
//! let bytes = compilation.encode("a.proto", EncodeOptions::default()).expect("it is there");
//! assert_eq!(bytes[..9], *b"\x0a\x07a.proto");
//! ```
//!
//! Whatever a file holds, nothing here panics; nesting is bounded, and time grows with the length
//! of what is read.

mod ast;
mod check;
mod comments;
mod compile;
mod decode;
mod diagnostic;
mod edition_defaults;
mod encode;
mod features;
mod lexer;
mod link;
mod literal;
mod options;
mod parser;
mod pool;
mod source_info;
mod strip;
mod text;
mod tree;
mod well_known;
mod wire;

pub use compile::{Compilation, compile, edition_number};
pub use diagnostic::{Diagnostic, Place, Severity};
pub use encode::EncodeOptions;
pub use text::{ConvertError, Converted, raw_text};
pub use tree::{Source, SourceTree};
pub use well_known::WELL_KNOWN_FILES;
