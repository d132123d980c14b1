"""`python -m ferrpc shim`: what resolvers, checks and uninstallers make of the metadata."""

import importlib.metadata
import zipfile

import pytest

from .conftest import PROGRAMS, write_wheel

pytestmark = pytest.mark.ferrpc_only("grpcio needs nothing that stands for it")


def test_what_a_resolver_makes_of_it(installation, current):
    here = installation
    here.install(f"ferrpc=={current}")
    done = here.ferrpc("shim", "install")
    shim = f"1.85.1+ferrpc.{current}"
    assert done.stdout.splitlines() == [f"grpcio: {shim}", f"grpcio-tools: {shim}"]
    here.install("asker", "extra-asker", "grpcio>=1.85.1,<2")
    assert here.versions() == {"ferrpc": current, "grpcio": shim, "grpcio-tools": shim}
    assert here.check() == ""
    assert here.grpc() == "ferrpc"
    here.uninstall("grpcio", "grpcio-tools")
    assert here.versions() == {"ferrpc": current}
    assert not list(here.site.glob("grpcio*"))
    assert here.grpc() == "ferrpc"


def test_checks_of_versions(quick, current):
    quick.install(f"ferrpc=={current}")
    quick.ferrpc("shim", "install")
    code = "import importlib.metadata as m; print(m.version('grpcio'), *m.files('grpcio'))"
    done = quick.run(quick.python, "-c", code)
    folder = f"grpcio-1.85.1+ferrpc.{current}.dist-info"
    assert done.stdout.split() == [f"1.85.1+ferrpc.{current}"] + [
        f"{folder}/{name}" for name in ("METADATA", "WHEEL", "INSTALLER", "RECORD")
    ]


def test_only_what_ferrpc_has_is_claimed(quick, current, wheelhouse, tmp_path):
    """The list grows by itself."""
    from ferrpc import _layout

    quick.install(f"ferrpc=={current}")
    provided = [name for name, package in _layout.FAMILY.items() if _has(quick, package)]
    assert provided[:2] == ["grpcio", "grpcio-tools"]
    assert quick.ferrpc("shim", "install").stdout.count("\n") == len(provided)
    done = quick.ferrpc("shim", "status")
    lines = dict(line.split(": ", 1) for line in done.stdout.splitlines())
    assert set(lines) == set(_layout.FAMILY)
    absent = set(lines) - set(provided)
    for name in absent:
        package = _layout.FAMILY[name]
        assert lines[name] == (
            f"not installed (ferrpc has no {package}, and does not stand for it)"
        )
    for name in absent:
        folder = quick.site / "ferrpc.packages" / _layout.FAMILY[name]
        folder.mkdir()
        (folder / "__init__.py").touch()
    assert quick.ferrpc("shim", "install").stdout.count("\n") == len(_layout.FAMILY)
    names = {it.name for it in importlib.metadata.distributions(path=[str(quick.site)])}
    assert names == {"ferrpc", *_layout.FAMILY}
    assert quick.check() == ""


def _has(here, package):
    return (here.site / "ferrpc.packages" / package / "__init__.py").exists()


def test_grpcio_itself_stays_unless_it_is_replaced(quick, current):
    quick.install(f"ferrpc=={current}", "grpcio==1.80.0")
    done = quick.ferrpc("shim", "install")
    assert done.stdout.splitlines()[0].startswith("grpcio: 1.80.0 itself is installed, and stays")
    assert quick.versions()["grpcio"] == "1.80.0"
    # Without pip and uv it cannot be.
    done = quick.ferrpc("shim", "install", "--replace", status=1, PATH="/nowhere")
    assert done.stderr == ("ferrpc shim: uninstall these yourself, then try again: grpcio\n")
    assert quick.versions()["grpcio"] == "1.80.0"
    quick.ferrpc("shim", "install", "--replace", PATH=PROGRAMS)
    assert quick.versions()["grpcio"] == f"1.85.1+ferrpc.{current}"
    assert not (quick.site / "grpc").exists()
    shim = f"1.85.1+ferrpc.{current}"
    assert quick.ferrpc("shim", "remove").stdout.splitlines() == [
        f"grpcio: {shim} is removed",
        f"grpcio-tools: {shim} is removed",
    ]
    assert quick.versions() == {"ferrpc": current}


def test_a_version_that_is_none(quick, current):
    quick.install(f"ferrpc=={current}")
    done = quick.ferrpc("shim", "install", "--claim", "latest", status=1)
    assert done.stderr == (
        "ferrpc shim: 'latest' is no version as grpcio has them, 1.62.3 for instance\n"
    )


def test_wheels_with_constraints(installation, current, wheelhouse, tmp_path):
    """With these a resolver takes ferrpc where packages ask for grpcio, however new that is."""
    here = installation
    write_wheel(tmp_path, "grpcio", "1.99.0", {"grpc/__init__.py": "__version__ = '1.99.0'\n"})
    here.install(f"ferrpc=={current}")
    folder = tmp_path / "wheels"
    done = here.ferrpc("shim", "wheels", folder, "--with-ferrpc")
    shim = f"1.85.1+ferrpc.{current}"
    names = [f"{it}-{shim}-py3-none-any.whl" for it in ("grpcio", "grpcio_tools")]
    names += [f"ferrpc-{current}-py3-none-any.whl", "constraints.txt"]
    assert done.stdout.splitlines() == names
    assert sorted(it.name for it in folder.iterdir()) == sorted(names)
    constraints = (folder / "constraints.txt").read_text()
    assert constraints == f"grpcio=={shim}\ngrpcio-tools=={shim}\nferrpc=={current}\n"
    with zipfile.ZipFile(folder / names[0]) as archive:
        assert all(".dist-info/" in name for name in archive.namelist())

    here.uninstall("ferrpc")
    links = ["--find-links", folder, "--find-links", tmp_path]
    here.install(*links, "--constraint", folder / "constraints.txt", "asker", "extra-asker")
    assert here.versions() == {"ferrpc": current, "grpcio": shim, "grpcio-tools": shim}
    assert here.check() == ""
    assert here.grpc() == "ferrpc"
    assert here.ferrpc("doctor").stdout.endswith("all is well\n")


def test_wheels_are_the_same_each_time(quick, current, tmp_path):
    quick.install(f"ferrpc=={current}")
    for name in ("one", "two"):
        quick.ferrpc("shim", "wheels", tmp_path / name, "--with-ferrpc")
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()
