//! Files before they are written: by place, with the insertion points of each; and then all of
//! them or none.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::archive;
use super::parallel::each;
use super::report::{Failure, describe};
use super::sources::is_clean;

/// All that a run will write.
#[derive(Debug)]
pub(super) struct Outputs {
    allow_escape: bool,
    /// Directories and archives with their files, in order of their first use.
    places: Vec<(String, Files)>,
    /// Files with paths of their own.
    single: Vec<(PathBuf, Vec<u8>)>,
}

#[derive(Debug, Default)]
struct Files {
    by_name: BTreeMap<String, String>,
}

impl Outputs {
    pub(super) fn new(allow_escape: bool) -> Self {
        Self { allow_escape, places: Vec::new(), single: Vec::new() }
    }

    pub(super) fn single(&mut self, path: &Path, content: Vec<u8>) {
        self.single.push((path.to_owned(), content));
    }

    pub(super) fn add(&mut self, place: &str, name: &str, content: String) -> Result<(), Failure> {
        if name.is_empty() || !(is_clean(name) || self.allow_escape) {
            return Err(Failure::message(format!(
                "{name}: The file would not be inside of the output directory."
            )));
        }
        match self.files(place).by_name.insert(name.to_owned(), content) {
            None => Ok(()),
            Some(_) => {
                Err(Failure::message(format!("{name}: Tried to write the same file twice.")))
            }
        }
    }

    /// Puts lines before the line that marks the point, as far to the right as it is.
    pub(super) fn insert(
        &mut self,
        place: &str,
        name: &str,
        point: &str,
        content: &str,
    ) -> Result<(), Failure> {
        let Some(file) = self.files(place).by_name.get_mut(name) else {
            let why = format!("{name}: Tried to insert into file that doesn't exist.");
            return Err(Failure::message(why));
        };
        let magic = format!("@@protoc_insertion_point({point})");
        let Some(at) = file.find(&magic) else {
            let why = format!("{name}: insertion point \"{point}\" not found.");
            return Err(Failure::message(why));
        };
        let line = file[..at].rfind('\n').map_or(0, |end| end + 1);
        let indent: String =
            file[line..].chars().take_while(|character| matches!(character, ' ' | '\t')).collect();
        let mut inserted = String::new();
        for added in content.lines() {
            if !added.is_empty() {
                inserted.push_str(&indent);
                inserted.push_str(added);
            }
            inserted.push('\n');
        }
        file.insert_str(line, &inserted);
        Ok(())
    }

    /// Makes the place known, so that an archive is written even if nothing comes into it.
    fn files(&mut self, place: &str) -> &mut Files {
        let at = self.places.iter().position(|(known, _)| known == place).unwrap_or_else(|| {
            self.places.push((place.to_owned(), Files::default()));
            self.places.len() - 1
        });
        &mut self.places[at].1
    }

    /// A rule for `make`: what is written depends on what was read.
    pub(super) fn dependencies(&self, read: &[PathBuf]) -> String {
        let mut targets: Vec<String> = Vec::new();
        for (place, files) in &self.places {
            if is_archive(place) {
                targets.push(place.clone());
            } else {
                let names = files.by_name.keys();
                targets.extend(names.map(|name| Path::new(place).join(name).display().to_string()));
            }
        }
        targets.extend(self.single.iter().map(|(path, _)| path.display().to_string()));
        let targets: Vec<_> = targets.iter().map(|target| escape(target)).collect();
        let read: Vec<_> = read.iter().map(|path| escape(&path.display().to_string())).collect();
        format!("{}: {}", targets.join(" \\\n"), read.join("\\\n "))
    }

    pub(super) fn write(self) -> Result<(), Failure> {
        let mut files = Vec::new();
        let mut directories = Vec::new();
        for (place, content) in self.places {
            if is_archive(&place) {
                files.push((PathBuf::from(&place), archive::bytes(&place, &content.by_name)));
                continue;
            }
            if !Path::new(&place).is_dir() {
                let slash = if place.is_empty() || place.ends_with('/') { "" } else { "/" };
                let why = match Path::new(&place).exists() {
                    true => "Not a directory",
                    false => "No such file or directory",
                };
                return Err(Failure::message(format!("{place}{slash}: {why}")));
            }
            for (name, text) in content.by_name {
                let path = Path::new(&place).join(&name);
                directories.extend(path.parent().map(Path::to_owned));
                files.push((path, text.into_bytes()));
            }
        }
        files.extend(self.single);
        let made = make(&directories)?;
        write_all(&files).inspect_err(|_| {
            for directory in made.iter().rev() {
                // One with files in it was in use by somebody else.
                let _ = fs::remove_dir(directory);
            }
        })
    }
}

