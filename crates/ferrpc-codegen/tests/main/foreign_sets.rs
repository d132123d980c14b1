//! `--descriptor_set_in` with sets that nobody would make on purpose: whatever is in them, the
//! compiler ends with a status and writes all or nothing.

use std::fs;
use std::path::{Path, PathBuf};

use crate::directory;

/// Numbers that are the same in each run: xorshift64*.
struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(number).expect("has 31 bits") % below
    }
}

/// A set with everything that a `.proto` file can say, with its imports.
fn good() -> Vec<u8> {
    let protos = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/protos/python");
    let files = ["kinds.proto", "tagged.proto", "importer.proto", "no_syntax.proto"];
    let files: Vec<PathBuf> = files.iter().map(|file| protos.join(file)).collect();
    ferrpc_codegen::descriptor_set(&files, &[protos]).expect("they are right")
}

/// Runs the compiler on a set; returns its status and what it said.
fn run(folder: &Path, set: &[u8], inputs: &[&str], more: &[&str]) -> (i32, String) {
    let path = folder.join("set");
    fs::write(&path, set).expect("can be written");
    let out = folder.join("out");
    let _ = fs::remove_dir_all(&out);
    fs::create_dir(&out).expect("can be created");
    let mut arguments = vec![
        "protoc".to_owned(),
        format!("--descriptor_set_in={}", path.display()),
        format!("--python_out=pyi_out:{}", out.display()),
        format!("--grpc_python_out=pyi_out,grpc_1_0:{}", out.display()),
        format!("--descriptor_set_out={}", folder.join("again").display()),
        "--include_imports".to_owned(),
    ];
    arguments.extend(more.iter().chain(inputs).map(|&it| it.to_owned()));
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let status =
        ferrpc_codegen::protoc::main(&arguments, &mut std::io::empty(), &mut stdout, &mut stderr);
    let said = String::from_utf8(stderr).expect("is text");
    let written = fs::read_dir(&out).expect("is there").count();
    if status == 0 {
        assert!(written > 0);
    } else {
        assert_eq!(status, 1);
        assert_eq!(written, 0, "{said}");
        assert!(said.ends_with('\n'), "no word about it: {said:?}");
    }
    (status, said)
}

#[test]
fn a_good_one() {
    let folder = directory();
    let folder = folder.path();
    let (status, said) = run(folder, &good(), &["kinds.proto", "tagged.proto"], &[]);
    assert_eq!((status, said.as_str()), (0, ""));
}

#[test]
fn cut_off_anywhere() {
    let folder = directory();
    let folder = folder.path();
    let set = good();
    for length in (0..set.len()).step_by(set.len() / 50) {
        let (status, _) = run(folder, &set[..length], &["kinds.proto"], &[]);
        // Cut between two files it is a set that lacks one, or has all that is asked for.
        assert!(status == 1 || length > set.len() / 2);
    }
}

#[test]
fn bits_flipped() {
    let folder = directory();
    let folder = folder.path();
    let set = good();
    let mut random = Random(0x5eed);
    let mut refused = 0;
    for _ in 0..80 {
        let mut set = set.clone();
        for _ in 0..=random.next(4) {
            let at = random.next(set.len());
            set[at] ^= 1 << random.next(8);
        }
        let inputs = ["kinds.proto", "tagged.proto", "importer.proto"];
        refused += run(folder, &set, &inputs, &[]).0;
    }
    assert!(refused > 15, "only {refused} were refused");
}

#[test]
fn bits_flipped_in_what_a_source_imports() {
    let folder = directory();
    let folder = folder.path();
    let source = "syntax = \"proto3\";\nimport \"kinds.proto\";\nimport \"tagged.proto\";\n\
                  message M { kinds.v1.Everything e = 1; tagged.Tagged t = 2; }\n";
    fs::write(folder.join("m.proto"), source).expect("can be written");
    let include = format!("-I{}", folder.display());
    let set = good();
    assert_eq!(run(folder, &set, &["m.proto"], &[&include]).0, 0);
    let mut random = Random(0xf00d);
    for _ in 0..40 {
        let mut set = set.clone();
        let at = random.next(set.len());
        set[at] ^= 1 << random.next(8);
        run(folder, &set, &["m.proto"], &[&include]);
    }
}

#[test]
fn messages_nested_without_end() {
    let folder = directory();
    let folder = folder.path();
    // DescriptorProto.nested_type within itself, 100,000 times.
    let mut message = Vec::new();
    for _ in 0..100_000 {
        let mut outer = b"\x0a\x01A".to_vec();
        outer.push(0x1a);
        length(message.len(), &mut outer);
        outer.extend(&message);
        message = outer;
        if message.len() > 1 << 20 {
            break;
        }
    }
    let mut file = b"\x0a\x07a.proto\x22".to_vec();
    length(message.len(), &mut file);
    file.extend(message);
    let mut set = vec![0x0a];
    length(file.len(), &mut set);
    set.extend(file);
    let (status, _) = run(folder, &set, &["a.proto"], &[]);
    assert_eq!(status, 1);
}

#[test]
fn editions_are_generated_from_sets_and_imported() {
    let folder = directory();
    let folder = folder.path();
    // name, message_type { name: "A" }, syntax: "editions", edition: EDITION_2023.
    let mut file = b"\x0a\x07e.proto\x22\x03\x0a\x01A\x62\x08editions\x70\xe8\x07".to_vec();
    let mut set = vec![0x0a];
    length(file.len(), &mut set);
    set.append(&mut file);
    let (status, said) = run(folder, &set, &["e.proto"], &[]);
    assert_eq!((status, said.as_str()), (0, ""));
    let source = "syntax = \"proto3\";\nimport \"e.proto\";\nmessage B { A a = 1; }\n";
    fs::write(folder.join("b.proto"), source).expect("can be written");
    let include = format!("-I{}", folder.display());
    let (status, said) = run(folder, &set, &["b.proto"], &[&include]);
    assert_eq!((status, said.as_str()), (0, ""));
}

fn length(mut value: usize, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(u8::try_from(value & 0x7f).expect("has 7 bits") | 0x80);
        value >>= 7;
    }
    out.push(u8::try_from(value).expect("has 7 bits"));
}
