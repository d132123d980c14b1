"""Asking the plugins of call credentials, on threads that are for nothing else.

Plugins may block, answer later from another thread, or never; whoever makes the call goes on by its
own deadline meanwhile. Nothing here calls a plugin while it holds a lock.
"""

import collections
import os
import threading
import time

from grpc import _ferrpc

_FAILED = "Getting metadata from plugin failed with error: "
_ILLEGAL = "Illegal metadata"


def known(parts):
    """The metadata of call credentials that need not be asked; None if one of them must be."""
    metadata = []
    for part in parts:
        pairs = part._metadata_plugin.known
        if pairs is None or not _ferrpc.is_legal_metadata(pairs):
            return None
        metadata.extend(pairs)
    return metadata


def ask(parts, service_url, method_name, done):
    """Asks each of `parts` in turn. `done` is called once, in whatever thread: with a list of pairs
    and None, or with None and the text that a call without them ends with."""
    _workers.run(_Asking(parts, service_url, method_name, done).ask_next)


def run(job):
    """Runs `job()` on such a thread."""
    _workers.run(job)


def wait(parts, service_url, method_name, timeout):
    """Asks and waits, at most so many seconds: what `ask` gives, or None when they are over."""
    until = None if timeout is None else time.monotonic() + timeout
    # With a lock that its owner may take again: answers can come while garbage is collected.
    changed = threading.Condition()
    answer = None

    def done(metadata, text):
        nonlocal answer
        with changed:
            answer = metadata, text
            changed.notify_all()

    ask(parts, service_url, method_name, done)
    with changed:
        while answer is None:
            left = None if until is None else until - time.monotonic()
            if left is not None and left <= 0:
                return None
            changed.wait(left)
    return answer


class _Asking:
    """The plugins of one call, one after the other."""

    def __init__(self, parts, service_url, method_name, done):
        self._parts = collections.deque(parts)
        self._call = service_url, method_name
        self._done = done
        self._metadata = []

    def ask_next(self):
        self._parts.popleft()._metadata_plugin(*self._call, self._answer)

    def _answer(self, metadata, ok, error):
        if not ok:
            self._done(None, _FAILED + error)
            return
        try:
            pairs = () if metadata is None else tuple(metadata)
            legal = _ferrpc.is_legal_metadata(pairs)
        except (TypeError, ValueError) as error:
            self._done(None, _FAILED + str(error))
            raise
        if not legal:
            self._done(None, _ILLEGAL)
            return
        self._metadata.extend(pairs)
        if self._parts:
            # Not here: this may be a thread of the last plugin's own.
            _workers.run(self.ask_next)
        else:
            self._done(self._metadata, None)


class _Workers:
    """Threads for jobs that may block: as many as there are such jobs at a time. One without work
    for a while ends."""

    def __init__(self):
        self._changed = threading.Condition()
        self._jobs = collections.deque()
        self._idle = 0

    def run(self, job):
        with self._changed:
            self._jobs.append(job)
            if self._idle >= len(self._jobs):
                self._changed.notify()
                return
        threading.Thread(target=self._work, name="grpc-credentials", daemon=True).start()

    def _work(self):
        while (job := self._take()) is not None:
            job()
            # A job refers to a call: not while there is none.
            del job

    def _take(self):
        with self._changed:
            if not self._jobs:
                self._idle += 1
                self._changed.wait_for(lambda: self._jobs, _LONGEST_IDLE)
                self._idle -= 1
            return self._jobs.popleft() if self._jobs else None


#: Seconds. Longer than calls in a row are apart.
_LONGEST_IDLE = 10

_workers = _Workers()


def _forked():
    global _workers
    _workers = _Workers()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
