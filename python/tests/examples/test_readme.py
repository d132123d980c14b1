"""The sample of README.md is a program: it runs as it stands there, on both. (Its Rust runs as a
doctest of `examples/`.)"""

import re
import shutil
import sys


def test_the_sample_says_hello(run, repository, tmp_path):
    text = (repository / "README.md").read_text(encoding="utf-8")
    (sample,) = re.findall(r"^```python\n(.*?)^```$", text, re.M | re.S)
    shutil.copy(repository / "testdata/protos/test_service.proto", tmp_path)
    program = tmp_path / "sample.py"
    program.write_text(sample, encoding="utf-8")
    done = run([sys.executable, program])
    assert (done.stdout, done.stderr, done.returncode) == ("hello, world\n", "", 0)
