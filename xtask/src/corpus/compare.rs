//! Both compilers on the same files: in one call for many files, and if both refuse these, in calls
//! for the two halves of them, down to the files that each is refused.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::process::{self, Finished};
use crate::python;

/// The programs, and where they may write.
pub(super) struct Compilers {
    pub(super) python: PathBuf,
    pub(super) ours: PathBuf,
    /// The script that looks into modules.
    pub(super) modules: PathBuf,
    pub(super) scratch: PathBuf,
}

/// Files of a package, and what they are searched in.
pub(super) struct Group<'a> {
    pub(super) directories: &'a [PathBuf],
    pub(super) files: &'a [String],
}

#[derive(Default)]
pub(super) struct Counts {
    pub(super) same: usize,
    pub(super) refused: usize,
    /// Refused with the same first error.
    pub(super) same_error: usize,
    pub(super) modules: usize,
    /// Modules that neither compiler's can be imported.
    pub(super) modules_of_neither: usize,
    pub(super) wrong: Vec<String>,
}

/// What a compiler made of some files.
struct Made {
    finished: Finished,
    set: Option<Vec<u8>>,
    modules: PathBuf,
}

impl Made {
    fn is_good(&self) -> bool {
        self.finished.status.is_some_and(|status| status.success())
    }

    /// The first error, without the folder that its file lies in.
    fn first_error(&self, directories: &[PathBuf]) -> String {
        let said = self.finished.stderr.lines();
        let mut errors = said.filter(|line| {
            let log = line.starts_with("WARNING: All log") || line.contains(" parser.cc:");
            !log && !line.contains("warning: ") && !line.is_empty()
        });
        let mut line = errors.next().unwrap_or_default().to_owned();
        for directory in directories {
            line = line.replace(&format!("{}/", directory.display()), "");
        }
        line
    }
}

impl Compilers {
    pub(super) fn compare(&self, group: &Group<'_>, counts: &mut Counts) -> Result<()> {
        let Some(first) = group.files.first() else { return Ok(()) };
        let theirs = {
            let mut command = Command::new(&self.python);
            command.args(["-m", "grpc_tools.protoc"]);
            self.make("theirs", command, group)?
        };
        let ours = {
            let mut command = Command::new(&self.ours);
            command.arg("protoc");
            self.make("ours", command, group)?
        };
        let single = group.files.len() == 1;
        match (theirs.is_good(), ours.is_good()) {
            (true, true) if theirs.set == ours.set => {
                counts.same += group.files.len();
                self.compare_modules(group, &theirs, &ours, counts)
            }
            (true, true) if single => {
                counts.wrong.push(format!("{first}: other descriptors"));
                Ok(())
            }
            (false, false) if single => {
                counts.refused += 1;
                let errors = [&theirs, &ours].map(|it| it.first_error(group.directories));
                counts.same_error += usize::from(errors[0] == errors[1]);
                Ok(())
            }
            (true, false) if single => {
                let said = &ours.finished.stderr;
                counts.wrong.push(format!("{first}: refused: {said}"));
                Ok(())
            }
            (false, true) if single => {
                let said = &theirs.finished.stderr;
                counts.wrong.push(format!("{first}: taken: {said}"));
                Ok(())
            }
            (good, our_good) => {
                let before = counts.wrong.len();
                let (left, right) = group.files.split_at(group.files.len() / 2);
                for files in [left, right] {
                    self.compare(&Group { files, ..*group }, counts)?;
                }
                // What is right one by one may be wrong together.
                if good != our_good && counts.wrong.len() == before {
                    let said = if good { &ours } else { &theirs }.finished.stderr.clone();
                    let count = group.files.len();
                    counts.wrong.push(format!(
                        "{first} and {} more in one call: taken by {} alone: {said}",
                        count - 1,
                        if good { "protoc" } else { "ferrpc" },
                    ));
                }
                Ok(())
            }
        }
    }

    fn make(&self, name: &str, mut command: Command, group: &Group<'_>) -> Result<Made> {
        let folder = self.scratch.join(name);
        let _ = fs::remove_dir_all(&folder);
        let modules = folder.join("modules");
        fs::create_dir_all(&modules)?;
        let set = folder.join("set");
        python::clean(&mut command);
        for directory in group.directories {
            command.arg(format!("-I{}", directory.display()));
        }
        command.args(["--include_imports", "--include_source_info"]);
        command.arg(format!("--descriptor_set_out={}", set.display()));
        for kind in ["python", "pyi", "grpc_python"] {
            command.arg(format!("--{kind}_out={}", modules.display()));
        }
        command.args(group.files);
        let finished = process::finish(&mut command, name, 10 * process::MINUTE)?;
        Ok(Made { finished, set: fs::read(set).ok(), modules })
    }

    fn compare_modules(
        &self,
        group: &Group<'_>,
        theirs: &Made,
        ours: &Made,
        counts: &mut Counts,
    ) -> Result<()> {
        let (theirs, ours) = (self.look_into(&theirs.modules)?, self.look_into(&ours.modules)?);
        let of = group.files.first().map_or("", String::as_str);
        for (name, wanted) in &theirs {
            match ours.get(name) {
                None => counts.wrong.push(format!("{name}: is not written ({of})")),
                Some(found) if found != wanted => {
                    counts.wrong.push(format!("{name}: other content: {found}, not {wanted}"));
                }
                // An exception's name instead of the content.
                Some(found) if found.is_string() && name.ends_with(".py") => {
                    counts.modules_of_neither += 1;
                }
                Some(_) => counts.modules += 1,
            }
        }
        for name in ours.keys().filter(|name| !theirs.contains_key(*name)) {
            counts.wrong.push(format!("{name}: is written by ours alone"));
        }
        Ok(())
    }

    fn look_into(&self, folder: &Path) -> Result<BTreeMap<String, serde_json::Value>> {
        let mut command = Command::new(&self.python);
        command.arg("-B").arg(&self.modules).arg(folder);
        python::clean(&mut command);
        let said = process::output(&mut command, "modules", 10 * process::MINUTE)?;
        let line = |line: &str| serde_json::from_str(line).context("a line of modules.py");
        said.lines().map(line).collect()
    }
}
