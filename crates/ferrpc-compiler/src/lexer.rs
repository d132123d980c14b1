//! Text to tokens, on demand.
//!
//! The rules are protoc's: the same places of errors, the same columns (bytes, with tabs to the
//! next multiple of eight), and the same decision which comment belongs to which token
//! ([`comments`](super::comments)). A lexer in [`Mode::Aggregate`] reads the text of option values
//! in braces, where comments begin with `#` and floats may end in `f`.

/// A fault at a place in the text, counted from zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) line: u32,
    pub(crate) column: u32,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
    pub(crate) warning: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Before the first token.
    Start,
    End,
    Identifier,
    Integer,
    Float,
    String,
    Symbol,
    /// A run of the characters of a type URL, in [`Lexer::url`] mode only.
    Url,
}

/// A token, borrowed from the text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Token<'a> {
    pub(crate) kind: Kind,
    pub(crate) text: &'a [u8],
    pub(crate) line: u32,
    pub(crate) column: u32,
    pub(crate) end_column: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// A source file.
    File,
    /// The text of an aggregate option value.
    Aggregate,
}

pub(crate) enum CommentStart {
    None,
    Line,
    Block,
    /// A slash that begins no comment: it is the current token.
    Slash,
}

pub(crate) struct Lexer<'a> {
    text: &'a [u8],
    at: usize,
    pub(crate) line: u32,
    column: u32,
    mode: Mode,
    /// Whether URL characters are read as one token.
    pub(crate) url: bool,
    pub(crate) current: Token<'a>,
    pub(crate) previous: Token<'a>,
    pub(crate) faults: Vec<Fault>,
    /// Whether one of them is no warning.
    failed: bool,
}

impl<'a> Lexer<'a> {
    pub(crate) fn new(text: &'a [u8], mode: Mode) -> Self {
        let start = Token { kind: Kind::Start, text: &[], line: 0, column: 0, end_column: 0 };
        Self {
            text,
            at: 0,
            line: 0,
            column: 0,
            mode,
            url: false,
            current: start,
            previous: start,
            faults: Vec::new(),
            failed: false,
        }
    }

    /// Reads the next token, over white space and comments; false at the end of the text.
    pub(crate) fn next(&mut self) -> bool {
        self.previous = self.current;
        while !self.at_end() {
            self.skip(is_space);
            match self.comment_start() {
                CommentStart::Line => {
                    self.line_comment();
                    continue;
                }
                CommentStart::Block => {
                    self.block_comment(None);
                    continue;
                }
                CommentStart::Slash => return true,
                CommentStart::None => {}
            }
            if self.at_end() {
                break;
            }
            if is_unprintable(self.peek()) {
                self.fault_here("Invalid control characters encountered in text.");
                while !self.at_end() && is_unprintable(self.peek()) {
                    self.advance();
                }
                continue;
            }
            self.token();
            return true;
        }
        self.current = Token {
            kind: Kind::End,
            text: &[],
            line: self.line,
            column: self.column,
            end_column: self.column,
        };
        false
    }

    fn token(&mut self) {
        let (start, line, column) = (self.at, self.line, self.column);
        let kind = self.token_kind(line, column);
        let text = &self.text[start..self.at];
        self.current = Token { kind, text, line, column, end_column: self.column };
    }

    fn token_kind(&mut self, line: u32, column: u32) -> Kind {
        let first = self.peek();
        if self.url {
            if is_url(first) {
                self.skip(is_url);
                return Kind::Url;
            }
            return self.symbol();
        }
        match first {
            _ if is_letter(first) => {
                self.skip(is_alphanumeric);
                Kind::Identifier
            }
            b'0' => {
                self.advance();
                self.number(true, false)
            }
            b'1'..=b'9' => {
                self.advance();
                self.number(false, false)
            }
            b'.' => {
                self.advance();
                if !self.peek().is_ascii_digit() {
                    return Kind::Symbol;
                }
                self.advance();
                let before = &self.previous;
                if before.kind == Kind::Identifier
                    && (before.line, before.end_column) == (line, column)
                {
                    let place = (self.line, self.column.saturating_sub(2));
                    self.fault(place, "Need space between identifier and decimal point.");
                }
                self.number(false, true)
            }
            b'"' | b'\'' => {
                self.advance();
                self.string(first);
                Kind::String
            }
            _ => self.symbol(),
        }
    }

    fn symbol(&mut self) -> Kind {
        let character = self.peek();
        if !character.is_ascii() {
            self.fault_here(&format!("Interpreting non ascii codepoint {character}."));
        }
        self.advance();
        Kind::Symbol
    }

