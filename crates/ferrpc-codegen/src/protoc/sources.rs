//! Where files come from: directories with their virtual names, descriptor sets, and the
//! well-known types that are bundled.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex};

use protox::file::{File, FileResolver, GoogleFileResolver};

use super::editions::{self, Edition};
use super::wellknown;

/// The tree of virtual files.
#[derive(Clone, Debug, Default)]
pub(super) struct Sources {
    /// Virtual prefix and place on disk, in the order they are searched.
    mappings: Vec<(String, PathBuf)>,
    /// Files of descriptor sets, encoded, by name.
    sets: Arc<HashMap<String, Vec<u8>>>,
    /// What was read from disk: the virtual name, the path and the text.
    read: Arc<Mutex<Vec<ReadFile>>>,
    /// A file whose edition ended the compilation.
    unsupported: Arc<Mutex<Option<(String, Edition)>>>,
}

/// A file that was read.
#[derive(Clone, Debug)]
pub(super) struct ReadFile {
    pub(super) name: String,
    pub(super) path: PathBuf,
    pub(super) text: Arc<str>,
}

/// Why an input has no virtual name.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoName {
    Missing,
    Outside,
    Shadowed(PathBuf),
}

impl Sources {
    pub(super) fn new(mappings: Vec<(String, PathBuf)>, sets: HashMap<String, Vec<u8>>) -> Self {
        let mappings = mappings
            .into_iter()
            .map(|(prefix, disk)| (clean_virtual(&prefix), clean(&disk)))
            .collect();
        Self { mappings, sets: Arc::new(sets), ..Self::default() }
    }

    /// The virtual name of an input file, which is given by its path on disk or by that name.
    pub(super) fn input_name(&self, input: &str) -> Result<String, NoName> {
        let path = clean(Path::new(input));
        if !path.exists() {
            let name = clean_virtual(input);
            let known = self.on_disk(&name).is_some()
                || self.sets.contains_key(&name)
                || wellknown::source(&name).is_some();
            return if known { Ok(name) } else { Err(NoName::Missing) };
        }
        let mut shadow = None;
        for (at, (prefix, disk)) in self.mappings.iter().enumerate() {
            let Some(rest) = below(&path, disk) else { continue };
            let name = join_virtual(prefix, &rest);
            let earlier = self.mappings[..at].iter().find_map(|it| disk_path(it, &name));
            match earlier {
                None => return Ok(name),
                Some(earlier) => shadow = Some(earlier),
            }
        }
        match shadow {
            Some(path) => Err(NoName::Shadowed(path)),
            // A file that is there, but not to be reached: a set may have one of the name.
            None if self.sets.contains_key(&clean_virtual(input)) => Ok(clean_virtual(input)),
            None => Err(NoName::Outside),
        }
    }

    /// The path of a virtual file.
    pub(super) fn on_disk(&self, name: &str) -> Option<PathBuf> {
        if !is_clean(name) {
            return None;
        }
        self.mappings.iter().find_map(|mapping| disk_path(mapping, name))
    }

    /// Whether a file can only come from a descriptor set.
    pub(super) fn only_in_set(&self, name: &str) -> bool {
        self.on_disk(name).is_none() && self.sets.contains_key(name)
    }

    /// What was read from disk so far, in order.
    pub(super) fn read(&self) -> Vec<ReadFile> {
        self.read.lock().map(|read| read.clone()).unwrap_or_default()
    }

    /// The file that has an edition, if the compiler met one, and which.
    pub(super) fn unsupported(&self) -> Option<(String, Edition)> {
        self.unsupported.lock().ok()?.clone()
    }
}

