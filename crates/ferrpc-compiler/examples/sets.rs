//! Descriptor sets of many files, for comparisons: each line of the input is the file to write, the
//! import paths of the files to compile (with commas), and the directories to search (with colons).

use std::collections::HashSet;
use std::fs;
use std::io::{self, BufRead};
use std::path::PathBuf;

use ferrpc_compiler::{EncodeOptions, Source, SourceTree, compile};

struct Directories(Vec<PathBuf>);

impl SourceTree for Directories {
    fn open(&self, path: &str) -> Result<Source, String> {
        let found = self.0.iter().find_map(|directory| fs::read(directory.join(path)).ok());
        found.map(Source::Text).ok_or_else(|| "File not found.".to_owned())
    }
}

fn main() -> io::Result<()> {
    for line in io::stdin().lock().lines() {
        let line = line?;
        let mut parts = line.split('\t');
        let mut next = || parts.next().unwrap_or_default().to_owned();
        let (out, names, directories) = (next(), next(), next());
        let retain = next() == "retain";
        let tree = Directories(directories.split(':').map(PathBuf::from).collect());
        let names: Vec<&str> = names.split(',').collect();
        let (text, set) = match compile(&tree, &names) {
            // As protoc does without --experimental_editions.
            Ok((compilation, warnings))
                if names.iter().any(|name| compilation.edition(name) == Some(UNSTABLE)) =>
            {
                (warnings, None)
            }
            Ok((compilation, warnings)) => {
                let mut options = EncodeOptions::default();
                options.source_info = true;
                options.json_names = true;
                options.retain_options = retain;
                let mut set = Vec::new();
                let mut seen = HashSet::new();
                for name in compilation.files().filter(|name| seen.insert(*name)) {
                    let bytes = compilation.encode(name, options).unwrap_or_default();
                    set.push(0x0a);
                    let mut length = bytes.len();
                    while length >= 0x80 {
                        set.push((length & 0x7f) as u8 | 0x80);
                        length >>= 7;
                    }
                    set.push(length as u8);
                    set.extend(bytes);
                }
                (warnings, Some(set))
            }
            Err(faults) => (faults, None),
        };
        let lines: String = text.iter().map(|it| format!("{it}\n")).collect();
        fs::write(format!("{out}.err"), lines)?;
        if let Some(set) = set {
            fs::write(&out, set)?;
        }
    }
    Ok(())
}

const UNSTABLE: i32 = 9999;