    fn number(&mut self, zero: bool, dot: bool) -> Kind {
        let mut float = false;
        if zero && self.take_any(b"xX") {
            if !self.peek().is_ascii_hexdigit() {
                self.fault_here("\"0x\" must be followed by hex digits.");
            }
            self.skip(|character| character.is_ascii_hexdigit());
        } else if zero && self.peek().is_ascii_digit() {
            self.skip(is_octal);
            if self.peek().is_ascii_digit() {
                self.fault_here("Numbers starting with leading zero must be in octal.");
                self.skip(|character| character.is_ascii_digit());
            }
        } else {
            float = dot;
            self.skip(|character| character.is_ascii_digit());
            if !dot && self.take(b'.') {
                float = true;
                self.skip(|character| character.is_ascii_digit());
            }
            if self.take_any(b"eE") {
                float = true;
                self.take_any(b"-+");
                if !self.peek().is_ascii_digit() {
                    self.fault_here("\"e\" must be followed by exponent.");
                }
                self.skip(|character| character.is_ascii_digit());
            }
            if self.mode == Mode::Aggregate && self.take_any(b"fF") {
                float = true;
            }
        }
        if is_letter(self.peek()) {
            self.fault_here("Need space between number and identifier.");
        } else if self.peek() == b'.' {
            self.fault_here(match float {
                true => "Already saw decimal point or exponent; can't have another one.",
                false => "Hex and octal numbers must be integers.",
            });
        }
        if float { Kind::Float } else { Kind::Integer }
    }

    fn string(&mut self, delimiter: u8) {
        loop {
            match self.peek() {
                0 => return self.fault_here("Unexpected end of string."),
                b'\n' => {
                    return self
                        .fault_here("Multiline strings are not allowed. Did you miss a \"?.");
                }
                b'\\' => {
                    self.advance();
                    self.escape();
                }
                character => {
                    self.advance();
                    if character == delimiter {
                        return;
                    }
                }
            }
        }
    }

    /// What follows a backslash. Further digits of an octal or hex escape are left to the caller.
    fn escape(&mut self) {
        match self.peek() {
            b'a'
            | b'b'
            | b'f'
            | b'n'
            | b'r'
            | b't'
            | b'v'
            | b'\\'
            | b'?'
            | b'\''
            | b'"'
            | b'0'..=b'7' => self.advance(),
            b'x' | b'X' => {
                self.advance();
                if !self.take_hex(1) {
                    self.fault_here("Expected hex digits for escape sequence.");
                }
            }
            b'u' => {
                self.advance();
                if !self.take_hex(4) {
                    self.fault_here("Expected four hex digits for \\u escape sequence.");
                }
            }
            b'U' => {
                self.advance();
                let within =
                    self.take(b'0') && self.take(b'0') && self.take_any(b"01") && self.take_hex(5);
                if !within {
                    self.fault_here(
                        "Expected eight hex digits up to 10ffff for \\U escape sequence",
                    );
                }
            }
            _ => self.fault_here("Invalid escape sequence in string literal."),
        }
    }

    /// Consumes what begins a comment.
    pub(crate) fn comment_start(&mut self) -> CommentStart {
        match (self.mode, self.peek()) {
            (Mode::Aggregate, b'#') => {
                self.advance();
                CommentStart::Line
            }
            (Mode::File, b'/') => {
                let (start, line, column) = (self.at, self.line, self.column);
                self.advance();
                if self.take(b'/') {
                    CommentStart::Line
                } else if self.take(b'*') {
                    CommentStart::Block
                } else {
                    let text = &self.text[start..self.at];
                    self.current =
                        Token { kind: Kind::Symbol, text, line, column, end_column: self.column };
                    CommentStart::Slash
                }
            }
            _ => CommentStart::None,
        }
    }

