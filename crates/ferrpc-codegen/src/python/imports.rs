//! How a generated module refers to another.

use std::fmt::Write as _;

use super::names::{alias, importable, module, string};

/// The statement that binds the module of `target` to `name`, in the module of `from`.
pub(crate) fn statement(from: &str, target: &str, name: &str, relative: bool) -> String {
    let wanted = module(target);
    if relative && !is_common(target) {
        return relative_statement(from, &wanted, name);
    }
    if !importable(&wanted) {
        return format!("{name} = importlib.import_module({})\n", string(&wanted));
    }
    match wanted.rsplit_once('.') {
        Some((package, last)) => format!("from {package} import {last} as {name}\n"),
        None => format!("import {wanted} as {name}\n"),
    }
}

/// The statement that takes over all public names of a module bound to `name` already.
pub(crate) fn star(from: &str, target: &str, name: &str, relative: bool) -> String {
    let wanted = module(target);
    let (path, plain) = match relative && !is_common(target) {
        true => relative_path(from, &wanted),
        false => (wanted.clone(), importable(&wanted)),
    };
    if plain {
        return format!("from {path} import *\n");
    }
    let mut out = String::new();
    let _ = writeln!(
        out,
        "globals().update((_n, _v) for _n, _v in vars({name}).items() if not _n.startswith('_'))"
    );
    out
}

/// Whether [`statement`] needs `import importlib` before it.
pub(crate) fn needs_importlib(target: &str) -> bool {
    !importable(&module(target))
}

/// What the official generators call the module of a file in other modules.
pub(crate) fn module_alias(target: &str) -> String {
    alias(&module(target))
}

/// Whether the module comes with a package of its own, so that no relative import finds it: the
/// well-known types, and what `googleapis-common-protos` installs.
fn is_common(target: &str) -> bool {
    target.starts_with("google/")
}

fn relative_statement(from: &str, wanted: &str, name: &str) -> String {
    let (path, plain) = relative_path(from, wanted);
    if !plain {
        return format!("{name} = importlib.import_module({}, __package__)\n", string(&path));
    }
    let (package, last) = path.rsplit_once('.').unwrap_or((".", &path));
    // `..a` splits into `.` and `a`: the dots before the last name all belong to the package.
    let package = if path.trim_start_matches('.') == last {
        &path[..path.len() - last.len()]
    } else {
        package
    };
    format!("from {package} import {last} as {name}\n")
}

/// `..b.c_pb2` for `a.b.c_pb2` seen from a module in `a.x`; and whether a statement can say so.
fn relative_path(from: &str, wanted: &str) -> (String, bool) {
    let own = module(from);
    let own: Vec<&str> = own.split('.').collect();
    let here = &own[..own.len() - 1];
    let there: Vec<&str> = wanted.split('.').collect();
    let common = here
        .iter()
        .zip(&there[..there.len() - 1])
        .take_while(|(here, there)| here == there)
        .count();
    let dots = ".".repeat(here.len() - common + 1);
    let rest = there[common..].join(".");
    let plain = importable(&rest);
    (format!("{dots}{rest}"), plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(from: &str, target: &str, relative: bool, expect: &str) {
        assert_eq!(statement(from, target, "x", relative).trim_end(), expect);
    }

    #[test]
    fn absolute() {
        check("a.proto", "b.proto", false, "import b_pb2 as x");
        check("a.proto", "p/q/b.proto", false, "from p.q import b_pb2 as x");
        check("a.proto", "p/in/b.proto", false, "x = importlib.import_module('p.in.b_pb2')");
    }

    #[test]
    fn relative() {
        check("a.proto", "b.proto", true, "from . import b_pb2 as x");
        check("p/a.proto", "b.proto", true, "from .. import b_pb2 as x");
        check("p/a.proto", "p/b.proto", true, "from . import b_pb2 as x");
        check("p/q/a.proto", "p/r/s/b.proto", true, "from ..r.s import b_pb2 as x");
        check("a.proto", "q/b.proto", true, "from .q import b_pb2 as x");
        check(
            "p/a.proto",
            "google/protobuf/any.proto",
            true,
            "from google.protobuf import any_pb2 as x",
        );
        check(
            "p/a.proto",
            "p/if/b.proto",
            true,
            "x = importlib.import_module('.if.b_pb2', __package__)",
        );
    }

    #[test]
    fn everything_of_a_module() {
        assert_eq!(star("p/a.proto", "p/b.proto", "x", true), "from .b_pb2 import *\n");
        assert_eq!(star("p/a.proto", "p/b.proto", "x", false), "from p.b_pb2 import *\n");
        assert!(star("p/a.proto", "p/if/b.proto", "x", false).starts_with("globals().update("));
    }
}
