"""The samples of README.md and of pages that say so are programs: they run as they stand there, on
both. (Their Rust runs as doctests of `examples/`.)"""

import re
import shutil
import sys

import pytest


@pytest.mark.parametrize(
    ("page", "output"),
    [
        ("README.md", "hello, world\n"),
        ("docs/service-config.md", "b'done' ['0', '1', '2']\n"),
    ],
)
def test_the_sample_runs(page, output, run, repository, tmp_path):
    text = (repository / page).read_text(encoding="utf-8")
    (sample,) = re.findall(r"^```python\n(.*?)^```$", text, re.M | re.S)
    shutil.copy(repository / "testdata/protos/test_service.proto", tmp_path)
    program = tmp_path / "sample.py"
    program.write_text(sample, encoding="utf-8")
    done = run([sys.executable, program])
    assert (done.stdout, done.stderr, done.returncode) == (output, "", 0)
