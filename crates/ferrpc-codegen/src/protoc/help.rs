//! `--help` and `--notices`.

/// What the program can do.
pub(super) fn text(program: &str) -> String {
    format!("Usage: {program} [OPTION] PROTO_FILES\n{OPTIONS}")
}

const OPTIONS: &str = "\
Compiles .proto files and writes what is asked for:

Where files are found
  -IPATH, --proto_path=PATH     A directory in which inputs and imports are looked for; may be
                                given several times, the first that has a file wins. VIRTUAL=PATH
                                gives the directory, or a file, another name. Without it, the
                                current directory. The well-known types need none.
  --descriptor_set_in=FILES     Descriptor sets that have files which no directory has; several
                                are separated as in PATH.
  @FILE                         Arguments from a file, one a line.

What is written
  --python_out=OUT              Python modules: messages, NAME_pb2.py.
                                  pyi_out           NAME_pb2.pyi as well
                                  relative_imports  modules that work inside of a package
  --pyi_out=OUT                 Types of these modules, NAME_pb2.pyi.
  --grpc_python_out=OUT         Stubs and servicers, NAME_pb2_grpc.py.
                                  grpc_2_0          as now (default)
                                  grpc_1_0          in NAME_pb2.py too, with the beta API
                                  pyi_out           NAME_pb2_grpc.pyi as well
                                  relative_imports  modules that work inside of a package
  --X_out=OUT                   Whatever the program protoc-gen-X writes.
  --X_opt=PARAMETER             A parameter for X; also --X_out=PARAMETER:OUT.
  --plugin=[protoc-gen-X=]PATH  The program for X, if it is not in PATH.
                                OUT is a directory, or a .zip or .jar file.
  -oFILE, --descriptor_set_out=FILE
                                The descriptors of the inputs.
  --include_imports               and of all that they import
  --include_source_info           and places and comments
  --retain_options                and options that are for compilers only
  --edition_defaults_out=FILE   What each feature of the inputs is in each edition.
  --edition_defaults_minimum=EDITION, --edition_defaults_maximum=EDITION
                                  in these editions
  --dependency_out=FILE         A rule for make: what was written depends on what was read.
  --unsafe_allow_out_dir_escape A plugin's files may lie outside of OUT.

Messages
  --encode=TYPE                 Text from standard input to bytes on standard output.
  --deterministic_output          with the same bytes each time
  --decode=TYPE                 Bytes to text.
  --decode_raw                  Bytes of an unknown type to text.

Checks
  --print_free_field_numbers    The numbers that messages do not use.
  --direct_dependencies=FILES   The imports that inputs may have, separated by colons.
  --direct_dependencies_violation_msg=TEXT
                                What is said of others; %s is the import.
  --option_dependencies=FILES, --option_dependencies_violation_msg=TEXT
                                The same for files that are imported for their options.
  --disallow_services           Inputs with services are errors.
  --fatal_warnings              Warnings are errors.
  --error_format=gcc|msvs       How errors look.
  --experimental_editions       Inputs may be of the edition UNSTABLE.
  --enable_codegen_trace, --experimental_allow_proto3_optional
                                Taken, without effect.

  --version, --notices, -h, --help
";

/// Who holds rights in this program.
pub(super) const NOTICES: &str = "\
ferrpc is licensed under MIT or Apache-2.0, at your choice. It is built with crates under MIT,
Apache-2.0 and BSD licences; the repository's Cargo.lock names them all.
";
