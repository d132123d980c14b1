"""Runs the command lines of ``testdata/protos/command_line/cases.txt`` in one process.

    python command_lines.py CASES FOLDER            prints what each one says, as JSON
    python command_lines.py CASES FOLDER --renew    writes that into CASES

Each case runs in a copy of FOLDER with an empty folder ``out``, by the `grpc_tools` of this
interpreter, in a process of its own that is forked: to start an interpreter takes longer. The file
is renewed with the official one. A case is::

    === its name
    $ arguments, separated by spaces
    < a line of standard input
    >>> exit status
    1 a line of standard output
    2 a line of standard error
    + a file that was made
    <<< why ferrpc says something else; what it says follows, beginning with its status

``{{ff}}`` is a byte, and ``{{}}`` nothing; at a line's end it takes the line feed away.
"""

import json
import os
import pathlib
import re
import shutil
import sys
import tempfile

# Log lines of the C++ libraries have the time and their source's line in front.
LOG = re.compile(
    rb"^WARNING: All log messages before .*\n|^([EW])\d{4} [\d:.]+ +\d+ \w+\.cc:\d+\] ", re.MULTILINE
)
BYTE = re.compile(rb"\{\{([0-9a-f]*)\}\}")
PLAIN = re.compile(rb"\{\{|[^\n\x20-\x7e]")


def raw(line):
    return BYTE.sub(lambda match: bytes.fromhex(match[1].decode()), line)


def escaped(line):
    return PLAIN.sub(lambda match: b"".join(b"{{%02x}}" % it for it in match[0]), line)


def joined(lines):
    """Lines with their line feeds, but for those that end in an empty escape."""
    return b"".join(raw(line) + (b"" if line.endswith(b"{{}}") else b"\n") for line in lines)


def split(text):
    if not text:
        return []
    lines = [escaped(line) for line in text.split(b"\n")]
    if not lines[-1]:
        return lines[:-1]
    return [*lines[:-1], lines[-1] + b"{{}}"]


class Said:
    """What a command line comes to: its status, its output, and the files it made."""

    def __init__(self, status, out, err, made):
        self.status, self.out, self.err, self.made = status, out, err, made

    @classmethod
    def parse(cls, lines):
        def marked(mark):
            return [line[2:] for line in lines[1:] if line[:1] == mark]

        made = [line.decode() for line in marked(b"+")]
        return cls(int(lines[0][4:]), joined(marked(b"1")), joined(marked(b"2")), made)

    def lines(self):
        yield b"%d" % self.status
        yield from (b"1 " + line for line in split(self.out))
        yield from (b"2 " + line for line in split(self.err))
        yield from (b"+ " + name.encode() for name in self.made)

    def plain(self):
        return [self.status, self.out.decode("latin-1"), self.err.decode("latin-1"), self.made]


class Case:
    def __init__(self, text):
        self.head, rest = text.split(b"\n>>> ", 1)
        rest, *otherwise = rest.split(b"\n<<< ", 1)
        self.tail = otherwise[0] if otherwise else None
        name, *lines = self.head.split(b"\n")
        self.name = name.decode()
        words = [line[2:] for line in lines if line[:1] == b"$"][0]
        self.arguments = [os.fsdecode(raw(word)) for word in words.split(b" ") if word]
        self.stdin = joined([line[2:] for line in lines if line[:1] == b"<"])
        self.said = Said.parse([b">>> " + rest.split(b"\n")[0], *rest.split(b"\n")[1:]])
        self.reason, self.otherwise = None, None
        if self.tail is not None:
            reason, *lines = self.tail.strip(b"\n").split(b"\n")
            self.reason = reason.decode()
            self.otherwise = Said.parse([b">>> " + lines[0], *lines[1:]])


def read(path):
    head, *texts = pathlib.Path(path).read_bytes().split(b"\n=== ")
    return head, [Case(text.rstrip(b"\n") + b"\n") for text in texts]


def run(case, files):
    """Runs a case; the interpreter's own grpc_tools has to be imported already."""
    from grpc_tools import protoc

    with tempfile.TemporaryDirectory() as folder:
        place = pathlib.Path(folder, "it")
        shutil.copytree(files, place)
        (place / "out").mkdir()
        streams = [pathlib.Path(folder, name) for name in ("in", "out", "err")]
        streams[0].write_bytes(case.stdin)
        before = {path for path in place.rglob("*")}
        child = os.fork()
        if child == 0:
            status = 70
            try:
                os.chdir(place)
                for number, (path, flags) in enumerate(
                    zip(streams, (os.O_RDONLY, os.O_WRONLY | os.O_CREAT, os.O_WRONLY | os.O_CREAT))
                ):
                    os.dup2(os.open(path, flags), number)
                status = protoc.main(["protoc", *case.arguments])
            finally:
                os._exit(status)
        _, ended = os.waitpid(child, 0)
        made = {path for path in place.rglob("*") if path.is_file()} - before
        return Said(
            os.waitstatus_to_exitcode(ended),
            streams[1].read_bytes(),
            LOG.sub(lambda it: b"log: " if it[1] else b"", streams[2].read_bytes()),
            sorted(str(path.relative_to(place)) for path in made),
        )


def main(path, files, renew=None):
    head, cases = read(path)
    import grpc_tools.protoc  # noqa: F401

    results = {case.name: run(case, files) for case in cases}
    if renew is None:
        json.dump({name: said.plain() for name, said in results.items()}, sys.stdout)
        return
    out = [head]
    for case in cases:
        text = case.head + b"\n>>> " + b"\n".join(results[case.name].lines()) + b"\n"
        if case.tail is not None:
            text += b"<<< " + case.tail.rstrip(b"\n") + b"\n"
        out.append(text)
    pathlib.Path(path).write_bytes(b"\n=== ".join(out))


if __name__ == "__main__":
    main(*sys.argv[1:])
