//! Files and descriptor sets with seeded changes: whatever comes of them, there is a verdict, soon,
//! and no end of errors; and what is taken can be written and read back.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use ferrpc_compiler::{
    Compilation, EncodeOptions, Severity, Source, SourceTree, WELL_KNOWN_FILES, compile,
};

/// Numbers that are the same in each run: xorshift64*.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(number).expect("has 31 bits") % bound.max(1)
    }

    fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }
}

/// Files that may import each other.
#[derive(Clone, Default)]
struct Tree(HashMap<String, Source>);

impl SourceTree for Tree {
    fn open(&self, path: &str) -> Result<Source, String> {
        let known = WELL_KNOWN_FILES.iter().find(|(name, _)| *name == path);
        let text = || known.map(|(_, text)| Source::Text(text.as_bytes().to_vec()));
        self.0.get(path).cloned().or_else(text).ok_or_else(|| "File not found.".to_owned())
    }
}

/// The trees of the repository's protos, each with the names of its files.
fn trees() -> Vec<(Tree, Vec<String>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/protos");
    let mut trees = vec![(Tree::default(), Vec::new())];
    for (name, text) in WELL_KNOWN_FILES {
        trees[0].0.0.insert((*name).to_owned(), Source::Text(text.as_bytes().to_vec()));
        trees[0].1.push((*name).to_owned());
    }
    for folder in ["codegen", "python", ""] {
        let mut tree = Tree::default();
        let folder = root.join(folder);
        gather(&folder, &folder, &mut tree);
        let mut names: Vec<String> = tree.0.keys().cloned().collect();
        names.sort();
        trees.push((tree, names));
    }
    let cases = fs::read_to_string(root.join("language/cases.txt")).expect("is there");
    for case in cases.split("\n=== ").skip(1) {
        let mut tree = Tree::default();
        let files = case.split("\n>>> ").next().unwrap_or_default();
        for file in files.split("\n--- ").skip(1) {
            let (name, text) = file.split_once('\n').unwrap_or((file, ""));
            tree.0.insert(name.to_owned(), Source::Text(text.as_bytes().to_vec()));
        }
        let mut names: Vec<String> = tree.0.keys().cloned().collect();
        names.sort();
        trees.push((tree, names));
    }
    trees
}

fn gather(folder: &Path, root: &Path, into: &mut Tree) {
    for entry in fs::read_dir(folder).expect("is a folder") {
        let path = entry.expect("can be read").path();
        if path.is_dir() {
            gather(&path, root, into);
        } else if path.extension().is_some_and(|it| it == "proto") {
            let name = path.strip_prefix(root).expect("is below").to_str().expect("is UTF-8");
            let text = fs::read(&path).expect("can be read");
            into.0.insert(name.to_owned(), Source::Text(text));
        }
    }
}

/// Words, numbers, strings, comments and signs, with what is between them.
fn tokens(text: &[u8]) -> Vec<&[u8]> {
    let kind = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'.' => 0,
        b' ' | b'\n' | b'\t' | b'\r' => 1,
        _ => 2,
    };
    text.chunk_by(|one, other| kind(*one) == kind(*other) && kind(*one) != 2).collect()
}

fn changed_text(text: &[u8], random: &mut Random) -> Vec<u8> {
    let mut tokens: Vec<Vec<u8>> = tokens(text).into_iter().map(<[u8]>::to_vec).collect();
    if tokens.is_empty() {
        return Vec::new();
    }
    for _ in 0..=random.below(3) {
        let (at, other) = (random.below(tokens.len()), random.below(tokens.len()));
        match random.below(8) {
            0 => tokens[at].clear(),
            1 => tokens[at] = tokens[other].clone(),
            2 => tokens.swap(at, other),
            3 => tokens.insert(at, tokens[other].clone()),
            4 => tokens[at] = random.pick(WORDS).as_bytes().to_vec(),
            5 => tokens[at].push(u8::try_from(random.below(256)).expect("is a byte")),
            6 => tokens.truncate(at + 1),
            _ => continue,
        }
    }
    tokens.concat()
}

