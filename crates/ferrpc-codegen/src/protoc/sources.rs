//! Where files come from: directories with their virtual names, descriptor sets, and the
//! well-known types that are bundled.

use std::collections::HashMap;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::sync::Mutex;

use ferrpc_compiler::{Source, SourceTree, WELL_KNOWN_FILES};

use super::report::describe;

/// The tree of virtual files.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    /// Virtual prefix and place on disk, in the order they are searched.
    mappings: Vec<(String, PathBuf)>,
    /// Files of descriptor sets, encoded, by name.
    sets: HashMap<String, Vec<u8>>,
    /// The paths of what was read from disk.
    read: Mutex<Vec<PathBuf>>,
}

/// Why an input has no virtual name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoName {
    Missing,
    Directory,
    Outside,
    Shadowed(PathBuf),
}

impl Sources {
    pub(crate) fn new(mappings: Vec<(String, PathBuf)>, sets: HashMap<String, Vec<u8>>) -> Self {
        let mappings = mappings
            .into_iter()
            .map(|(prefix, disk)| (clean_virtual(&prefix), clean(&disk)))
            .collect();
        Self { mappings, sets, ..Self::default() }
    }

    /// The virtual name of an input file, which is given by its path on disk or by that name.
    pub(crate) fn input_name(&self, input: &str) -> Result<String, NoName> {
        let path = clean(Path::new(input));
        if !path.exists() {
            let name = clean_virtual(input);
            let known = self.on_disk(&name).is_some()
                || self.sets.contains_key(&name)
                || well_known(&name).is_some();
            return if known { Ok(name) } else { Err(NoName::Missing) };
        }
        if path.is_dir() {
            return Err(NoName::Directory);
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
    pub(crate) fn on_disk(&self, name: &str) -> Option<PathBuf> {
        if !is_clean(name) {
            return None;
        }
        self.mappings.iter().find_map(|mapping| disk_path(mapping, name))
    }

    /// Whether a file comes from a descriptor set.
    pub(super) fn is_in_set(&self, name: &str) -> bool {
        self.sets.contains_key(name) && self.on_disk(name).is_none()
    }

    /// What was read from disk so far, in order.
    pub(crate) fn read(&self) -> Vec<PathBuf> {
        self.read.lock().map(|read| read.clone()).unwrap_or_default()
    }
}

impl SourceTree for Sources {
    fn open(&self, name: &str) -> Result<Source, String> {
        if let Some(path) = self.on_disk(name) {
            let text = fs::read(&path).map_err(|error| describe(&error))?;
            if let Ok(mut read) = self.read.lock() {
                read.push(path);
            }
            return Ok(Source::Text(text));
        }
        if let Some(encoded) = self.sets.get(name) {
            return Ok(Source::Descriptor(encoded.clone()));
        }
        match well_known(name) {
            Some(text) => Ok(Source::Text(text.into())),
            None => Err("File not found.".to_owned()),
        }
    }
}

/// The text of a well-known file, which is found behind all directories that are given.
fn well_known(name: &str) -> Option<&'static str> {
    WELL_KNOWN_FILES.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
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
