//! Which comments belong to which token.
//!
//! A comment behind a token on its line, or right below it with a blank line after, trails that
//! token; a comment right above a token leads it; all others are detached. Line comments that
//! follow each other are one comment.

use crate::lexer::{CommentStart, Kind, Lexer};

/// The comments between two tokens.
#[derive(Debug, Default)]
pub(crate) struct Between {
    /// Of the token before.
    pub(crate) trailing: Vec<u8>,
    pub(crate) detached: Vec<Vec<u8>>,
    /// Of the token after.
    pub(crate) leading: Vec<u8>,
}

/// Decides while comments are read; holds the last one until its place is known.
struct Collector {
    out: Between,
    pending: Option<Vec<u8>>,
    pending_is_line: bool,
    placed: u32,
    has_trailing: bool,
    can_trail: bool,
}

impl Collector {
    fn line(&mut self, text: &[u8]) {
        if self.pending.is_some() && !self.pending_is_line {
            self.flush();
        }
        self.pending_is_line = true;
        self.pending.get_or_insert_default().extend_from_slice(text);
    }

    fn block(&mut self, text: Vec<u8>) {
        self.flush();
        self.pending_is_line = false;
        self.pending = Some(text);
    }

    /// The pending comment does not lead the next token.
    fn flush(&mut self) {
        let Some(comment) = self.pending.take() else { return };
        if self.can_trail {
            self.out.trailing.extend_from_slice(&comment);
            self.has_trailing = true;
            self.can_trail = false;
        } else {
            self.out.detached.push(comment);
        }
        self.placed += 1;
    }

    /// Between two tokens on one line it is unclear whose a single comment is.
    fn detach_single(&mut self) {
        if self.placed + u32::from(self.pending.is_some()) != 1 {
            return;
        }
        if self.has_trailing {
            let trailing = std::mem::take(&mut self.out.trailing);
            self.out.detached.insert(0, trailing);
        }
        self.flush();
    }

    fn finish(mut self) -> Between {
        self.out.leading = self.pending.take().unwrap_or_default();
        self.out
    }
}

impl Lexer<'_> {
    /// Reads the next token, and the comments on the way to it.
    pub(crate) fn next_with_comments(&mut self) -> Between {
        let mut collector = Collector {
            out: Between::default(),
            pending: None,
            pending_is_line: false,
            placed: 0,
            has_trailing: false,
            can_trail: true,
        };
        let mut line_before = Some(self.line);
        let mut trailing_end = None;
        if self.current.kind == Kind::Start {
            if !self.byte_order_mark() {
                return collector.finish();
            }
            collector.can_trail = false;
            line_before = None;
        } else {
            self.skip_blanks();
            match self.comment_start() {
                CommentStart::Line => {
                    trailing_end = Some(self.line);
                    let text = self.line_comment();
                    collector.line(text);
                    collector.flush();
                }
                CommentStart::Block => {
                    collector.block(self.block_text());
                    trailing_end = Some(self.line);
                    self.skip_blanks();
                    collector.flush();
                }
                CommentStart::Slash => return collector.finish(),
                CommentStart::None => {
                    if !self.take(b'\n') {
                        self.next();
                        return collector.finish();
                    }
                }
            }
        }
        self.lines_of_comments(&mut collector, line_before, trailing_end);
        collector.finish()
    }

    /// The lines below the token before.
    fn lines_of_comments(
        &mut self,
        collector: &mut Collector,
        line_before: Option<u32>,
        trailing_end: Option<u32>,
    ) {
        loop {
            self.skip_blanks();
            match self.comment_start() {
                CommentStart::Line => {
                    let text = self.line_comment();
                    collector.line(text);
                }
                CommentStart::Block => {
                    collector.block(self.block_text());
                    // The rest of its line is no blank line.
                    self.skip_blanks();
                    self.take(b'\n');
                }
                CommentStart::Slash => return,
                CommentStart::None if self.take(b'\n') => {
                    collector.flush();
                    collector.can_trail = false;
                }
                CommentStart::None => {
                    let found = self.next();
                    if !found || matches!(self.current.text, b"}" | b"]" | b")") {
                        collector.flush();
                    }
                    let here = Some(self.line);
                    if found && (line_before == here || trailing_end == here) {
                        collector.detach_single();
                    }
                    return;
                }
            }
        }
    }

    fn block_text(&mut self) -> Vec<u8> {
        let mut text = Vec::new();
        self.block_comment(Some(&mut text));
        text
    }
}
