"""Handlers of both kinds of servers, before a call comes: which there are, and who is asked for
one."""

from grpc import _utilities


def known_methods(registered, generic):
    """Handlers by path, as far as that is known before a call comes: `registered` ones, by path,
    and those of `generic` handlers."""
    known = dict(registered)
    for handler in generic:
        if type(handler) is not _utilities.DictionaryGenericHandler:
            # It may answer for anything that stands behind it.
            break
        for path, method_handler in handler._method_handlers.items():
            known.setdefault(path, method_handler)
    return {path: handler for path, handler in known.items() if handler is not None}


def find(details, known, generic):
    """The handler for a call, or None: a known one, else that of the first generic handler that has
    one."""
    handler = known.get(details.method)
    if handler is not None:
        return handler
    for candidate in generic:
        handler = candidate.service(details)
        if handler is not None:
            return handler
    return None


def intercepted(interceptors, query):
    """`query`, a function from the details of a call to its handler, asked through interceptors, of
    which the first is the outermost."""
    for interceptor in reversed(interceptors):
        query = _asked_by(interceptor, query)
    return query


def _asked_by(interceptor, continuation):
    return lambda details: interceptor.intercept_service(continuation, details)
