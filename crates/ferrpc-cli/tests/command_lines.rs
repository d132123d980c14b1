//! `testdata/protos/command_line/cases.txt`: what protoc says of a command line is what
//! `ferrpc protoc` says, or the file says why not. `python/tests/codegen/command_lines.py` has the
//! form of the file, and shows that protoc says it.

#![cfg(unix)]

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

#[derive(Debug, Default, PartialEq, Eq)]
struct Said {
    status: i32,
    out: String,
    err: String,
    made: Vec<String>,
}

struct Case {
    name: String,
    arguments: Vec<String>,
    stdin: Vec<u8>,
    expect: Said,
}

#[test]
fn what_protoc_says_is_said() {
    let testdata = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/protos/command_line");
    let text = fs::read_to_string(testdata.join("cases.txt")).expect("it is there");
    let cases: Vec<Case> = text.split("\n=== ").skip(1).map(case).collect();
    assert!(cases.len() > 400, "there are {} cases", cases.len());
    let scratch = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("command_lines");
    let next = AtomicUsize::new(0);
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..2)
            .map(|worker| {
                let (cases, next, testdata) = (&cases, &next, &testdata);
                let folder = scratch.join(worker.to_string());
                scope.spawn(move || {
                    let mut wrong = Vec::new();
                    while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let said = run(case, &testdata.join("files"), &folder);
                        if said != case.expect {
                            wrong.push(format!(
                                "{}: {:?}\n  expect {:?}\n  said   {said:?}",
                                case.name, case.arguments, case.expect
                            ));
                        }
                    }
                    wrong
                })
            })
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("it ends")).collect()
    });
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

fn run(case: &Case, files: &Path, folder: &Path) -> Said {
    let _ = fs::remove_dir_all(folder);
    copy(files, folder);
    fs::create_dir(folder.join("out")).expect("it can be made");
    let before = below(folder, folder);
    let mut child = Command::new(env!("CARGO_BIN_EXE_ferrpc"))
        .arg("protoc")
        .args(&case.arguments)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program was built");
    // One that does not read it may be gone already.
    let _ = child.stdin.take().expect("it is piped").write_all(&case.stdin);
    let ended = child.wait_with_output().expect("it ends");
    let mut made = below(folder, folder);
    made.retain(|path| !before.contains(path));
    Said {
        status: ended.status.code().unwrap_or(-1),
        out: latin(&ended.stdout),
        err: latin(&ended.stderr),
        made,
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("it can be made");
    for entry in fs::read_dir(from).expect("it is there") {
        let path = entry.expect("it can be read").path();
        let place = to.join(path.file_name().expect("it has one"));
        match path.is_dir() {
            true => copy(&path, &place),
            false => drop(fs::copy(&path, &place).expect("it can be copied")),
        }
    }
}

/// The paths of all files below a folder, in order.
fn below(folder: &Path, root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("it is there") {
        let path = entry.expect("it can be read").path();
        match path.is_dir() {
            true => found.extend(below(&path, root)),
            false => {
                let path = path.strip_prefix(root).expect("it is below");
                found.push(path.to_string_lossy().into_owned());
            }
        }
    }
    found.sort();
    found
}

fn case(text: &str) -> Case {
    let (head, said) = text.split_once("\n>>> ").expect("protoc said something");
    let said = said.split_once("\n<<< ").map_or(said, |(_, otherwise)| {
        otherwise.split_once('\n').expect("a reason, and what is said").1
    });
    let marked =
        |mark: char| head.lines().filter(move |line| line.starts_with(mark)).map(|line| &line[2..]);
    let words = marked('$').next().expect("it has arguments");
    Case {
        name: head.lines().next().unwrap_or_default().to_owned(),
        arguments: words.split(' ').map(|word| latin(&raw(word))).collect(),
        stdin: joined(marked('<')),
        expect: read_said(said),
    }
}

fn read_said(text: &str) -> Said {
    let marked = |mark: char| {
        text.lines().skip(1).filter(move |line| line.starts_with(mark)).map(|it| &it[2..])
    };
    Said {
        status: text.lines().next().unwrap_or_default().parse().expect("it begins with a status"),
        out: latin(&joined(marked('1'))),
        err: latin(&joined(marked('2'))),
        made: marked('+').map(str::to_owned).collect(),
    }
}

/// Lines with their line feeds, but for those that end in an empty escape.
fn joined<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<u8> {
    let mut out = Vec::new();
    for line in lines {
        out.extend(raw(line));
        if !line.ends_with("{{}}") {
            out.push(b'\n');
        }
    }
    out
}

fn raw(line: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("{{") {
        let (digits, after) = after.split_once("}}").expect("an escape ends");
        out.extend(before.as_bytes());
        for at in (0..digits.len()).step_by(2) {
            out.push(u8::from_str_radix(&digits[at..at + 2], 16).expect("it is a byte"));
        }
        rest = after;
    }
    out.extend(rest.as_bytes());
    out
}

/// Bytes as text that can be compared and shown.
fn latin(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| char::from(byte)).collect()
}