/// Makes directories; returns those that were not there.
fn make(directories: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut made = Vec::new();
    let mut known: HashSet<&Path> = HashSet::new();
    for directory in directories {
        let missing: Vec<&Path> = directory
            .ancestors()
            .take_while(|path| !path.as_os_str().is_empty() && known.insert(path) && !path.exists())
            .collect();
        for path in missing.into_iter().rev() {
            fs::create_dir(path).map_err(|error| Failure::io(path.display(), &error))?;
            made.push(path.to_owned());
        }
    }
    Ok(made)
}

/// Where a file is written first, and where it comes to be.
enum Staged {
    Beside {
        temporary: PathBuf,
        place: PathBuf,
    },
    /// What is no plain file (`/dev/stdout`, a pipe) has no place beside it.
    There,
}

/// Writes each file beside its place, and renames them when all are there.
fn write_all(files: &[(PathBuf, Vec<u8>)]) -> Result<(), Failure> {
    let staged = each(files, |(path, content)| (path, stage(path, content)));
    let mut result = Ok(());
    let mut all: Vec<(&PathBuf, Staged)> = Vec::new();
    for (path, one) in staged {
        match one {
            Ok(staged) => all.push((path, staged)),
            Err(error) => result = result.and(Err((path, error))),
        }
    }
    if result.is_ok() {
        result = files.iter().zip(&all).try_for_each(|((path, content), (_, staged))| {
            match staged {
                Staged::There => fs::write(path, content),
                Staged::Beside { temporary, place } => rename(temporary, place),
            }
            .map_err(|error| (path, error))
        });
    }
    result.map_err(|(path, error)| {
        for (_, staged) in &all {
            if let Staged::Beside { temporary, .. } = staged {
                // Some were renamed.
                let _ = fs::remove_file(temporary);
            }
        }
        Failure::message(format!("{}: {}", path.display(), describe(&error)))
    })
}

fn stage(path: &Path, content: &[u8]) -> io::Result<Staged> {
    let place = match fs::symlink_metadata(path) {
        Err(_) => path.to_owned(),
        Ok(found) if found.is_file() => path.to_owned(),
        Ok(_) if path.is_dir() => return Err(is_a_directory()),
        // Links stay links: who made one wants the file behind it.
        Ok(found) if found.is_symlink() && !path.exists() => {
            fs::read_link(path).map(|target| path.parent().unwrap_or(Path::new("")).join(target))?
        }
        Ok(found) if found.is_symlink() && path.is_file() => fs::canonicalize(path)?,
        Ok(_) => return Ok(Staged::There),
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}.{}", std::process::id()));
    fs::write(&temporary, content).inspect_err(|_| {
        // It may have been begun.
        let _ = fs::remove_file(&temporary);
    })?;
    Ok(Staged::Beside { temporary, place })
}

fn rename(temporary: &Path, place: &Path) -> io::Result<()> {
    match fs::rename(temporary, place) {
        // A link into another file system.
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            fs::copy(temporary, place)?;
            fs::remove_file(temporary)
        }
        other => other,
    }
}

fn is_a_directory() -> io::Error {
    io::Error::from(io::ErrorKind::IsADirectory)
}

fn is_archive(place: &str) -> bool {
    [".zip", ".jar", ".srcjar"].iter().any(|ending| place.ends_with(ending))
}

/// For `make`, which splits at spaces.
fn escape(path: &str) -> String {
    path.replace(' ', "\\ ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn insertions_stand_before_their_point_in_the_order_they_came() {
        let mut outputs = Outputs::new(false);
        let text = "a\n  # @@protoc_insertion_point(x)\nb\n".to_owned();
        outputs.add("d", "f.py", text).expect("is new");
        outputs.insert("d", "f.py", "x", "one\n\ntwo\n").expect("the point is there");
        outputs.insert("d", "f.py", "x", "three\n").expect("it is still there");
        assert_eq!(
            outputs.files("d").by_name["f.py"],
            "a\n  one\n\n  two\n  three\n  # @@protoc_insertion_point(x)\nb\n"
        );
        outputs.insert("d", "f.py", "y", "").expect_err("there is no such point");
        outputs.insert("d", "g.py", "x", "").expect_err("there is no such file");
        outputs.add("d", "f.py", String::new()).expect_err("is there");
        outputs.add("d", "../f.py", String::new()).expect_err("leads out");
    }
}
