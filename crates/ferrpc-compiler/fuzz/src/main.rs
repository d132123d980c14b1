//! Whatever the bytes are, the compiler comes to a verdict, and what it takes it can write.
//!
//! ```text
//! cd crates/ferrpc-compiler/fuzz
//! mkdir -p target/corpus
//! cargo run --release -- target/corpus ../protos ../../../testdata/protos -dict=words.dict \
//!     -max_len=8192 -timeout=10 -rss_limit_mb=1024 -max_total_time=1200
//! ```
//!
//! What begins as an encoded descriptor does is one, all else is text. The well-known files can be
//! imported. A crash or a time-out leaves a file here, and running with that file repeats it.

#![no_main]

use ferrpc_compiler::{EncodeOptions, Source, SourceTree, WELL_KNOWN_FILES, compile};
use libfuzzer_sys::fuzz_target;

struct Tree<'a>(&'a [u8]);

impl SourceTree for Tree<'_> {
    fn open(&self, path: &str) -> Result<Source, String> {
        if path == NAME {
            return Ok(match self.0.starts_with(NAME_FIELD) {
                true => Source::Descriptor(self.0.to_vec()),
                false => Source::Text(self.0.to_vec()),
            });
        }
        let known = WELL_KNOWN_FILES.iter().find(|(name, _)| *name == path);
        known
            .map(|(_, text)| Source::Text(text.as_bytes().to_vec()))
            .ok_or_else(|| "File not found.".to_owned())
    }
}

fuzz_target!(|bytes: &[u8]| {
    match compile(&Tree(bytes), &[NAME]) {
        Ok((compilation, _)) => {
            let mut options = EncodeOptions::default();
            (options.source_info, options.json_names) = (true, true);
            assert!(compilation.encode(NAME, options).is_some());
            options.only_utf8 = true;
            assert!(compilation.encode(NAME, options).is_some());
            // What features are in each edition may not be told, but is asked for.
            let _ = compilation.edition_defaults(0, 0);
        }
        Err(found) => assert!(!found.is_empty() && found.len() <= 10_001),
    }
});

const NAME: &str = "a.proto";
/// `FileDescriptorProto.name`, which comes first.
const NAME_FIELD: &[u8] = b"\x0a\x07a.proto";
