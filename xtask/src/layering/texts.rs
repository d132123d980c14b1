//! Nothing is decided by the text of an error or of a status: texts are for people, and change.
//!
//! What counts as such a text is what `message()`, `to_string()` and the like return, a field or
//! variable that is named as one, and a variable that one of these was bound to. What counts as a
//! decision is a look into it (`starts_with`), a comparison with a text, and a `match` with texts.

use std::collections::BTreeSet;

use syn::visit::{self, Visit};

use super::Rule;
use super::source::{Source, for_tests};

/// The crates that make and see errors at run time. Compiler and generators read text, and say what is
/// wrong with it.
const CRATES: &[&str] =
    &["ferrpc-http2", "ferrpc-core", "ferrpc-net", "ferrpc", "ferrpc-blocking", "ferrpc-python"];

/// Methods that make the text of an error, or give it.
const MADE_BY: &[&str] = &["message", "details", "description", "to_string"];

/// What texts are called.
const NAMES: &[&str] = &["details", "reason", "message_text", "why", "error_text"];

/// Methods that give the same text in another form.
const SAME: &[&str] = &[
    "as_bytes",
    "as_deref",
    "as_ref",
    "as_str",
    "clone",
    "into",
    "to_ascii_lowercase",
    "to_lowercase",
    "to_owned",
    "to_uppercase",
    "trim",
    "trim_end",
    "trim_start",
    "unwrap_or_default",
];

/// Methods that look into a text.
const LOOKS: &[&str] = &[
    "contains",
    "ends_with",
    "eq",
    "eq_ignore_ascii_case",
    "find",
    "matches",
    "rfind",
    "rsplit_once",
    "split_once",
    "starts_with",
    "strip_prefix",
    "strip_suffix",
];

/// The decisions of each crate.
pub(super) fn rules(sources: &[Source]) -> Vec<Rule> {
    let of = |name: &&str| {
        let broken = match sources.iter().find(|source| source.name == **name) {
            Some(source) => broken(source),
            None => vec![format!("there is no crate {name}")],
        };
        Rule { name: "decisions by a text", broken }
    };
    CRATES.iter().map(of).collect()
}

fn broken(source: &Source) -> Vec<String> {
    let files = source.files.iter();
    files
        .flat_map(|(path, file)| {
            let name = &source.name;
            file.decisions.iter().map(move |place| {
                format!("crates/{name}/src/{path}: `{place}` decides by the text of an error")
            })
        })
        .collect()
}

/// The functions of a file that decide by a text, tests left out.
pub(super) fn decisions(file: &syn::File) -> Vec<String> {
    let mut look = Look::default();
    look.visit_file(file);
    look.found
}

#[derive(Default)]
struct Look {
    /// The function it is in.
    function: String,
    /// Variables of the function that a text was bound to.
    texts: BTreeSet<String>,
    found: Vec<String>,
}

impl Look {
    fn inside(&mut self, name: &syn::Ident, visit: impl FnOnce(&mut Self)) {
        let function = std::mem::replace(&mut self.function, name.to_string());
        let texts = std::mem::take(&mut self.texts);
        visit(self);
        (self.function, self.texts) = (function, texts);
    }

    fn found(&mut self) {
        self.found.push(self.function.clone());
    }

    fn is_text(&self, expression: &syn::Expr) -> bool {
        match expression {
            syn::Expr::MethodCall(call) => {
                let name = call.method.to_string();
                MADE_BY.contains(&name.as_str())
                    || SAME.contains(&name.as_str()) && self.is_text(&call.receiver)
            }
            syn::Expr::Field(field) => is_name(&field.member),
            syn::Expr::Path(path) => path.path.get_ident().is_some_and(|name| {
                let name = name.to_string();
                NAMES.contains(&name.as_str()) || self.texts.contains(&name)
            }),
            syn::Expr::Reference(inner) => self.is_text(&inner.expr),
            syn::Expr::Paren(inner) => self.is_text(&inner.expr),
            syn::Expr::Unary(inner) => self.is_text(&inner.expr),
            syn::Expr::Index(inner) => self.is_text(&inner.expr),
            syn::Expr::Try(inner) => self.is_text(&inner.expr),
            _ => false,
        }
    }
}

fn is_name(member: &syn::Member) -> bool {
    matches!(member, syn::Member::Named(name) if NAMES.contains(&name.to_string().as_str()))
}

/// Whether it is a text that stands in the source, and not an empty one: whether there is a text at all
/// may decide.
fn is_literal(expression: &syn::Expr) -> bool {
    match expression {
        syn::Expr::Lit(literal) => match &literal.lit {
            syn::Lit::Str(text) => !text.value().is_empty(),
            syn::Lit::ByteStr(text) => !text.value().is_empty(),
            _ => false,
        },
        // A constant of the module. (Those of a type, as `ErrorCode::CANCEL`, are no texts.)
        syn::Expr::Path(path) => path.path.get_ident().is_some_and(|name| {
            let name = name.to_string();
            name.len() > 1 && name.chars().all(|letter| !letter.is_lowercase())
        }),
        syn::Expr::Reference(inner) => is_literal(&inner.expr),
        syn::Expr::Paren(inner) => is_literal(&inner.expr),
        _ => false,
    }
}

