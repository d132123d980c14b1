//! Both compilers on the same files: in one call for many files, and if both refuse these, in calls
//! for the two halves of them, down to the files that each is refused.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use super::AT_ONCE;
use super::packages::folder_name;
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
    pub(super) package: &'a str,
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
    /// Modules that cannot be imported, whichever compiler wrote them.
    pub(super) modules_of_neither: usize,
    /// Modules that cannot be imported as protoc writes them.
    pub(super) modules_of_ours: usize,
    pub(super) wrong: Vec<String>,
}

/// What a compiler made of some files.
struct Made {
    finished: Finished,
    set: Option<Vec<u8>>,
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
            self.make(THEIRS, command, group)?
        };
        let ours = {
            let mut command = Command::new(&self.ours);
            command.arg("protoc");
            self.make(OURS, command, group)?
        };
        let single = group.files.len() == 1;
        match (theirs.is_good(), ours.is_good()) {
            (true, true) if theirs.set == ours.set => {
                counts.same += group.files.len();
                Ok(())
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
        let modules = self.modules_of(name, group.package);
        fs::create_dir_all(&modules)?;
        let set = self.scratch.join(format!("{name}.set"));
        let _ = fs::remove_file(&set);
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
        Ok(Made { finished, set: fs::read(set).ok() })
    }

    /// Compares what is in the modules of a package, which all lie there by now. `before` are
    /// packages that it may import from.
    pub(super) fn compare_modules(
        &self,
        package: &str,
        before: &[String],
        counts: &mut Counts,
    ) -> Result<()> {
        let names = |compiler| -> Result<Vec<String>> {
            let root = self.modules_of(compiler, package);
            let mut paths = Vec::new();
            super::gather(&root, &["py", "pyi"], &mut paths)?;
            let name = |path: &PathBuf| path.strip_prefix(&root).ok()?.to_str().map(str::to_owned);
            paths.sort();
            Ok(paths.iter().filter_map(name).collect())
        };
        let (wanted, found) = (names(THEIRS)?, names(OURS)?);
        let all = |names: &[String]| names.iter().cloned().collect::<BTreeSet<String>>();
        for name in all(&wanted).symmetric_difference(&all(&found)) {
            counts.wrong.push(format!("{name}: is written by one compiler alone"));
        }
        for names in wanted.chunks(AT_ONCE) {
            let theirs = self.look_into(THEIRS, package, before, names)?;
            let ours = self.look_into(OURS, package, before, names)?;
            for (name, wanted) in &theirs {
                let found = ours.get(name).unwrap_or(&Value::Null);
                match (wanted, found) {
                    // The names of exceptions.
                    (Value::String(_), Value::String(_)) => counts.modules_of_neither += 1,
                    (Value::String(_), Value::Object(_) | Value::Array(_)) => {
                        counts.modules_of_ours += 1;
                    }
                    // A stub may have more: what is imported publicly from further away.
                    (Value::Array(wanted), Value::Array(found))
                        if wanted.iter().all(|it| found.contains(it)) =>
                    {
                        counts.modules += 1;
                    }
                    (wanted, found) if wanted == found => counts.modules += 1,
                    _ => {
                        counts.wrong.push(format!("{name}: other content: {found}, not {wanted}"));
                    }
                }
            }
        }
        Ok(())
    }

    fn modules_of(&self, compiler: &str, package: &str) -> PathBuf {
        self.scratch.join(compiler).join(folder_name(package))
    }

    fn look_into(
        &self,
        compiler: &str,
        package: &str,
        before: &[String],
        names: &[String],
    ) -> Result<BTreeMap<String, Value>> {
        let list = self.scratch.join("names");
        fs::write(&list, names.join("\n"))?;
        let mut command = Command::new(&self.python);
        command.arg("-B").arg(&self.modules).arg(list);
        command.arg(self.modules_of(compiler, package));
        command.args(before.iter().map(|before| self.modules_of(compiler, before)));
        python::clean(&mut command);
        let said = process::output(&mut command, "modules", 10 * process::MINUTE)?;
        let line = |line: &str| serde_json::from_str(line).context("a line of modules.py");
        said.lines().map(line).collect()
    }
}

const THEIRS: &str = "theirs";
const OURS: &str = "ours";
