"""Modules beside the public ones which generated code and other packages use."""

import logging
import threading

import grpc
import grpc.experimental
import pytest
from grpc import _common, _compression, _utilities


class Channel:
    """As much of a channel as its ready future needs."""

    def __init__(self):
        self.callback = None
        self.connect = None

    def subscribe(self, callback, try_to_connect=False):
        self.callback, self.connect = callback, try_to_connect

    def unsubscribe(self, callback):
        assert callback == self.callback
        self.callback = None


def test_a_channel_gets_ready():
    channel = Channel()
    future = grpc.channel_ready_future(channel)
    assert isinstance(future, grpc.Future) and channel.connect is True
    told = []
    future.add_done_callback(told.append)
    channel.callback(grpc.ChannelConnectivity.CONNECTING)
    assert future.running() and not future.done()
    with pytest.raises(grpc.FutureTimeoutError):
        future.result(timeout=0.01)
    with pytest.raises(grpc.FutureTimeoutError):
        future.exception(timeout=0)
    timer = threading.Timer(0.05, channel.callback, [grpc.ChannelConnectivity.READY])
    timer.start()
    assert future.result(timeout=10) is None
    assert future.done() and not future.running() and not future.cancelled()
    timer.join()
    assert told == [future]
    future.add_done_callback(told.append)
    assert told == [future, future]
    assert future.exception() is None and future.traceback() is None
    assert channel.callback is None
    assert future.cancel() is False


def test_a_ready_future_is_cancelled():
    channel = Channel()
    future = grpc.channel_ready_future(channel)
    told = []
    future.add_done_callback(told.append)
    assert future.cancel() is True
    assert future.cancelled() and future.done() and channel.callback is None and told == [future]
    for method in (future.result, future.exception, future.traceback):
        with pytest.raises(grpc.FutureCancelledError):
            method()


@pytest.mark.ferrpc_only("grpcio raises TypeError from its inside")
def test_a_ready_future_is_cancelled_twice():
    future = grpc.channel_ready_future(Channel())
    assert future.cancel() is True and future.cancel() is True


@pytest.mark.parametrize(
    ("first", "second", "lower"),
    [
        ("1.60.0", "1.85.1", True),
        ("1.85.0", "1.85.1", True),
        ("1.9.0", "1.10.0", True),
        ("1.86.0.dev0", "1.85.1", False),
        ("1.85.1", "1.85.1", False),
        ("dev0.0.0", "1.0.0", False),
    ],
)
def test_versions_are_compared(first, second, lower):
    assert _utilities.first_version_is_lower(first, second) is lower


@pytest.mark.ferrpc_only("grpcio refuses files of newer generators, whatever they need")
def test_files_of_newer_generators_can_be_imported():
    generated = {"GRPC_GENERATED_VERSION": "1.99.0"}
    exec(
        "import grpc; from grpc._utilities import first_version_is_lower as lower\n"
        "refused = lower(grpc.__version__, GRPC_GENERATED_VERSION)",
        generated,
    )
    assert generated["refused"] is False


def test_encoding():
    assert _common.encode("a") == _common.encode(b"a") == b"a"
    assert _common.decode(b"a") == _common.decode("a") == "a"
    assert _common.decode(b"\xff") == "\ufffd"
    assert _common.fully_qualified_method("s", "m") == "/s/m"
    with pytest.raises(AttributeError):
        _common.encode(1)


def test_serialisers_that_raise_are_logged(caplog):
    def boom(_):
        raise ValueError("boom")

    with caplog.at_level(logging.ERROR, logger="grpc._common"):
        assert _common.serialize(1, boom) is None
        assert _common.deserialize(b"", boom) is None
    assert [record.getMessage() for record in caplog.records] == [
        "Exception serializing message!",
        "Exception deserializing message!",
    ]
    assert _common.serialize(1, None) == 1 and _common.serialize(1, str) == "1"


def test_ports_that_were_not_bound():
    assert _common.validate_port_binding_result("a", 7) == 7
    with pytest.raises(RuntimeError) as error:
        _common.validate_port_binding_result("a:1", 0)
    assert str(error.value) == (
        "Failed to bind to address a:1; set GRPC_VERBOSITY=debug environment variable to see "
        "detailed error message."
    )


