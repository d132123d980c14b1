//! The source of a crate, parsed: its files, the modules that they declare, and what of their own
//! crate they refer to.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use syn::visit::{self, Visit};

use super::texts;
use crate::workspace::Workspace;

/// A crate of `crates/`.
pub(super) struct Source {
    pub(super) name: String,
    /// Its files, by their path in `src`.
    pub(super) files: BTreeMap<String, File>,
}

/// What a file says of modules.
#[derive(Default)]
pub(super) struct File {
    /// Declared here without a body: `mod name;`.
    pub(super) declares: BTreeSet<String>,
    /// The modules at the top of the crate that it refers to, other than its own. What is there for
    /// tests alone does not count.
    pub(super) sees: BTreeSet<String>,
    /// Functions that decide something by the text of an error.
    pub(super) decisions: Vec<String>,
}

impl Source {
    /// All crates of `crates/`.
    pub(super) fn read_all(workspace: &Workspace) -> Result<Vec<Self>> {
        let folder = workspace.root.join("crates");
        let mut crates = Vec::new();
        for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let path = entry?.path();
            if path.join("src").is_dir() {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                crates.push(Self::read(name, &path.join("src"))?);
            }
        }
        crates.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(crates)
    }

    fn read(name: String, folder: &Path) -> Result<Self> {
        let mut parsed = BTreeMap::new();
        for path in rust_files(folder)? {
            let text = fs::read_to_string(&path)?;
            let file = syn::parse_file(&text).with_context(|| path.display().to_string())?;
            let path = path.strip_prefix(folder)?.to_string_lossy().into_owned();
            parsed.insert(path, file);
        }
        let top = Top::of(&parsed);
        let files = parsed.iter().map(|(path, file)| (path.clone(), top.look(path, file)));
        Ok(Self { name, files: files.collect() })
    }
}

/// The files below a folder whose name ends with `.rs`, sorted.
pub(super) fn rust_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The module of a file: `a/b.rs` and `a/b/mod.rs` are `a::b`.
pub(super) fn module_of(path: &str) -> Vec<String> {
    let path = path.trim_end_matches(".rs");
    let path = path.strip_suffix("/mod").unwrap_or(path);
    if matches!(path, "lib" | "main") {
        return Vec::new();
    }
    path.split('/').map(str::to_owned).collect()
}

/// The names at the top of a crate: its modules, and what of them it names again.
struct Top {
    modules: BTreeSet<String>,
    named: BTreeMap<String, String>,
}

impl Top {
    fn of(files: &BTreeMap<String, syn::File>) -> Self {
        let modules = files.keys().filter_map(|path| module_of(path).into_iter().next());
        let mut top = Self { modules: modules.collect(), named: BTreeMap::new() };
        for file in ["lib.rs", "main.rs"].iter().filter_map(|root| files.get(*root)) {
            for item in &file.items {
                let syn::Item::Use(item) = item else { continue };
                for path in leaves(&item.tree) {
                    let path = path.strip_prefix(&["crate".to_owned()][..]).unwrap_or(&path);
                    let path = path.strip_prefix(&["self".to_owned()][..]).unwrap_or(path);
                    if let [module, .., name] = path
                        && top.modules.contains(module)
                    {
                        top.named.insert(name.clone(), module.clone());
                    }
                }
            }
        }
        top
    }

    fn look(&self, path: &str, file: &syn::File) -> File {
        let found = File { decisions: texts::decisions(file), ..File::default() };
        let mut look = Look { top: self, module: module_of(path), found };
        look.visit_file(file);
        look.found
    }
}

/// Looks through one file.
struct Look<'a> {
    top: &'a Top,
    /// Where it is: the file's module, and those with a body around it.
    module: Vec<String>,
    found: File,
}

impl Look<'_> {
    fn refer(&mut self, path: &[String]) {
        let Some(absolute) = absolute(&self.module, path) else { return };
        let Some(first) = absolute.first() else { return };
        let module =
            if self.top.modules.contains(first) { Some(first) } else { self.top.named.get(first) };
        if let Some(module) = module
            && self.module.first() != Some(module)
        {
            self.found.sees.insert(module.clone());
        }
    }

    /// Paths in what a macro is given.
    fn tokens(&mut self, tokens: proc_macro2::TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                proc_macro2::TokenTree::Ident(name) => {
                    if colons != 2 {
                        self.refer(&path);
                        path.clear();
                    }
                    path.push(name.to_string());
                    colons = 0;
                }
                proc_macro2::TokenTree::Punct(mark) if mark.as_char() == ':' => colons += 1,
                other => {
                    self.refer(&path);
                    path.clear();
                    colons = 0;
                    if let proc_macro2::TokenTree::Group(group) = other {
                        self.tokens(group.stream());
                    }
                }
            }
        }
        self.refer(&path);
    }
}

