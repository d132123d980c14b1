"""Imports modules and prints what is in each, a line of JSON a module.

python modules.py LIST FOLDER...

LIST has the paths of modules relative to the first folder, one a line. The lines of two folders are the same if the
modules are good for the same. A module that cannot be imported has its exception's name in the place
of its content.
"""

import ast
import contextlib
import hashlib
import importlib
import io
import json
import os
import re
import sys
import warnings

warnings.simplefilter("ignore")
folder = sys.argv[2]
sys.path[:0] = sys.argv[2:]

from google.protobuf import descriptor_pb2  # noqa: E402

# Imported by what grpcio-tools writes, for a warning that it never gives.
NO_COMMENT = ("Missing associated documentation", "Override the methods of ", "Handles /")
UNUSED = {"warnings", "first_version_is_lower"}


class Channel:
    """Remembers the calls that a stub prepares."""

    def __init__(self):
        self.made = {}

    def __getattr__(self, kind):
        def make(path, request_serializer, response_deserializer, **more):
            self.made[path] = [kind, read_by(response_deserializer), sorted(more)]
            return path

        return make


class Server:
    def __init__(self):
        self.added = {}

    def add_generic_rpc_handlers(self, handlers):
        pass

    def add_registered_method_handlers(self, service, handlers):
        for name, it in handlers.items():
            self.added[f"{service}/{name}"] = [
                it.request_streaming,
                it.response_streaming,
                read_by(it.request_deserializer),
            ]


def read_by(function):
    return function.__self__.DESCRIPTOR.full_name


def documented(thing):
    """The docstring; nothing for the words that stand where there is no comment.

    Without spaces and backslashes: protoc does not escape these, so lines that end in one are joined.
    """
    text = (thing.__doc__ or "").strip()
    return "" if text.startswith(NO_COMMENT) else re.sub(r"[\\\s]+", "", text)


def stub_names(body, scope=""):
    """What a stub defines. What it imports under names of its own is not counted."""
    for node in body:
        if isinstance(node, ast.ClassDef):
            yield scope + node.name
            yield from stub_names(node.body, f"{scope}{node.name}.")
        elif isinstance(node, ast.FunctionDef):
            yield scope + node.name
        elif isinstance(node, ast.AnnAssign):
            yield scope + ast.unparse(node.target)
        elif isinstance(node, ast.ImportFrom):
            yield from (scope + it.asname for it in node.names if it.asname and it.asname[0] != "_")


def digest(message):
    return hashlib.sha256(message.SerializeToString(deterministic=True)).hexdigest()


def describe(module):
    names = sorted(it for it in vars(module) if it[0] != "_" and it not in UNUSED)
    found = {"names": names}
    if module.__name__.endswith("_pb2"):
        file = descriptor_pb2.FileDescriptorProto()
        module.DESCRIPTOR.CopyToProto(file)
        found["file"] = digest(file)
        found["options"] = str(module.DESCRIPTOR.GetOptions())
        return found
    for name in names:
        if not name.endswith("Stub"):
            continue
        service = name.removesuffix("Stub")
        channel, server = Channel(), Server()
        getattr(module, name)(channel)
        servicer = getattr(module, f"{service}Servicer")
        getattr(module, f"add_{service}Servicer_to_server")(servicer(), server)
        functions = getattr(module, service)
        methods = [path.rpartition("/")[2] for path in channel.made]
        found[service] = [
            channel.made,
            server.added,
            documented(servicer),
            [documented(getattr(servicer, method)) for method in methods],
            [callable(getattr(functions, method)) for method in methods],
        ]
    return found


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        paths = file.read().splitlines()
    for path in paths:
        try:
            if path.endswith(".pyi"):
                with open(os.path.join(folder, path), encoding="utf-8") as file:
                    found = sorted(set(stub_names(ast.parse(file.read()).body)))
            else:
                module = path.removesuffix(".py").replace("/", ".")
                with contextlib.redirect_stdout(io.StringIO()):
                    found = describe(importlib.import_module(module))
        except Exception as error:
            found = type(error).__name__
        print(json.dumps([path, found]), flush=True)


main()
