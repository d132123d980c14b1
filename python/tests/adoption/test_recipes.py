"""The recipes of docs/migrating-from-grpcio.md, with the tools that they are for. What a recipe's
files are stands in that document, which is where they are read from."""

import os
import re
import shlex
import shutil
import subprocess
import sys

import pytest

from .conftest import PROGRAMS

pytestmark = [
    pytest.mark.ferrpc_only("it is ferrpc's document"),
    pytest.mark.timeout(900),
]

#: The tools, as uv runs them.
TOOLS = {
    "pip": [sys.executable, "-m", "pip"],
    "uv": [f"{PROGRAMS}/uv"],
    "poetry": [f"{PROGRAMS}/uvx", "--quiet", "poetry==2.5.1"],
    # Its cache does not know the newest hishel.
    "pdm": [f"{PROGRAMS}/uvx", "--quiet", "--with", "hishel<2", "pdm==2.29.4"],
    "pip-compile": [f"{PROGRAMS}/uvx", "--quiet", "--from", "pip-tools", "pip-compile"],
}


@pytest.fixture(scope="module")
def document(repository):
    return (repository / "docs/migrating-from-grpcio.md").read_text()


@pytest.fixture
def project(tmp_path):
    """A project's folder with `wheelhouse`, as the document begins."""
    folder = tmp_path / "project"
    folder.mkdir()
    run(
        folder,
        f"{sys.executable} -m ferrpc shim wheels wheelhouse --with-ferrpc",
    )
    return folder


def run(folder, line, **variables):
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("FERRPC", "VIRTUAL_ENV", "PYTHON"))
    }
    done = subprocess.run(
        line,
        shell=True,
        cwd=folder,
        env={**environment, "UV_SYSTEM_CERTS": "1", **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, (line, done.stdout[-3000:], done.stderr[-3000:])
    return done.stdout


def section(document, title):
    """The blocks of code of a section: pairs of language and text."""
    _, text = document.split(f"\n### {title}\n", 1)
    text = re.split(r"\n##+ ", text)[0]
    return re.findall(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def write(folder, text, current):
    """Writes a block that begins with the name of a file, with the versions that there are."""
    first, rest = text.split("\n", 1)
    wheel = next((folder / "wheelhouse").glob("ferrpc-*.whl")).name
    rest = re.sub(r"ferrpc-[0-9.]+-[\w.-]+\.whl", wheel, rest)
    rest = re.sub(r"\+ferrpc\.[0-9]+\.[0-9]+\.[0-9]+", f"+ferrpc.{current}", rest)
    name = first.removeprefix("# ")
    (folder / name).write_text(rest)
    return name


def commands(text):
    """The lines of a block, with the tools of this test."""
    for line in text.splitlines():
        first, _, rest = line.partition(" ")
        yield f"{shlex.join(TOOLS.get(first, [first]))} {rest}"


def is_well(folder, python):
    said = run(folder, f"{python} -m ferrpc doctor")
    assert said.endswith("all is well\n")
    assert "grpc-interceptor" in said and "/ferrpc.packages/grpc, of ferrpc" in said
    run(
        folder, f"{python} -c 'import grpc_interceptor, grpc; grpc.insecure_channel(\"x\").close()'"
    )


@pytest.mark.parametrize("tool", ["uv", "Poetry", "PDM", "pip-tools"])
def test_a_project(document, project, current, tool):
    variables = {"POETRY_VIRTUALENVS_IN_PROJECT": "1"}
    if tool in ("PDM", "pip-tools"):
        run(project, f"{sys.executable} -m venv .venv")
        # PDM would install into the environment of these tests.
        variables["PDM_PYTHON"] = f"{project}/.venv/bin/python"
    for language, text in section(document, tool):
        if language == "sh":
            for line in commands(text):
                run(project, line, **variables)
        else:
            write(project, text, current)
    is_well(project, ".venv/bin/python")


@pytest.mark.parametrize("tool", ["pip", "conda", "Docker"])
def test_what_pip_does(document, project, current, tool):
    """conda gives its `pip:` section to pip as a file of requirements; of a Dockerfile the RUN
    lines are run."""
    run(project, f"{sys.executable} -m venv .venv")
    python = str(project / ".venv/bin/python")
    for language, text in section(document, tool):
        if tool == "conda" and language == "yaml":
            lines = text.split("- pip:\n", 1)[1].splitlines()
            lines = [line.strip().removeprefix("- ") for line in lines]
            (project / "requirements.txt").write_text("\n".join(lines) + "\n")
            run(project, f"{python} -m pip install -r requirements.txt")
        elif tool == "Docker" and language == "dockerfile":
            shutil.copytree(project / "wheelhouse", project / "root/wheelhouse")
            (project / "requirements.txt").write_text("ferrpc\ngrpc-interceptor\n")
            ran = re.findall(r"^RUN (.*)$", text.replace("\\\n", " "), re.MULTILINE)
            assert ran
            for line in ran:
                line = line.replace("/wheelhouse", f"{project}/root/wheelhouse")
                run(project, line.replace("pip install", f"{python} -m pip install"))
        elif tool == "pip" and language == "sh":
            for line in text.splitlines():
                line = re.sub(r"^(python|pip)\b", f"{python} -m \\1", line)
                run(project, line.replace(f"{python} -m python", python))
    is_well(project, python)
