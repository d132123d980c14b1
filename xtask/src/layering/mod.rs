//! Who may see whom: crates of the workspace, modules of a crate, and where tests lie.
//!
//! ```text
//! crates    imports between crates; what the pure ones must not know
//! walls     imports between the modules of a crate
//! circles   files that need each other; what is kept for the whole process
//! texts     decisions by the text of an error
//! modules   each file is a module of its crate; tests are one program per crate
//! source    what they read: the files of a crate, parsed
//! ```

mod circles;
mod crates;
mod modules;
mod source;
mod texts;
mod walls;

use anyhow::Result;

use self::source::Source;
use crate::report::Tally;
use crate::workspace::Workspace;

/// Checks all of it; each rule on each crate is one check.
pub(crate) fn run(workspace: &Workspace) -> Result<Tally> {
    let mut rules = crates::rules(workspace)?;
    let sources = Source::read_all(workspace)?;
    rules.extend(walls::rules(&sources));
    rules.extend(texts::rules(&sources));
    rules.extend(circles::rules(workspace)?);
    rules.extend(modules::rules(workspace, &sources)?);
    let mut tally = Tally::default();
    for Rule { name, broken } in rules {
        for line in &broken {
            println!("layering: {name}: {line}");
        }
        tally.count(broken.is_empty());
    }
    if tally.failed == 0 {
        println!("layering: all as it should be");
    }
    Ok(tally)
}

/// One rule, and how it is broken.
struct Rule {
    name: &'static str,
    broken: Vec<String>,
}
