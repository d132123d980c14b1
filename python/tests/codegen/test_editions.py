"""What editions have flags for: the same files, texts and exit codes."""

import pytest

_FILES = {
    "plain.proto": 'syntax = "proto2"; message Plain {}',
    "options.proto": """
        syntax = "proto2";
        import "google/protobuf/descriptor.proto";
        extend google.protobuf.FileOptions { optional int32 o = 50000; }
        """,
    "redacted.proto": """
        syntax = "proto2";
        import "google/protobuf/descriptor.proto";
        enum Level { OPEN = 0; SECRET = 1 [debug_redact = true]; }
        message Inner { repeated Level level = 1; optional Inner again = 2; }
        message Outer {
          map<string, Inner> inner = 1;
          message Deep {
            extend google.protobuf.FileOptions { optional Outer deep = 50001; }
          }
          extend google.protobuf.FileOptions { optional Outer own = 50002; }
        }
        """,
    "a.proto": """
        edition = "2024";
        import "plain.proto";
        import option "options.proto";
        option (o) = 5;
        message A { Plain plain = 1; }
        """,
    "secret.proto": 'edition = "2024"; import option "redacted.proto"; option (Outer.own) = {};',
    "indirect.proto": 'edition = "2024"; import "secret.proto";',
    "own.proto": """
        edition = "2023";
        import "google/protobuf/cpp_features.proto";
        import "google/protobuf/descriptor.proto";
        extend google.protobuf.FeatureSet { Own own = 9990; }
        message Own {
          bool on = 1 [
            targets = TARGET_TYPE_FIELD,
            retention = RETENTION_RUNTIME,
            feature_support = { edition_introduced: EDITION_2023 },
            edition_defaults = { edition: EDITION_LEGACY, value: "true" },
            edition_defaults = { edition: EDITION_2024, value: "false" }
          ];
        }
        """,
    "wrong.proto": """
        syntax = "proto2";
        import "google/protobuf/descriptor.proto";
        extend google.protobuf.FeatureSet { optional int32 wrong = 9990; }
        """,
}
_LINES = [
    "-oset a.proto",
    "-oset --option_dependencies= a.proto",
    "-oset --option_dependencies=x:options.proto a.proto",
    "-oset --option_dependencies=x --option_dependencies_violation_msg=no:%s:%s a.proto",
    "-oset --option_dependencies=plain.proto --direct_dependencies=plain.proto a.proto",
    "-oset --option_dependencies=a --option_dependencies=b a.proto",
    "-oset secret.proto",
    "-oset indirect.proto",
    "--edition_defaults_out=set google/protobuf/descriptor.proto",
    "--edition_defaults_out=set own.proto",
    "--edition_defaults_out=set google/protobuf/go_features.proto own.proto",
    "--edition_defaults_out=set --edition_defaults_maximum=2023 own.proto",
    "--edition_defaults_out=set --edition_defaults_minimum=PROTO3 a.proto",
    "--edition_defaults_out=set --edition_defaults_maximum=UNSTABLE own.proto -oother",
    "--edition_defaults_out=set --edition_defaults_minimum=MAX own.proto",
    "--edition_defaults_out=set --edition_defaults_minimum=1_TEST_ONLY own.proto",
    "--edition_defaults_out=set --edition_defaults_minimum=2030 own.proto",
    "--edition_defaults_out=set --edition_defaults_minimum= own.proto",
    "--edition_defaults_out=set --edition_defaults_out=set own.proto",
    "--edition_defaults_out= own.proto",
    "--edition_defaults_out=set plain.proto",
    "--edition_defaults_out=set wrong.proto",
    "--edition_defaults_out=set",
    "--edition_defaults_out=nowhere/set own.proto",
    "--edition_defaults_minimum=2023 own.proto",
]


@pytest.mark.parametrize("line", _LINES)
def test_a_command_line(compiler, official, tmp_path, line):
    found = []
    for one, name in ((compiler, "ours"), (official, "theirs")):
        folder = tmp_path / name
        folder.mkdir()
        for file, text in _FILES.items():
            (folder / file).write_text(text)
        done = one.run("-I.", *line.split(), cwd=folder)
        made = {it.name: it.read_bytes() for it in folder.iterdir() if it.name not in _FILES}
        found.append((done.returncode, done.stderr.decode(), made))
    assert found[0] == found[1]
