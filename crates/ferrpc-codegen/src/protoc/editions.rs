//! Files that say `edition =`, which the front end does not read: found before it sees them, so
//! that the error says so.

use std::fmt;

/// Where a file says its edition, and which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Edition {
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) text: String,
}

/// The edition of a file's text, if its first statement is one.
pub(super) fn find(text: &str) -> Option<Edition> {
    let start = skip_space(text, 0);
    let rest = text[start..].strip_prefix("edition")?;
    let equals = skip_space(rest, 0);
    let value = rest[equals..].strip_prefix('=')?;
    let value = &value[skip_space(value, 0)..];
    let quote = value.chars().next().filter(|sign| matches!(sign, '"' | '\''))?;
    let value = value[1..].split(quote).next()?;
    let before = &text[..start];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    Some(Edition { line, column, text: value.to_owned() })
}

/// The position behind white space and comments.
fn skip_space(text: &str, mut at: usize) -> usize {
    loop {
        let rest = &text[at..];
        let trimmed = rest.trim_start();
        at += rest.len() - trimmed.len();
        if trimmed.starts_with("//") {
            at += trimmed.find('\n').unwrap_or(trimmed.len());
        } else if trimmed.starts_with("/*") {
            match trimmed.find("*/") {
                Some(end) => at += end + 2,
                None => return text.len(),
            }
        } else {
            return at;
        }
    }
}

/// What is wrong with such a file.
impl fmt::Display for Edition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Edition {:?} is not supported: only files with syntax = \"proto2\" or \"proto3\" can \
             be compiled.",
            self.text
        )
    }
}

impl std::error::Error for Edition {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn found_behind_comments_with_its_place() {
        let text = "// one\n/* two\n */  edition /* = */ = \"2023\";\n";
        let expect = Edition { line: 3, column: 6, text: "2023".into() };
        assert_eq!(find(text), Some(expect));
        assert_eq!(find("edition = '2024';").map(|it| it.text).as_deref(), Some("2024"));
    }

    #[test]
    fn other_files_have_none() {
        for text in
            ["", "syntax = \"proto3\";", "edition", "/* edition = \"2023\";", "edition x", "// é"]
        {
            assert_eq!(find(text), None, "{text}");
        }
    }
}