def test_compression_as_option_and_metadata():
    gzip = grpc.Compression.Gzip
    assert _compression.create_channel_option(gzip) == (("grpc.default_compression_algorithm", 2),)
    assert _compression.create_channel_option(None) == ()
    assert _compression.create_channel_option(grpc.Compression.NoCompression) == ()
    pair = ("grpc-internal-encoding-request", "gzip")
    assert _compression.augment_metadata((("k", "v"),), gzip) == (("k", "v"), pair)
    assert _compression.augment_metadata(None, gzip) == (pair,)
    assert _compression.augment_metadata(None, None) is None


def test_handlers_are_wrapped():
    def wrapper(behaviour):
        return ("wrapped", behaviour)

    wrap = grpc.experimental.wrap_server_method_handler
    for kind in ("unary_unary", "unary_stream", "stream_unary", "stream_stream"):
        handler = getattr(grpc, f"{kind}_rpc_method_handler")("behaviour")
        assert getattr(wrap(wrapper, handler), kind) == ("wrapped", "behaviour")
    assert wrap(wrapper, None) is None


def test_experimental_functions_warn_once():
    @grpc.experimental.experimental_api
    def novelty():
        return 1

    novelty.__name__ = "novelty"
    with pytest.warns(
        grpc.experimental.ExperimentalApiWarning, match="'novelty' is an experimental"
    ):
        assert novelty() == 1
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert novelty() == 1


def test_credentials_without_security():
    credentials = grpc.experimental.insecure_channel_credentials()
    assert type(credentials) is grpc.ChannelCredentials
    assert grpc.experimental.insecure_channel_credentials() is credentials


def test_session_caches():
    from grpc.experimental import session_cache

    cache = session_cache.ssl_session_cache_lru(2)
    assert isinstance(cache, session_cache.SSLSessionCache) and isinstance(int(cache), int)
    with pytest.raises(TypeError):
        session_cache.ssl_session_cache_lru("x")
    with pytest.raises(OverflowError):
        session_cache.ssl_session_cache_lru(-1)


def test_names_of_the_extension_module():
    from grpc._cython import cygrpc

    assert cygrpc.OperationType.receive_message == 5
    assert cygrpc.StatusCode.unavailable == 14
    assert (cygrpc.CompressionAlgorithm.gzip, cygrpc.CompressionLevel.high) == (2, 3)
    assert cygrpc.ChannelArgKey.ssl_target_name_override == b"grpc.ssl_target_name_override"
    assert not cygrpc.EOF and repr(cygrpc.EOF) == "<grpc.aio.EOF>"
    assert cygrpc._Metadatum("k", "v") == ("k", "v") and cygrpc._Metadatum._fields == (
        "key",
        "value",
    )
    assert issubclass(cygrpc.AbortError, cygrpc.BaseError)
    assert issubclass(cygrpc.ExecuteBatchError, cygrpc.InternalError)
    assert cygrpc._ServicerContext.__name__ == "_ServicerContext"
    assert int(cygrpc.SSLSessionCacheLRU(3)) > 0
    assert (cygrpc._EMPTY_FLAGS, cygrpc.get_deadline_from_context()) == (0, None)
    secrets = grpc.composite_channel_credentials(grpc.ssl_channel_credentials())._credentials
    assert isinstance(secrets, cygrpc.CompositeChannelCredentials)


def test_a_pool_that_logs():
    from grpc.framework.foundation import logging_pool

    with logging_pool.pool(2) as pool:
        assert pool.submit(lambda a, b=0: a + b, 1, b=2).result(10) == 3
        assert list(pool.map(str, [1, 2])) == ["1", "2"]
        with pytest.raises(ZeroDivisionError):
            pool.submit(lambda: 1 / 0).result(10)


def test_csds_asks_for_nothing_without_an_xds_client():
    from grpc._cython import cygrpc

    assert cygrpc.dump_xds_configs() == b""


@pytest.mark.ferrpc_only("grpcio has records of its channels")
def test_what_channelz_asks_for_says_that_it_is_not_there():
    from grpc._cython import cygrpc

    for name in ("top_channels", "servers", "server", "channel", "subchannel", "socket"):
        with pytest.raises(NotImplementedError, match="ferrpc keeps no channelz records"):
            getattr(cygrpc, f"channelz_get_{name}")(1)
    with pytest.raises(NotImplementedError, match="channelz"):
        cygrpc.channelz_get_server_sockets(1, 0, 0)