    /// The text of a line comment with its line feed.
    pub(crate) fn line_comment(&mut self) -> &'a [u8] {
        let start = self.at;
        while !matches!(self.peek(), 0 | b'\n') {
            self.advance();
        }
        self.take(b'\n');
        &self.text[start..self.at]
    }

    /// Reads a block comment; its text goes to `content`, without the asterisks that begin lines.
    pub(crate) fn block_comment(&mut self, mut content: Option<&mut Vec<u8>>) {
        let opened = (self.line, self.column.saturating_sub(2));
        let mut start = self.at;
        loop {
            while !matches!(self.peek(), 0 | b'*' | b'/' | b'\n') {
                self.advance();
            }
            if self.take(b'\n') {
                if let Some(content) = content.as_deref_mut() {
                    content.extend_from_slice(&self.text[start..self.at]);
                }
                self.skip(is_blank);
                if self.take(b'*') && self.take(b'/') {
                    return;
                }
                start = self.at;
            } else if self.take(b'*') {
                if self.take(b'/') {
                    if let Some(content) = content.as_deref_mut() {
                        content.extend_from_slice(&self.text[start..self.at - 2]);
                    }
                    return;
                }
            } else if self.take(b'/') {
                if self.peek() == b'*' {
                    self.fault_here(
                        "\"/*\" inside block comment.  Block comments cannot be nested.",
                    );
                }
            } else {
                self.fault_here("End-of-file inside block comment.");
                self.fault(opened, "  Comment started here.");
                if let Some(content) = content.as_deref_mut() {
                    content.extend_from_slice(&self.text[start..self.at]);
                }
                return;
            }
        }
    }

    /// Consumes a byte order mark; false if the text begins with half of one.
    pub(crate) fn byte_order_mark(&mut self) -> bool {
        if !self.take(0xef) {
            return true;
        }
        if self.take(0xbb) && self.take(0xbf) {
            return true;
        }
        self.fault_here(
            "Proto file starts with 0xEF but not UTF-8 BOM. Only UTF-8 is accepted for proto file.",
        );
        false
    }

    pub(crate) fn skip_blanks(&mut self) {
        self.skip(is_blank);
    }

    pub(crate) fn take(&mut self, character: u8) -> bool {
        let found = self.peek() == character && !self.at_end();
        if found {
            self.advance();
        }
        found
    }

    pub(crate) fn fault(&mut self, (line, column): (u32, u32), message: &str) {
        // The first one is what makes the file invalid.
        if self.faults.len() < MAX_FAULTS || !self.failed {
            self.failed = true;
            let message = message.to_owned();
            self.faults.push(Fault { line, column, message, help: None, warning: false });
        }
    }

    pub(crate) fn warning(&mut self, (line, column): (u32, u32), message: &str) {
        let message = message.to_owned();
        self.faults.push(Fault { line, column, message, help: None, warning: true });
    }

    fn fault_here(&mut self, message: &str) {
        self.fault((self.line, self.column), message);
    }

    fn take_any(&mut self, characters: &[u8]) -> bool {
        let found = !self.at_end() && characters.contains(&self.peek());
        if found {
            self.advance();
        }
        found
    }

    fn take_hex(&mut self, digits: usize) -> bool {
        for _ in 0..digits {
            if !self.peek().is_ascii_hexdigit() {
                return false;
            }
            self.advance();
        }
        true
    }

    fn skip(&mut self, class: impl Fn(u8) -> bool) {
        while !self.at_end() && class(self.text[self.at]) {
            self.advance();
        }
    }

    fn at_end(&self) -> bool {
        self.at >= self.text.len()
    }

    /// The next byte; zero at the end.
    fn peek(&self) -> u8 {
        self.text.get(self.at).copied().unwrap_or_default()
    }

    fn advance(&mut self) {
        match self.text.get(self.at) {
            None => return,
            Some(b'\n') => {
                self.line += 1;
                self.column = 0;
            }
            Some(b'\t') => self.column += TAB - self.column % TAB,
            Some(_) => self.column += 1,
        }
        self.at += 1;
    }
}

fn is_space(character: u8) -> bool {
    matches!(character, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

fn is_blank(character: u8) -> bool {
    is_space(character) && character != b'\n'
}

fn is_unprintable(character: u8) -> bool {
    character < b' '
}

fn is_octal(character: u8) -> bool {
    matches!(character, b'0'..=b'7')
}

pub(crate) fn is_letter(character: u8) -> bool {
    character.is_ascii_alphabetic() || character == b'_'
}

pub(crate) fn is_alphanumeric(character: u8) -> bool {
    character.is_ascii_alphanumeric() || character == b'_'
}

fn is_url(character: u8) -> bool {
    is_alphanumeric(character) || b"-.~!$&()*+,;=%/".contains(&character)
}

/// Whether the text would be one identifier token.
pub(crate) fn is_identifier(text: &[u8]) -> bool {
    text.first().is_some_and(|first| is_letter(*first))
        && text.iter().all(|character| is_alphanumeric(*character))
}

/// A file with more faults than this is not worth a list of them all.
pub(crate) const MAX_FAULTS: usize = 10_000;
/// Columns of a tab stop.
const TAB: u32 = 8;
