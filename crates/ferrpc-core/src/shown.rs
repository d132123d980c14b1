//! What a peer sent, as it stands in our errors: escaped, and not all of it. An error may go back to
//! the peer, and bytes that cost it little must not become many.

use std::fmt;

/// Shows bytes of a peer, escaped; of long ones the beginning.
pub(crate) struct Shown<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.get(..MOST) {
            Some(start) if self.0.len() > MOST => {
                write!(f, "{}... ({} bytes)", start.escape_ascii(), self.0.len())
            }
            _ => write!(f, "{}", self.0.escape_ascii()),
        }
    }
}

/// Bytes that are shown.
const MOST: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_ones_are_cut() {
        assert_eq!(Shown(b"a\"\xff").to_string(), "a\\\"\\xff");
        assert_eq!(Shown(&[b'a'; 100]).to_string(), "a".repeat(100));
        let long = Shown(&[0; 101]).to_string();
        assert_eq!(long, "\\x00".repeat(100) + "... (101 bytes)");
    }
}
