//! Comments of `.proto` files as Rust documentation.
//!
//! They were not written for rustdoc: indented text would become a test to compile, `[x]` a link
//! and `<x>` an HTML tag.

/// The lines of a documentation comment, each without the leading space.
pub(crate) fn doc_lines(comment: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut state = State::Text { after_blank: true, in_list: false };
    for raw in comment.lines() {
        let line = raw.strip_prefix(' ').unwrap_or(raw).trim_end().replace('\t', "    ");
        state = state.next(&line, &mut lines);
    }
    if !matches!(state, State::Text { .. }) {
        end_fence(&mut lines);
    }
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines
}

enum State {
    Text {
        after_blank: bool,
        in_list: bool,
    },
    /// Between fences the author wrote.
    Fenced,
    /// In a block that Markdown takes for code because of its indentation; fenced here.
    Indented,
}

impl State {
    fn next(self, line: &str, out: &mut Vec<String>) -> Self {
        match self {
            Self::Fenced if is_fence(line) => {
                out.push("```".to_owned());
                Self::Text { after_blank: false, in_list: false }
            }
            Self::Fenced => {
                out.push(line.to_owned());
                Self::Fenced
            }
            Self::Indented if line.is_empty() || indentation(line) >= 4 => {
                out.push(line.get(4..).unwrap_or_default().to_owned());
                Self::Indented
            }
            Self::Indented => {
                end_fence(out);
                out.push(String::new());
                Self::Text { after_blank: true, in_list: false }.next(line, out)
            }
            Self::Text { .. } if is_fence(line) => {
                // Whatever the language is called, it is not a test.
                out.push("```text".to_owned());
                Self::Fenced
            }
            Self::Text { after_blank: true, in_list: false } if indentation(line) >= 4 => {
                out.push("```text".to_owned());
                Self::Indented.next(line, out)
            }
            Self::Text { in_list, .. } => {
                out.push(escaped(line));
                let in_list =
                    is_list_item(line) || (in_list && (line.is_empty() || indentation(line) > 0));
                Self::Text { after_blank: line.is_empty(), in_list }
            }
        }
    }
}

fn end_fence(out: &mut Vec<String>) {
    while out.last().is_some_and(String::is_empty) {
        out.pop();
    }
    out.push("```".to_owned());
}

fn is_fence(line: &str) -> bool {
    line.trim_start().starts_with("```")
}

fn is_list_item(line: &str) -> bool {
    let text = line.trim_start();
    let number = text.trim_start_matches(|c: char| c.is_ascii_digit());
    text.starts_with("- ")
        || text.starts_with("* ")
        || text.starts_with("+ ")
        || (number.len() < text.len() && (number.starts_with(". ") || number.starts_with(") ")))
}

fn indentation(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

/// Escapes what rustdoc would take for a link or a tag, outside of backquotes.
fn escaped(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(character) = rest.chars().next() {
        let taken = match character {
            '`' => code_span(rest),
            'h' if is_url(rest) && !out.ends_with(['(', '<']) => {
                let end =
                    rest.find([' ', '\t', ')', '>', '"', '\'', '`', ',']).unwrap_or(rest.len());
                let url = rest[..end].trim_end_matches(['.', ';', ':', '!', '?']);
                out.push('<');
                out.push_str(url);
                out.push('>');
                rest = &rest[url.len()..];
                continue;
            }
            '[' => inline_link(rest),
            '\\' => rest.chars().take(2).map(char::len_utf8).sum(),
            _ => 0,
        };
        if taken > 0 {
            out.push_str(&rest[..taken]);
            rest = &rest[taken..];
            continue;
        }
        if matches!(character, '[' | ']' | '<' | '>') && !is_quote_mark(line, rest) {
            out.push('\\');
        }
        out.push(character);
        rest = &rest[character.len_utf8()..];
    }
    out
}

/// A `>` that begins its line is a quotation.
fn is_quote_mark(line: &str, rest: &str) -> bool {
    rest.starts_with('>') && line[..line.len() - rest.len()].trim().is_empty()
}

fn is_url(rest: &str) -> bool {
    rest.starts_with("http://") || rest.starts_with("https://")
}

/// Length of the code span that `rest` begins with; 0 if it has no end.
fn code_span(rest: &str) -> usize {
    let ticks = rest.len() - rest.trim_start_matches('`').len();
    let fence = &rest[..ticks];
    rest[ticks..].find(fence).map_or(0, |at| ticks + at + ticks)
}

/// Length of the `[text](target)` that `rest` begins with; 0 if it is something else.
fn inline_link(rest: &str) -> usize {
    let Some(close) = rest.find(']') else { return 0 };
    if !rest[close..].starts_with("](") {
        return 0;
    }
    rest[close..].find(')').map_or(0, |at| close + at + 1)
}

#[cfg(test)]
mod tests {
    use super::doc_lines;

    #[track_caller]
    fn check(comment: &str, expect: &[&str]) {
        assert_eq!(doc_lines(comment), expect);
    }

    #[test]
    fn plain_text_loses_one_space() {
        check(" One.\n\n Two. \n", &["One.", "", "Two."]);
    }

    #[test]
    fn indented_text_is_not_a_test() {
        check(
            " Use:\n\n     x = 1\n\n     y\n Done",
            &["Use:", "", "```text", "x = 1", "", "y", "```", "", "Done"],
        );
    }

    #[test]
    fn fences_are_text_and_are_closed() {
        check(" ```\n [x]\n", &["```text", "[x]", "```"]);
        check(" ```rust\n a\n ```\n b", &["```text", "a", "```", "b"]);
    }

    #[test]
    fn list_continuations_stay() {
        check(" - a\n\n     more", &["- a", "", "    more"]);
    }

    #[test]
    fn links_and_tags_are_escaped() {
        check(" [Foo] and Map<K, V>", &["\\[Foo\\] and Map\\<K, V\\>"]);
        check(" `[Foo] <T>` and [a](b)", &["`[Foo] <T>` and [a](b)"]);
        check(" See https://grpc.io.", &["See <https://grpc.io>."]);
        check(" > quoted", &["> quoted"]);
        check(" lone ` tick [x]", &["lone ` tick \\[x\\]"]);
    }
}