impl FileResolver for Sources {
    /// The compiler is given virtual names only.
    fn resolve_path(&self, path: &Path) -> Option<String> {
        path.to_str().map(str::to_owned)
    }

    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        if let Some(path) = self.on_disk(name) {
            let text = fs::read(&path).map_err(protox::Error::new)?;
            let text = String::from_utf8(text).map_err(|_| {
                protox::Error::new(io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("{name}: the file is not UTF-8"),
                ))
            })?;
            // A byte order mark is no part of the text.
            let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
            if let Ok(mut read) = self.read.lock() {
                read.push(ReadFile { name: name.to_owned(), path, text: text.into() });
            }
            if let Some(edition) = editions::find(text) {
                if let Ok(mut unsupported) = self.unsupported.lock() {
                    *unsupported = Some((name.to_owned(), edition.clone()));
                }
                return Err(protox::Error::new(edition));
            }
            return File::from_source(name, text);
        }
        if let Some(encoded) = self.sets.get(name) {
            return File::decode_file_descriptor_proto(encoded.as_slice())
                .map_err(protox::Error::new);
        }
        match wellknown::source(name) {
            Some(text) => File::from_source(name, text),
            None => GoogleFileResolver::new().open_file(name),
        }
    }
}

fn disk_path((prefix, disk): &(String, PathBuf), name: &str) -> Option<PathBuf> {
    let rest = match prefix.as_str() {
        "" => name,
        prefix if prefix == name => "",
        prefix => name.strip_prefix(prefix)?.strip_prefix('/')?,
    };
    let path = match rest {
        "" => disk.clone(),
        rest if disk == Path::new(".") => PathBuf::from(rest),
        rest => disk.join(rest),
    };
    path.is_file().then_some(path)
}

/// What is left of a path below a directory, or empty for the file itself.
fn below(path: &Path, directory: &Path) -> Option<String> {
    let relative_to_here = directory == Path::new(".");
    let rest = match path.strip_prefix(directory) {
        Ok(rest) => rest,
        Err(_) if relative_to_here && path.is_relative() => path,
        Err(_) => return None,
    };
    if rest.components().any(|part| !matches!(part, Component::Normal(_))) {
        return None;
    }
    let parts: Option<Vec<&str>> = rest.iter().map(|part| part.to_str()).collect();
    Some(parts?.join("/"))
}

/// Without `.` and doubled slashes; `..` stays, since a link may be before it.
fn clean(path: &Path) -> PathBuf {
    let parts: PathBuf =
        path.components().filter(|part| !matches!(part, Component::CurDir)).collect();
    if parts.as_os_str().is_empty() { PathBuf::from(".") } else { parts }
}

fn clean_virtual(name: &str) -> String {
    let parts: Vec<&str> =
        name.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    parts.join("/")
}

fn join_virtual(prefix: &str, rest: &str) -> String {
    match (prefix, rest) {
        ("", rest) => rest.to_owned(),
        (prefix, "") => prefix.to_owned(),
        (prefix, rest) => format!("{prefix}/{rest}"),
    }
}

/// Whether a virtual name is one: nothing that would lead out of the directories.
pub(super) fn is_clean(name: &str) -> bool {
    !name.is_empty()
        && !name.contains('\\')
        && !name.contains(|character: char| character.is_control())
        && name.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_elsewhere_are_no_names() {
        for name in ["", "/a", "a//b", "./a", "a/../b", "a\\b", "a\nb"] {
            assert!(!is_clean(name), "{name:?}");
        }
        assert!(is_clean("a/b-c.proto"));
    }

    #[test]
    fn paths_below_a_directory() {
        let check = |path: &str, directory: &str| {
            below(&clean(Path::new(path)), &clean(Path::new(directory)))
        };
        assert_eq!(check("a/b.proto", ".").as_deref(), Some("a/b.proto"));
        assert_eq!(check("./a//b.proto", "a/").as_deref(), Some("b.proto"));
        assert_eq!(check("/x/a/b.proto", "/x").as_deref(), Some("a/b.proto"));
        assert_eq!(check("a/b.proto", "c"), None);
        assert_eq!(check("../b.proto", "."), None);
    }
}
