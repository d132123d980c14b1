"""Imports generated modules and prints what is in them, as JSON; for `test_modules.py`.

    python dump.py FOLDER MODULE...
"""

import importlib
import inspect
import json
import sys
import types

sys.path.insert(0, sys.argv[1])

from google.protobuf import descriptor, descriptor_pb2
from google.protobuf.internal import enum_type_wrapper


class Channel:
    """Stands in for a channel: remembers the calls a stub prepares."""

    def __init__(self):
        self.made = {}

    def __getattr__(self, kind):
        def make(path, request_serializer, response_deserializer, **more):
            self.made[path] = [kind, owner(request_serializer), owner(response_deserializer), more]
            return path

        return make


class Server:
    """Stands in for a server: remembers what is added."""

    def __init__(self):
        self.generic = []
        self.registered = {}

    def add_generic_rpc_handlers(self, handlers):
        self.generic.extend(handlers)

    def add_registered_method_handlers(self, service, handlers):
        self.registered[service] = handlers


class Context:
    """Stands in for a servicer's context."""

    def __init__(self):
        self.seen = []

    def set_code(self, code):
        self.seen.append(str(code))

    def set_details(self, details):
        self.seen.append(details)


def owner(method):
    """The message class that a serialiser belongs to, and which it is.

    In the pure-Python protobuf each class has functions of its own.
    """
    for module in list(sys.modules.values()):
        if not isinstance(getattr(module, "DESCRIPTOR", None), descriptor.FileDescriptor):
            continue
        open_ = list(module.DESCRIPTOR.message_types_by_name.values())
        while open_:
            message = open_.pop()
            open_.extend(message.nested_types)
            for name in ("SerializeToString", "FromString"):
                if vars(message._concrete_class).get(name) in (method, staticmethod(method)):
                    return [message.full_name, name]
                if getattr(message._concrete_class, name) == method:
                    return [message.full_name, name]
    raise AssertionError(f"whose is {method}?")


def handler(found):
    return [
        found.request_streaming,
        found.response_streaming,
        owner(found.request_deserializer) if found.request_deserializer else None,
        owner(found.response_serializer) if found.response_serializer else None,
    ]


def describe(name, value):
    """What a public name of a messages' module is."""
    if isinstance(value, types.ModuleType):
        return "module"
    if isinstance(value, type) and hasattr(value, "DESCRIPTOR"):
        return ["class", value.__module__, value.__qualname__, value.DESCRIPTOR.full_name]
    if isinstance(value, enum_type_wrapper.EnumTypeWrapper):
        return ["enum", value.DESCRIPTOR.full_name, dict(value.items())]
    if isinstance(value, int):
        return ["number", value]
    return ["other", getattr(value, "full_name", type(value).__name__)]


def messages(module):
    file = descriptor_pb2.FileDescriptorProto()
    module.DESCRIPTOR.CopyToProto(file)
    return {
        "names": {name: describe(name, value) for name, value in public(module)},
        "file": file.SerializeToString(deterministic=True).hex(),
        "options": options(module.DESCRIPTOR),
        "nested": {
            name: copied(found) for name, found in module.DESCRIPTOR.message_types_by_name.items()
        },
    }


def copied(message):
    """What `CopyToProto` gives, which the pure-Python protobuf cuts out of the file's bytes."""
    proto = descriptor_pb2.DescriptorProto()
    message.CopyToProto(proto)
    return proto.SerializeToString(deterministic=True).hex()


def options(file):
    found = {file.name: str(file.GetOptions())}

    def walk(message):
        found[message.full_name] = str(message.GetOptions())
        for part in [*message.fields, *message.oneofs, *message.enum_types, *message.extensions]:
            found[part.full_name] = str(part.GetOptions())
        for nested in message.nested_types:
            walk(nested)

    for message in file.message_types_by_name.values():
        walk(message)
    for enum in file.enum_types_by_name.values():
        found[enum.full_name] = str(enum.GetOptions())
        for value in enum.values:
            found[f"{enum.full_name}.{value.name}"] = str(value.GetOptions())
    for service in file.services_by_name.values():
        found[service.full_name] = str(service.GetOptions())
        for method in service.methods:
            found[method.full_name] = str(method.GetOptions())
    return found


def services(module):
    out = {"names": sorted(name for name, _ in public(module)), "services": {}}
    for name, value in public(module):
        if name.endswith("Stub") and isinstance(value, type):
            out["services"][name.removesuffix("Stub")] = service(module, name.removesuffix("Stub"))
    return out


def service(module, name):
    channel, server = Channel(), Server()
    stub = getattr(module, f"{name}Stub")(channel)
    servicer = getattr(module, f"{name}Servicer")()
    getattr(module, f"add_{name}Servicer_to_server")(servicer, server)
    found = {
        "stub": dict(sorted(vars(stub).items())),
        "calls": channel.made,
        "registered": {
            service: {method: handler(it) for method, it in sorted(handlers.items())}
            for service, handlers in server.registered.items()
        },
        "generic": [it.service_name() for it in server.generic],
        "methods": {},
    }
    functions = getattr(module, name)
    for method in vars(stub):
        context = Context()
        unimplemented = getattr(servicer, method)
        try:
            unimplemented(None, context)
        except NotImplementedError as error:
            context.seen.append(repr(error))
        found["methods"][method] = {
            "servicer": str(inspect.signature(unimplemented)),
            "seen": context.seen,
            "function": str(inspect.signature(getattr(functions, method))),
        }
    return found


def public(module):
    return [(name, value) for name, value in sorted(vars(module).items()) if name[0] != "_"]


out = {}
for name in sys.argv[2:]:
    module = importlib.import_module(name)
    out[name] = services(module) if name.endswith("_grpc") else messages(module)
json.dump(out, sys.stdout)
