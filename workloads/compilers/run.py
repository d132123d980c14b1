"""Generators that protoc starts as plugins, and packages that call grpc_tools: what they write must
be the same to the byte. And the modules of grpc_tools itself, used."""

import hashlib
import importlib
import pathlib
import re
import subprocess
import sys

import grpc
import grpc_tools.command
from grpc_tools import protoc
from workload import say, serving

_LIBRARY = '''
syntax = "proto3";

package library.v1;

import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";
import "library/v1/common.proto";

// A shelf has books.
message Shelf {
  string name = 1;
  repeated Book books = 2;
  map<string, int64> counts = 3;
  optional int32 height = 4;
  reserved 7 to 9;
  reserved "old";
}

message Book {
  oneof id {
    string isbn = 1;
    uint64 number = 2;
  }
  Kind kind = 3;
  google.protobuf.Timestamp printed = 4;
  google.protobuf.StringValue title = 5;

  message Page {
    bytes text = 1;
  }
  repeated Page pages = 6 [deprecated = true];
}

// Lends books.
service Library {
  // One shelf.
  rpc GetShelf(Shelf) returns (Shelf);
  rpc ListBooks(Shelf) returns (stream Book);
  rpc AddBooks(stream Book) returns (Shelf);
  rpc Swap(stream Book) returns (stream Book);
}
'''
_COMMON = '''
syntax = "proto3";

package library.v1;

enum Kind {
  KIND_UNSPECIFIED = 0;
  KIND_NOVEL = 1;
  KIND_ATLAS = 2;
}
'''
_OLD = '''
syntax = "proto2";

package old;

message Old {
  required string name = 1;
  optional int32 number = 2 [default = 7];
  optional group Inner = 3 {
    optional bool set = 4;
  }
  extensions 100 to 199;
}

extend Old {
  optional string more = 100;
}
'''


_IMPORTS = re.compile("^(?:import|from) .*(?:library|common|old).*", re.M)
_LIBRARY_FILES = ["library/v1/library.proto", "library/v1/common.proto"]


def _compile(name, *options, files=(*_LIBRARY_FILES, "old.proto")):
    folder = pathlib.Path("out") / name
    folder.mkdir(parents=True)
    options = [option.replace("OUT", str(folder)) for option in options]
    line = [sys.executable, "-m", "grpc_tools.protoc", "-Iprotos", *options, *files]
    done = subprocess.run(line, capture_output=True, text=True)
    say(name, "status", done.returncode, done.stderr.strip()[-500:])
    return folder


def _protoc():
    """grpc_tools as a program."""
    path = pathlib.Path("protoc")
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m grpc_tools.protoc "$@"\n')
    path.chmod(0o755)
    return path.absolute()


def _say_files(name, folder):
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
            say(f"{name} {path.relative_to(folder)}", digest)


def main():
    for name, text in {
        "library/v1/library.proto": _LIBRARY,
        "library/v1/common.proto": _COMMON,
        "old.proto": _OLD,
    }.items():
        path = pathlib.Path("protos") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for name, options in {
        "mypy-protobuf": ["--mypy_out=OUT", "--mypy_grpc_out=OUT"],
        "mypy-protobuf quiet": ["--mypy_out=quiet,relax_strict_optional_primitives:OUT"],
        "grpclib": ["--grpclib_python_out=OUT"],
    }.items():
        _say_files(name, _compile(name, *options))
    # It does not know proto2.
    better = _compile("betterproto2", "--python_betterproto2_out=OUT", files=_LIBRARY_FILES)
    _say_files("betterproto2", better)
    # What the compilers write in Python is not the same text; see below for what it does.
    out = _compile("python", "--python_out=OUT", "--grpc_python_out=OUT", "--pyi_out=OUT")
    say("python", sorted(str(path.relative_to(out)) for path in out.rglob("*.py*")))
    line = ["protol", "--in-place", "--python-out", str(out), "--create-package", "protoc"]
    line += ["--protoc-path", str(_protoc()), "--proto-path", "protos", *_LIBRARY_FILES]
    done = subprocess.run(line, capture_output=True, text=True)
    say("protoletariat", done.returncode, done.stderr.strip()[-500:])
    for path in sorted(out.rglob("*_pb2*.py")):
        say("protoletariat", path.relative_to(out), _IMPORTS.findall(path.read_text()))

    sys.path.insert(0, "protos")
    grpc_tools.command.build_package_protos("protos", strict_mode=True)
    say(
        "build_package_protos",
        sorted(path.name for path in pathlib.Path("protos").rglob("*_pb2*.py")),
    )
    messages, services = grpc.protos_and_services("library/v1/library.proto")
    say("protos_and_services", messages.Shelf.DESCRIPTOR.full_name, services.LibraryStub.__name__)
    say("main", protoc.main(["protoc", "-Iprotos", "--python_out=out", "none.proto"]) != 0)
    old = importlib.import_module("old_pb2")
    message = old.Old(name="a")
    message.Extensions[old.more] = "b"
    message.inner.set = True
    say("old", message.number, old.Old.FromString(message.SerializeToString()) == message)

    class Library(services.LibraryServicer):
        def GetShelf(self, request, context):
            return request

        def ListBooks(self, request, context):
            yield from request.books

        def AddBooks(self, requests, context):
            return messages.Shelf(books=list(requests))

        def Swap(self, requests, context):
            yield from requests

    def add(server):
        services.add_LibraryServicer_to_server(Library(), server)

    with serving(add=[add]) as address, grpc.insecure_channel(address) as channel:
        stub = services.LibraryStub(channel)
        books = [messages.Book(number=number) for number in range(5)]
        shelf = messages.Shelf(name="s", books=books, counts={"a": 1})
        say("get", stub.GetShelf(shelf) == shelf)
        say("list", list(stub.ListBooks(shelf)) == books)
        say("add", len(stub.AddBooks(iter(books)).books))
        say("swap", [book.number for book in stub.Swap(iter(books))])


main()
