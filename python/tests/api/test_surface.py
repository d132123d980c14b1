"""The names and signatures of grpcio, one by one, against facts taken from the real one."""

import importlib.util
import json
import pathlib

FACTS = "testdata/python/grpcio_api.json"


def test_the_surface_is_that_of_grpcio(repository):
    wanted = json.loads((repository / FACTS).read_text())
    here = pathlib.Path(__file__).with_name("describe.py")
    spec = importlib.util.spec_from_file_location("describe", here)
    describe = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(describe)
    found = describe.describe()
    missing = sorted(set(wanted) - set(found))
    assert not missing
    differing = {
        name: (found[name], wanted[name]) for name in wanted if found[name] != wanted[name]
    }
    assert not differing
    assert sorted(set(found) - set(wanted)) == []
