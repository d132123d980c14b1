"""Locks of the whole process are free in the child of a fork, whoever had them in the parent."""

import sys

import pytest

HOLDS_ALL_AND_FORKS = """
import importlib, os, pkgutil, sys, threading
import grpc, grpc.aio, grpc.experimental

SKIPPED = ("grpc._gevent", "grpc.health", "grpc.reflection", "grpc.tools")
for module in pkgutil.walk_packages(grpc.__path__, "grpc."):
    if module.name not in SKIPPED:
        importlib.import_module(module.name)

LOCKS = (type(threading.Lock()), type(threading.RLock()), threading.Condition)


def locks():
    "Those of modules, of their classes, and of the objects that modules hold."
    for name, module in sorted(sys.modules.items()):
        if not name.startswith("grpc."):
            continue
        for key, value in list(vars(module).items()):
            if isinstance(value, LOCKS):
                yield f"{name}.{key}", value
            elif type(value).__module__.startswith("grpc.") or isinstance(value, type):
                for inner, held in list(getattr(value, "__dict__", {}).items()):
                    if isinstance(held, LOCKS):
                        yield f"{name}.{key}.{inner}", held


held, forked = threading.Event(), threading.Event()


def hold():
    taken = {id(lock): lock for _, lock in locks()}
    for lock in taken.values():
        lock.acquire()
    held.set()
    forked.wait(60)
    for lock in taken.values():
        lock.release()


threading.Thread(target=hold, daemon=True).start()
assert held.wait(60)
child = os.fork()
if child == 0:
    # An object may have several names.
    every = {id(lock): (name, lock) for name, lock in locks()}.values()
    stuck = sorted(name for name, lock in every if not lock.acquire(timeout=0.01))
    print("stuck:", *stuck, flush=True)
    os._exit(0)
os.waitpid(child, 0)
print(len(dict(locks())))
forked.set()
"""


@pytest.mark.ferrpc_only("its own code")
def test_no_lock_of_the_process_is_held_in_the_child(run):
    done = run([sys.executable, "-W", "ignore", "-c", HOLDS_ALL_AND_FORKS])
    assert done.returncode == 0, done.stderr
    stuck, count = done.stdout.splitlines()
    assert stuck == "stuck:"
    assert int(count) >= 6