fn has_literal(pattern: &syn::Pat) -> bool {
    match pattern {
        syn::Pat::Lit(literal) => matches!(&literal.lit, syn::Lit::Str(_) | syn::Lit::ByteStr(_)),
        syn::Pat::Or(patterns) => patterns.cases.iter().any(has_literal),
        syn::Pat::Paren(inner) => has_literal(&inner.pat),
        syn::Pat::Reference(inner) => has_literal(&inner.pat),
        _ => false,
    }
}

impl<'ast> Visit<'ast> for Look {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !for_tests(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.inside(&item.sig.ident, |look| visit::visit_item_fn(look, item));
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.inside(&item.sig.ident, |look| visit::visit_impl_item_fn(look, item));
    }

    fn visit_local(&mut self, local: &'ast syn::Local) {
        visit::visit_local(self, local);
        let syn::Pat::Ident(name) = &local.pat else { return };
        if local.init.as_ref().is_some_and(|init| self.is_text(&init.expr)) {
            self.texts.insert(name.ident.to_string());
        } else {
            self.texts.remove(&name.ident.to_string());
        }
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        if LOOKS.contains(&call.method.to_string().as_str()) && self.is_text(&call.receiver) {
            self.found();
        }
        visit::visit_expr_method_call(self, call);
    }

    fn visit_expr_binary(&mut self, binary: &'ast syn::ExprBinary) {
        let compares = matches!(binary.op, syn::BinOp::Eq(_) | syn::BinOp::Ne(_));
        let sides = [&*binary.left, &*binary.right];
        if compares
            && sides.iter().any(|side| self.is_text(side))
            && sides.iter().any(|side| is_literal(side))
        {
            self.found();
        }
        visit::visit_expr_binary(self, binary);
    }

    /// What a macro is given, where that is a list of expressions: `assert!`, `matches!`, `format!`.
    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        let list = syn::punctuated::Punctuated::<syn::Expr, syn::Token![,]>::parse_terminated;
        let Ok(given) = call.parse_body_with(list) else { return };
        let mut inner = Self { function: self.function.clone(), ..Self::default() };
        inner.texts.clone_from(&self.texts);
        for expression in &given {
            inner.visit_expr(expression);
        }
        if call.path.is_ident("matches")
            && given.first().is_some_and(|text| self.is_text(text))
            && given.iter().skip(1).any(is_literal)
        {
            inner.found();
        }
        self.found.append(&mut inner.found);
    }

    fn visit_expr_match(&mut self, choice: &'ast syn::ExprMatch) {
        let texts = choice.arms.iter().any(|arm| has_literal(&arm.pat));
        if texts && self.is_text(&choice.expr) {
            self.found();
        }
        visit::visit_expr_match(self, choice);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decides(body: &str) -> bool {
        let text = format!("fn f(status: Status, error: Error) {{ {body} }}");
        !decisions(&syn::parse_file(&text).expect("it is Rust")).is_empty()
    }

    #[test]
    fn decisions_by_a_text() {
        assert!(decides(r#"if status.message() == "late" {}"#));
        assert!(decides(r#"if status.message() != LATE {}"#));
        assert!(decides(r#"if "late" == status.message() {}"#));
        assert!(decides(r#"if error.to_string().starts_with("late") {}"#));
        assert!(decides(
            "let text = error.to_string();\nlet low = text.to_lowercase();\nif low\n.contains(name) {}"
        ));
        assert!(decides(r#"match status.message() { "late" => {} _ => {} }"#));
        assert!(decides(r#"match &*error.details { "a" | "b" => {} _ => {} }"#));
        assert!(decides(r#"let late = matches!(status.message(), "late");"#));
        assert!(decides(r#"assert!(status.message() == "late");"#));
        assert!(decides(r#"let f = || reason.strip_prefix("late: ");"#));
    }

    #[test]
    fn what_is_no_decision() {
        assert!(!decides("if status.message().is_empty() {}"));
        assert!(!decides(r#"if status.message() == "" {}"#));
        assert!(!decides("if one.message() == other.message() {}"));
        assert!(!decides("if reason == ErrorCode::CANCEL {}"));
        assert!(!decides(r#"if path.starts_with("unix:") {}"#));
        assert!(!decides(
            "let text = error.to_string();\nlet text = path;\nif text.contains(name) {}"
        ));
        let tests =
            r#"#[cfg(test)] mod tests { fn f() { assert!(error.to_string().contains("x")); } }"#;
        assert!(decisions(&syn::parse_file(tests).expect("it is Rust")).is_empty());
    }
}
