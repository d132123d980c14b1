//! Links in Markdown: files and folders that are there, and headings that are there. What other
//! servers have is not asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};
use std::process::Command;
use std::{fs, str};

use anyhow::{Context, Result, ensure};
use pulldown_cmark::{Event, Parser, Tag, TagEnd};

use crate::process;
use crate::report::Tally;
use crate::workspace::Workspace;

/// All links of all Markdown files that are committed; each file is one check.
pub(crate) fn run(workspace: &Workspace) -> Result<Tally> {
    let pages = read_all(&workspace.root)?;
    let mut tally = Tally::default();
    for (path, page) in &pages {
        let mut good = true;
        for link in &page.links {
            if let Some(fault) = fault(&workspace.root, &pages, path, link) {
                println!("links: {}: {link}: {fault}", path.display());
                good = false;
            }
        }
        tally.count(good);
    }
    Ok(tally)
}

/// A Markdown file.
#[derive(Debug, Default)]
struct Page {
    links: Vec<String>,
    anchors: BTreeSet<String>,
}

fn read_all(root: &Path) -> Result<BTreeMap<PathBuf, Page>> {
    let mut command = Command::new("git");
    command.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.md"]);
    let names = process::output(command.current_dir(root), "git ls-files", process::MINUTE)?;
    let mut pages = BTreeMap::new();
    for name in names.split_terminator('\0') {
        let path = root.join(name);
        // One that was removed stays listed until that is committed.
        if path.is_file() {
            let text = fs::read_to_string(&path).with_context(|| name.to_owned())?;
            pages.insert(PathBuf::from(name), Page::read(&text));
        }
    }
    ensure!(!pages.is_empty(), "git ls-files names no Markdown file");
    Ok(pages)
}

impl Page {
    fn read(text: &str) -> Self {
        let mut page = Self::default();
        let mut heading: Option<String> = None;
        for event in Parser::new(text) {
            match event {
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    page.links.push(dest_url.into_string());
                }
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => {
                    let anchor = anchor(&heading.take().unwrap_or_default());
                    let again = (1..).map(|number| format!("{anchor}-{number}"));
                    let mut names = [anchor.clone()].into_iter().chain(again);
                    let free = names.find(|name| !page.anchors.contains(name));
                    page.anchors.extend(free);
                }
                Event::Text(text) | Event::Code(text) => {
                    if let Some(heading) = &mut heading {
                        heading.push_str(&text);
                    }
                }
                _ => {}
            }
        }
        page
    }
}

/// The name that GitHub gives a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter));
    kept.flat_map(char::to_lowercase)
        .map(|letter| if letter == ' ' { '-' } else { letter })
        .collect()
}

/// What is wrong with a link of a page.
fn fault(root: &Path, pages: &BTreeMap<PathBuf, Page>, page: &Path, link: &str) -> Option<String> {
    if link.contains("://") || link.starts_with("mailto:") {
        return None;
    }
    let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = if path.is_empty() {
        page.to_owned()
    } else {
        let folder = page.parent().unwrap_or(Path::new(""));
        match plain(&folder.join(path)) {
            Some(target) if root.join(&target).exists() => target,
            _ => return Some("there is no such file".to_owned()),
        }
    };
    if anchor.is_empty() {
        return None;
    }
    match pages.get(&target) {
        None => Some("only Markdown files have headings to link to".to_owned()),
        Some(page) if page.anchors.contains(anchor) => None,
        Some(_) => Some(format!("{} has no heading of that name", target.display())),
    }
}

/// The path without `.` and `..`; `None` if it leads out of the folder that it is in.
fn plain(path: &Path) -> Option<PathBuf> {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => plain.push(name),
            Component::ParentDir => {
                if !plain.pop() {
                    return None;
                }
            }
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_as_github_names_them() {
        let page = Page::read("# How it `works`, and why\n\n## TLS & more\n\n## TLS & more\n");
        let anchors: Vec<_> = page.anchors.iter().map(String::as_str).collect();
        assert_eq!(anchors, ["how-it-works-and-why", "tls--more", "tls--more-1"]);
    }

    #[test]
    fn links_that_lead_nowhere() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let text = "# A b\n[1](#a-b) [2](#b) [3](src/main.rs) [4](src/none.rs) [5](https://x.org/#y)\n\
                    [6](src) ![7](src/main.rs#a) [8](../out) `[9](none)` [10](PAGE.md#a-b)\n";
        let pages = BTreeMap::from([(PathBuf::from("PAGE.md"), Page::read(text))]);
        let page = &pages[Path::new("PAGE.md")];
        let faulty = page
            .links
            .iter()
            .filter(|link| fault(root, &pages, Path::new("PAGE.md"), link).is_some());
        let faulty: Vec<_> = faulty.map(String::as_str).collect();
        // The page itself is no file of this folder.
        assert_eq!(faulty, ["#b", "src/none.rs", "src/main.rs#a", "../out", "PAGE.md#a-b"]);
    }
}
