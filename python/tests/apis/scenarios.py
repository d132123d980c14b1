"""The behaviours of `testdata/apis`, which the Rust half of the suite reads as well: see
`crates/ferrpc-testing/src/apis/scenario.rs`, which says what each key means."""

import dataclasses
import pathlib

try:
    import tomllib
except ModuleNotFoundError:  # Before 3.11 it comes with pytest.
    import tomli as tomllib

FOLDER = pathlib.Path(__file__).parents[3] / "testdata" / "apis"

KINDS = ("unary", "server_streaming", "client_streaming", "bidirectional")

#: A pipe within the process is for clients in Rust.
TRANSPORTS = ("tcp", "unix", "tls")


@dataclasses.dataclass(frozen=True)
class Call:
    """How a call is made."""

    timeout: float = 20.0
    wait: bool = False
    count: int = 1
    size: int = 5
    list: tuple = ()
    pace: str = "fast"
    credentials: bool = False
    open: bool = False
    take: int | None = None


    def sizes(self):
        """Sizes of the requests, and how many of each."""
        return self.list or ((self.size, self.count),)

    def messages(self):
        return (message for size, count in self.sizes() for message in [bytes(size)] * count)

    def rest(self, read):
        """The seconds that a reader waits behind so many responses."""
        if self.pace == "slow" and read <= 50:
            return 0.001
        if self.pace == "bursts" and read <= 200 and read % 10 == 0:
            return 0.005
        return 0.3 if self.pace == "pause" and read == 3 else 0


class Scenario:
    def __init__(self, file, table):
        self.name = table["name"]
        self.file = file
        self.kinds = table.get("kinds", KINDS)
        self.transports = [name for name in table.get("transports", TRANSPORTS) if name in TRANSPORTS]
        self.apis = table.get("apis")
        self.settings = table.get("channel", {})
        self.resets = None if table.get("any_resets") else table.get("resets", [])
        self.requests = table.get("requests")
        self.each = table.get("each", 0)
        self.received = table.get("received")
        self.asked = table.get("asked")
        self.connections = table.get("connections", len(table["peer"]))
        self.states = table.get("states", [])
        self.failing = table.get("failing", {})
        self.ferrpc_only = table.get("ferrpc_only")
        self.steps = table.get("client") or [{"call": "a"}, {"ends": "a", "as": table.get("end", {})}]

    def is_for(self, api):
        return self.apis is None or api in self.apis

    def cancels(self):
        return any("cancel" in step for step in self.steps)


def _load():
    found = []
    for path in sorted(FOLDER.glob("*.toml")):
        tables = tomllib.loads(path.read_text(encoding="utf-8"))["scenario"]
        found += [Scenario(path.stem, table) for table in tables]
    return found


SCENARIOS = _load()
