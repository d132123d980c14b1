"""Imports all modules of a folder and prints what is in each, a line of JSON a module.

python modules.py FOLDER

The lines of two folders are the same if the modules are good for the same. A module that cannot be
imported has its exception's name in the place of its content.
"""

import contextlib
import hashlib
import importlib
import io
import json
import os
import sys
import warnings

warnings.simplefilter("ignore")
folder = sys.argv[1]
sys.path.insert(0, folder)

from google.protobuf import descriptor_pb2  # noqa: E402

# Imported by what grpcio-tools writes, for a warning that it never gives.
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
        found[service] = [
            channel.made,
            server.added,
            [servicer.__doc__, functions.__doc__],
            {path.rpartition("/")[2]: None for path in channel.made},
            [getattr(servicer, path.rpartition("/")[2]).__doc__ for path in channel.made],
            [callable(getattr(functions, path.rpartition("/")[2])) for path in channel.made],
        ]
    return found


def main():
    files = []
    for base, _, names in os.walk(folder):
        files += [os.path.relpath(os.path.join(base, it), folder) for it in names]
    for path in sorted(files):
        if path.endswith(".pyi"):
            with open(os.path.join(folder, path), encoding="utf-8") as file:
                text = file.read()
            try:
                compile(text, path, "exec")
                found = hashlib.sha256(text.encode()).hexdigest()
            except SyntaxError:
                found = "SyntaxError"
        elif path.endswith(".py"):
            module = path.removesuffix(".py").replace("/", ".")
            try:
                with contextlib.redirect_stdout(io.StringIO()):
                    found = describe(importlib.import_module(module))
            except Exception as error:
                found = type(error).__name__
        else:
            continue
        print(json.dumps([path, found]), flush=True)


main()
