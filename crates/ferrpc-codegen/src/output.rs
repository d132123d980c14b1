//! Writing what was generated, and telling cargo about it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::Error;
use crate::builder::Options;
use crate::layout::Package;

/// A generated file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GeneratedFile {
    /// Its path below the output directory.
    pub path: String,
    /// Its content.
    pub content: String,
}

/// Writes the files of packages and the file that includes them, with the packages that earlier
/// calls of this process wrote into the directory.
pub(crate) fn write_with_tree(
    directory: &Path,
    options: &Options,
    mut files: Vec<GeneratedFile>,
    packages: Vec<Package>,
) -> Result<(), Error> {
    fs::create_dir_all(directory).map_err(|error| Error::write(directory, error))?;
    let key = fs::canonicalize(directory).map_err(|error| Error::write(directory, error))?;
    let mut earlier = EARLIER.lock().unwrap_or_else(PoisonError::into_inner);
    let earlier = earlier.entry(key.join(&options.include_file)).or_default();
    for file in &files {
        if earlier.iter().any(|it| it.content.path == file.path && it.content != *file) {
            return Err(Error::option(format!(
                "an earlier call of this build script wrote {} with other files or options; compile \
                 all files of a package in one call, or into another out_dir",
                file.path
            )));
        }
    }
    let mut all: Vec<Earlier> = earlier.clone();
    for (package, content) in packages.into_iter().zip(&files) {
        if !all.iter().any(|it| it.package == package) {
            all.push(Earlier { package, content: content.clone() });
        }
    }
    let packages: Vec<Package> = all.iter().map(|it| it.package.clone()).collect();
    files.push(options.tree(&packages));
    write(directory, &files)?;
    *earlier = all;
    Ok(())
}

/// What a call wrote.
#[derive(Clone)]
struct Earlier {
    package: Package,
    content: GeneratedFile,
}

/// By the path of the file that includes them all.
static EARLIER: Mutex<BTreeMap<PathBuf, Vec<Earlier>>> = Mutex::new(BTreeMap::new());

/// Writes a file beside the generated ones, unless it is as it should be.
pub(crate) fn write_single(path: &Path, content: &[u8]) -> Result<(), Error> {
    if fs::read(path).is_ok_and(|old| old == content) {
        return Ok(());
    }
    fs::write(path, content).map_err(|error| Error::write(path, error))
}

/// Writes all files or, as far as the file system lets us, none: each is written beside its place
/// first, and only when all are there they are renamed. A file that is as it should be is left
/// alone, so that what depends on it is not built again.
fn write(directory: &Path, files: &[GeneratedFile]) -> Result<(), Error> {
    let mut staged = Vec::new();
    let result = files.iter().try_for_each(|file| {
        let path = directory.join(&file.path);
        if fs::read(&path).is_ok_and(|old| old == file.content.as_bytes()) {
            return Ok(());
        }
        // The process id keeps two builds that share a directory apart.
        let temporary = directory.join(format!(".{}.{}", file.path, std::process::id()));
        staged.push((temporary.clone(), path));
        fs::write(&temporary, &file.content).map_err(|error| Error::write(&temporary, error))
    });
    let result = result.and_then(|()| {
        staged.iter().try_for_each(|(temporary, path)| {
            fs::rename(temporary, path).map_err(|error| Error::write(path, error))
        })
    });
    if result.is_err() {
        for (temporary, _) in &staged {
            // Some were renamed already, some never written.
            let _ = fs::remove_file(temporary);
        }
    }
    result
}

/// The lines for cargo: run again when a file that was read changes, or when something comes or
/// goes in an include directory, since a new file may stand before one that was read.
///
/// An include directory that holds the package itself, or is outside of it, is left out: cargo
/// looks at every file below, and would find the build's own.
pub(crate) fn rerun_lines(read: &[PathBuf], includes: &[impl AsRef<Path>]) -> Vec<String> {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let watched = includes.iter().map(AsRef::as_ref).filter(|include| {
        let (Some(package), Ok(include)) = (&package, include.canonicalize()) else {
            return false;
        };
        let package = package.canonicalize().unwrap_or_else(|_| package.clone());
        include != package && include.starts_with(&package)
    });
    read.iter()
        .map(PathBuf::as_path)
        .chain(watched)
        .map(|path| format!("cargo:rerun-if-changed={}", path.display()))
        .collect()
}

/// `OUT_DIR`, which cargo sets for build scripts.
pub(crate) fn cargo_out_dir() -> Result<PathBuf, Error> {
    std::env::var_os("OUT_DIR").map(PathBuf::from).ok_or_else(|| {
        Error::write(
            Path::new("$OUT_DIR"),
            io::Error::new(
                io::ErrorKind::NotFound,
                "cargo sets OUT_DIR for build scripts only; elsewhere call Builder::out_dir",
            ),
        )
    })
}
