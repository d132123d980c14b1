//! Names of modules, and literals.

use std::fmt::Write as _;

/// The path of the messages' module below the output directory, without its ending.
///
/// It follows from the module's name: a dot in a file's path is a folder, since an `import`
/// statement looks for `a.b_pb2` in the folder `a`.
pub(crate) fn module_path(proto: &str) -> String {
    module(proto).replace('.', "/")
}

/// The dotted name of the messages' module. protoc replaces dashes, since no `import` statement
/// could name them.
pub(crate) fn module(proto: &str) -> String {
    format!("{}_pb2", stem(proto).replace('-', "_").replace('/', "."))
}

/// What importing modules call it: `a.b_pb2` is `a_dot_b__pb2`.
pub(crate) fn alias(module: &str) -> String {
    let mut out = String::with_capacity(module.len() + 8);
    for character in module.chars() {
        match character {
            '_' => out.push_str("__"),
            '.' => out.push_str("_dot_"),
            character if character.is_ascii_alphanumeric() => out.push(character),
            // A file name may hold anything.
            character => {
                let _ = write!(out, "_u{:x}_", u32::from(character));
            }
        }
    }
    out
}

fn stem(proto: &str) -> &str {
    proto.strip_suffix(".protodevel").or_else(|| proto.strip_suffix(".proto")).unwrap_or(proto)
}

/// Whether an `import` statement can name the module.
pub(crate) fn importable(module: &str) -> bool {
    module.split('.').all(|part| is_identifier(part) && !is_keyword(part))
}

pub(crate) fn is_identifier(name: &str) -> bool {
    let mut characters = name.chars();
    characters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && characters.all(|character| character.is_ascii_alphanumeric() || character == '_')
}

/// Whether a statement could not use the name: `x.class` is a syntax error.
pub(crate) fn is_keyword(name: &str) -> bool {
    KEYWORDS.contains(&name)
}

/// Whether a name would be changed by Python inside of a class: `__x` becomes `_Class__x`.
pub(crate) fn is_mangled(name: &str) -> bool {
    name.starts_with("__") && !name.ends_with("__")
}

/// An expression for an attribute of an expression.
pub(crate) fn attribute(of: &str, name: &str) -> String {
    if is_keyword(name) || is_mangled(name) {
        format!("getattr({of}, {})", string(name))
    } else {
        format!("{of}.{name}")
    }
}

/// A literal of a string.
pub(crate) fn string(text: &str) -> String {
    let mut out = String::from("'");
    for character in text.chars() {
        match character {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\\' => out.push_str("\\\\"),
            '\'' => out.push_str("\\'"),
            character if character.is_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(character));
            }
            character => out.push(character),
        }
    }
    out.push('\'');
    out
}

/// A literal of bytes.
pub(crate) fn bytes(value: &[u8]) -> String {
    let mut out = String::with_capacity(value.len() * 2);
    out.push_str("b'");
    for &byte in value {
        match byte {
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            b'\\' => out.push_str("\\\\"),
            b'\'' => out.push_str("\\'"),
            0x20..=0x7e => out.push(char::from(byte)),
            _ => {
                out.push_str("\\x");
                for digit in [byte >> 4, byte & 15] {
                    out.push(char::from(HEX[usize::from(digit)]));
                }
            }
        }
    }
    out.push('\'');
    out
}

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Text for a comment: on one line.
pub(crate) fn comment(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}

/// A docstring of a `.proto` comment, indented; `otherwise` if there is no comment.
pub(crate) fn docstring(raw: &str, otherwise: &str, indent: &str) -> String {
    let text = raw.replace('\\', "\\\\").replace('"', "\\\"");
    let text: String = text
        .chars()
        .filter(|character| !character.is_control() || matches!(character, '\n' | '\t'))
        .collect();
    let mut lines: Vec<&str> = text
        .lines()
        .map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end())
        .skip_while(|line| line.is_empty())
        .collect();
    while lines.last().is_some_and(|line| line.is_empty()) {
        lines.pop();
    }
    let mut out = String::new();
    match lines.as_slice() {
        [] => {
            let _ = writeln!(out, "{indent}\"\"\"{otherwise}\"\"\"");
        }
        [line] => {
            let _ = writeln!(out, "{indent}\"\"\"{line}\"\"\"");
        }
        [first, rest @ ..] => {
            let _ = writeln!(out, "{indent}\"\"\"{first}");
            for line in rest {
                let _ = writeln!(out, "{}", format!("{indent}{line}").trim_end());
            }
            let _ = writeln!(out, "{indent}\"\"\"");
        }
    }
    out
}

/// All of Python 3; soft keywords (`match`, `type`) are names like any other.
const KEYWORDS: &[&str] = &[
    "False", "None", "True", "and", "as", "assert", "async", "await", "break", "class", "continue",
    "def", "del", "elif", "else", "except", "finally", "for", "from", "global", "if", "import",
    "in", "is", "lambda", "nonlocal", "not", "or", "pass", "raise", "return", "try", "while",
    "with", "yield",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_and_what_others_call_them() {
        assert_eq!(module_path("pkg/sub/my-file.proto"), "pkg/sub/my_file_pb2");
        assert_eq!(alias(&module("pkg/sub/my-file.proto")), "pkg_dot_sub_dot_my__file__pb2");
        assert_eq!(module("noending"), "noending_pb2");
        assert_eq!(module_path("k8s.io/api/g.proto"), "k8s/io/api/g_pb2");
        assert_eq!(module("k8s.io/api/g.proto"), "k8s.io.api.g_pb2");
        assert_eq!(module_path("a-b.c/x.v1.proto"), "a_b/c/x/v1_pb2");
        assert_eq!(module_path("odd.name"), "odd/name_pb2");
        assert!(importable("a.b_pb2"));
        assert!(!importable("a.class.b_pb2"));
        assert!(!importable("a.1b_pb2"));
    }

    #[test]
    fn literals() {
        assert_eq!(bytes(b"a'\\\n\x00\xff\""), "b'a\\'\\\\\\n\\x00\\xff\"'");
        assert_eq!(string("a'\n\u{7}"), "'a\\'\\n\\u0007'");
    }

    #[test]
    fn docstrings_cannot_end_early() {
        assert_eq!(docstring("", "None.", "  "), "  \"\"\"None.\"\"\"\n");
        assert_eq!(
            docstring(" a \"\"\" b\\\n\n  c \n", "", ""),
            "\"\"\"a \\\"\\\"\\\" b\\\\\n\n c\n\"\"\"\n"
        );
    }

    #[test]
    fn attributes_that_no_statement_can_name() {
        assert_eq!(attribute("x", "y"), "x.y");
        assert_eq!(attribute("x", "from"), "getattr(x, 'from')");
        assert_eq!(attribute("x", "__y"), "getattr(x, '__y')");
    }
}