fn changed_bytes(bytes: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len());
        match random.below(5) {
            0 if !bytes.is_empty() => drop(bytes.remove(at)),
            1 => bytes.insert(at, u8::try_from(random.below(256)).expect("is a byte")),
            2 if !bytes.is_empty() => bytes[at] ^= 1 << random.below(8),
            3 if !bytes.is_empty() => bytes[at] = bytes[random.below(bytes.len())],
            _ => bytes.truncate(at + 1),
        }
    }
    bytes
}

/// Compiles; true if the file is taken, and then it can be written and read again.
fn judge(tree: &Tree, name: &str) -> bool {
    match compile(tree, &[name]) {
        Ok((compilation, warnings)) => {
            assert!(warnings.iter().all(|it| it.severity != Severity::Error));
            assert!(warnings.len() <= MOST);
            let mut again = tree.clone();
            for file in compilation.files() {
                let bytes = encoded(&compilation, file);
                again.0.insert(file.to_owned(), Source::Descriptor(bytes));
            }
            let read = compile(&again, &[name]);
            let (read, _) = read.unwrap_or_else(|found| panic!("{name}: {}", found[0]));
            assert_eq!(encoded(&read, name), encoded(&compilation, name), "{name}");
            true
        }
        Err(found) => {
            assert!(found.iter().any(|it| it.severity == Severity::Error));
            assert!(found.len() <= MOST);
            false
        }
    }
}

fn encoded(compilation: &Compilation, name: &str) -> Vec<u8> {
    let mut options = EncodeOptions::default();
    (options.source_info, options.json_names, options.retain_options) = (true, true, true);
    compilation.encode(name, options).expect("was compiled")
}

#[test]
fn texts() {
    let mut random = Random(0x00c0_ffee);
    let trees = trees();
    let mut taken = 0;
    for _ in 0..4_000 {
        let (tree, names) = random.pick(&trees);
        let name = random.pick(names).clone();
        let mut tree = tree.clone();
        if let Some(Source::Text(text)) = tree.0.get_mut(&name) {
            *text = changed_text(text, &mut random);
        }
        // What imports it meets what it became, too.
        let judged = if random.below(3) == 0 { random.pick(names) } else { &name };
        taken += u32::from(judge(&tree, judged));
    }
    assert!(
        (100..3_900).contains(&taken),
        "{taken} are taken: the changes are too small or too large"
    );
}

#[test]
fn descriptors() {
    let mut random = Random(0xdead_beef);
    let mut sets = Vec::new();
    for (tree, names) in trees() {
        for name in names {
            if let Ok((compilation, _)) = compile(&tree, &[name.as_str()]) {
                let files = compilation.files();
                let files = files
                    .map(|file| (file.to_owned(), Source::Descriptor(encoded(&compilation, file))));
                sets.push((Tree(files.collect()), name));
            }
        }
    }
    assert!(sets.len() > 200, "{}", sets.len());
    let mut taken = 0;
    for _ in 0..4_000 {
        let (tree, name) = random.pick(&sets);
        let mut tree = tree.clone();
        if let Some(Source::Descriptor(bytes)) = tree.0.get_mut(name) {
            *bytes = changed_bytes(bytes, &mut random);
        }
        taken += u32::from(judge(&tree, name));
    }
    assert!(
        (100..3_900).contains(&taken),
        "{taken} are taken: the changes are too small or too large"
    );
}

/// More are not told of one file.
const MOST: usize = 10_001;
const WORDS: &[&str] = &[
    "message",
    "enum",
    "service",
    "rpc",
    "returns",
    "stream",
    "optional",
    "required",
    "repeated",
    "oneof",
    "map<",
    "option",
    "reserved",
    "extensions",
    "extend",
    "import",
    "package",
    "syntax",
    "edition",
    "\"2023\"",
    "\"2024\"",
    "group",
    "to",
    "max",
    "string",
    "int32",
    "bytes",
    "double",
    "public",
    "weak",
    "true",
    "inf",
    "default",
    "json_name",
    "packed",
    "features",
    "export",
    "local",
    "{",
    "}",
    "[",
    "]",
    "(",
    ")",
    ";",
    ",",
    "=",
    ".",
    "<",
    ">",
    "-",
    ":",
    "/*",
    "//",
    "\"",
    "'",
    "0",
    "1",
    "-1",
    "19000",
    "536870912",
    "2147483648",
    "99999999999999999999",
    "0x1f",
    "08",
    "1e9999",
    "google.protobuf.Any",
    "google.protobuf.FeatureSet",
];
