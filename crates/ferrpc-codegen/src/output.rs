//! Writing what was generated, and telling cargo about it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::Error;

/// A generated file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GeneratedFile {
    /// Its path below the output directory.
    pub path: String,
    /// Its content.
    pub content: String,
}

/// Writes all files or, as far as the file system lets us, none: each is written beside its place
/// first, and only when all are there they are renamed. A file that is as it should be is left
/// alone, so that what depends on it is not built again.
pub(crate) fn write(directory: &Path, files: &[GeneratedFile]) -> Result<(), Error> {
    fs::create_dir_all(directory).map_err(|error| Error::write(directory, error))?;
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