impl<'ast> Visit<'ast> for Look<'_> {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if item.content.is_none() {
            self.found.declares.insert(item.ident.to_string());
        }
        if for_tests(&item.attrs) {
            return;
        }
        self.module.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.module.pop();
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if for_tests(&item.attrs) {
            return;
        }
        for path in leaves(&item.tree) {
            self.refer(&path);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Vec<_> = path.segments.iter().map(|part| part.ident.to_string()).collect();
        self.refer(&names);
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.tokens(call.tokens.clone());
        visit::visit_macro(self, call);
    }
}

/// A path from the top of the crate; `None` where it does not begin with `crate`, `self` or `super`.
fn absolute(module: &[String], path: &[String]) -> Option<Vec<String>> {
    let (first, mut rest) = path.split_first()?;
    let mut absolute = match first.as_str() {
        "crate" => Vec::new(),
        "self" => module.to_vec(),
        "super" => module[..module.len().checked_sub(1)?].to_vec(),
        _ => return None,
    };
    while let Some((first, behind)) = rest.split_first()
        && first == "super"
    {
        absolute.pop()?;
        rest = behind;
    }
    absolute.extend_from_slice(rest);
    Some(absolute)
}

/// All paths of a `use`.
fn leaves(tree: &syn::UseTree) -> Vec<Vec<String>> {
    match tree {
        syn::UseTree::Path(path) => {
            let name = path.ident.to_string();
            let below = leaves(&path.tree).into_iter();
            below.map(|rest| [vec![name.clone()], rest].concat()).collect()
        }
        syn::UseTree::Group(group) => group.items.iter().flat_map(leaves).collect(),
        syn::UseTree::Name(name) if name.ident == "self" => vec![Vec::new()],
        syn::UseTree::Name(name) => vec![vec![name.ident.to_string()]],
        syn::UseTree::Rename(name) => vec![vec![name.ident.to_string()]],
        syn::UseTree::Glob(_) => vec![Vec::new()],
    }
}

pub(super) fn for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Path>().is_ok_and(|path| path.is_ident("test"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `client/channel.rs` with this text sees.
    fn seen(text: &str) -> Vec<String> {
        let parse = |text| syn::parse_file(text).expect("it is Rust");
        let mut files = BTreeMap::new();
        files.insert("lib.rs".to_owned(), parse("pub use server::{Server, run as start};"));
        files.insert("server/mod.rs".to_owned(), parse(""));
        files.insert("transport.rs".to_owned(), parse(""));
        files.insert("client/channel.rs".to_owned(), parse(text));
        let top = Top::of(&files);
        top.look("client/channel.rs", &files["client/channel.rs"]).sees.into_iter().collect()
    }

    #[test]
    fn each_way_to_name_another_module() {
        assert_eq!(seen("use crate::server::Server;"), ["server"]);
        assert_eq!(seen("use crate::{Code, server::{self, Routes}};"), ["server"]);
        assert_eq!(seen("use crate::server as other;"), ["server"]);
        assert_eq!(seen("use super::super::server;"), ["server"]);
        assert_eq!(seen("fn f(it: &crate::transport::Io) {}"), ["transport"]);
        assert_eq!(seen("fn f() { g(vec![crate::transport::a()]) }"), ["transport"]);
        assert_eq!(seen("mod inner { use super::super::super::transport; }"), ["transport"]);
        // By a name that the crate gives it at its top.
        assert_eq!(seen("use crate::Server;"), ["server"]);
    }

    #[test]
    fn what_is_no_other_module() {
        assert_eq!(seen("use crate::client::call; use super::attempt; use self::inner;"), [""; 0]);
        assert_eq!(seen("use std::server::a; use server::b;"), [""; 0]);
        assert_eq!(seen("//! [`Server`](crate::server::Server)\n"), [""; 0]);
        assert_eq!(seen("#[cfg(test)] mod tests { use crate::server; }"), [""; 0]);
    }
}
