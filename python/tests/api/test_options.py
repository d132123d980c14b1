"""docs/options.md: what each option does, as it says."""

import re
import warnings
from concurrent import futures

import grpc
import pytest

ROW = re.compile(r"^\| `([\w.]+)` \| ([a-z -]+) \| ([a-z -]+) \| (.*) \|$", re.MULTILINE)

#: Of grpcio's list, in its header channel_arg_names.h and grpc/compression.h.
NAMES = "testdata/python/grpcio_options.txt"


@pytest.fixture
def table(repository):
    rows = ROW.findall((repository / "docs/options.md").read_text())
    assert len(rows) == len({name for name, *_ in rows})
    return {name: (channel, server) for name, channel, server, _ in rows}


def test_every_option_of_grpcio_is_there(table, repository):
    names = (repository / NAMES).read_text().split()
    assert set(names) <= set(table)


@pytest.mark.ferrpc_only("its own code")
def test_the_table_says_what_the_code_does(table):
    from grpc import _channel_options, _ferrpc, _missing_options, _server_options

    def named(column, word):
        return {name for name, words in table.items() if words[column] == word}

    assert named(0, "acts") == set(_channel_options.ACTING)
    assert named(0, "not yet") == set(_missing_options.OF_CHANNELS)
    unknown = set(_ferrpc.Server.unknown_options(list(table)))
    assert named(1, "acts") == set(table) - unknown | _server_options.OWN
    assert named(1, "not yet") == set(_missing_options.OF_SERVERS)
    words = {word for words in table.values() for word in words}
    assert words == {"acts", "not yet", "-"}


def said(make):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        make()
    assert all(warning.category is RuntimeWarning for warning in caught)
    assert all(warning.filename == __file__ for warning in caught)
    return [str(warning.message) for warning in caught]


def channel(name, value):
    grpc.insecure_channel("localhost:1", options=[(name, value)]).close()


def server(name, value):
    grpc.server(futures.ThreadPoolExecutor(1), options=[(name, value)])


@pytest.mark.ferrpc_only("grpcio has them")
@pytest.mark.parametrize("make", [channel, server])
def test_what_does_not_act_is_said_once(make, monkeypatch):
    from grpc import _missing_options

    monkeypatch.setattr(_missing_options, "_said", set())
    missing = _missing_options.OF_CHANNELS if make is channel else _missing_options.OF_SERVERS
    for name, idle in missing.items():
        if idle is not None:
            assert said(lambda name=name, idle=idle: make(name, idle)) == []
        assert [name in text for text in said(lambda name=name: make(name, 7))] == [True]
        assert said(lambda name=name: make(name, 7)) == []


@pytest.mark.ferrpc_only("the options are its own")
@pytest.mark.parametrize("make", [channel, server])
def test_a_name_that_is_no_option(make, monkeypatch):
    from grpc import _missing_options

    monkeypatch.setattr(_missing_options, "_said", set())
    assert said(lambda: make("grpc.nonsense", 1)) == []
    (text,) = said(lambda: make("ferrpc.nonsense", 1))
    assert "there is no option ferrpc.nonsense" in text


@pytest.mark.ferrpc_only("to grpcio some are pointers, which crash it")
@pytest.mark.parametrize("make", [channel, server])
def test_what_has_no_meaning_is_taken_without_a_word(make, table):
    for name, words in table.items():
        if words[make is server] == "-" and name.startswith("grpc."):
            assert said(lambda name=name: make(name, 1)) == []


@pytest.mark.parametrize(
    "config", ["no JSON", "{", "", "[]", "5", '"text"', "null", b"no JSON", b"[]"]
)
def test_a_service_config_that_is_none(config):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = grpc.insecure_channel("localhost:1", options=[("grpc.service_config", config)])
    with made:
        for call in (
            lambda: made.unary_unary("/s/M")(b""),
            lambda: made.unary_unary("/s/M").future(b"").result(),
            lambda: list(made.unary_stream("/s/M")(b"")),
            lambda: made.stream_unary("/s/M")(iter([b""])),
        ):
            with pytest.raises(grpc.RpcError) as caught:
                call()
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            text = caught.value.details()
            assert text.startswith("Failed to create channel to 'localhost:1':")
            assert "JSON parsing failed" in text or "is not an object" in text
