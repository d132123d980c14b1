"""Metadata that says who makes a call: tokens, plugins, several of them."""

import contextvars
import threading

import grpc
import pytest

METHOD = "/trust.Test/Who"
INSECURE = (
    "Established channel does not have a sufficient security level to transfer call credential."
)

token = grpc.access_token_call_credentials
plugin = grpc.metadata_call_credentials


def says(*pairs):
    """Credentials that say this."""
    return plugin(lambda context, callback: callback(pairs, None))


# -- tokens and several ----------------------------------------------------------------------------


def test_tokens_of_the_channel_and_of_the_call(tls, root, call):
    mine = token("mine")
    seen = call(tls, root, credentials=mine)
    assert seen.metadata == [("authorization", "Bearer mine")]
    channels = grpc.composite_channel_credentials(root, token("channel's"))
    assert call(tls, channels).metadata == [("authorization", "Bearer channel's")]
    seen = call(tls, channels, credentials=mine, metadata=(("x", "y"),))
    assert seen.metadata == [
        ("x", "y"),
        ("authorization", "Bearer channel's"),
        ("authorization", "Bearer mine"),
    ]


def test_the_order_of_several(tls, root, call):
    asked = []

    def one(name):
        def ask(context, callback):
            asked.append(name)
            callback(((name, name),), None)

        return plugin(ask)

    inner = grpc.composite_channel_credentials(root, one("a"), one("b"))
    channels = grpc.composite_channel_credentials(inner, one("c"))
    calls = grpc.composite_call_credentials(one("d"), grpc.composite_call_credentials(one("e")))
    seen = call(tls, channels, credentials=calls)
    assert asked == list("abcde")
    assert [name for name, _ in seen.metadata] == list("abcde")


@pytest.mark.parametrize("kind", ["unary", "future", "stream", "requests"])
def test_all_kinds_of_calls(tls, root, kind):
    credentials = grpc.composite_call_credentials(token("t"), says(("k", "v")))
    arguments = {"timeout": 20, "credentials": credentials, "metadata": iter([("x", "y")])}
    with grpc.secure_channel(tls, root) as channel:
        if kind == "unary":
            answer, call = channel.unary_unary(METHOD).with_call(b"", **arguments)
            assert call.code() is grpc.StatusCode.OK
        elif kind == "future":
            answer = channel.unary_unary(METHOD).future(b"", **arguments).result(timeout=20)
        elif kind == "stream":
            call = channel.unary_stream("/trust.Test/Stream")(b"", **arguments)
            (answer,) = call
            assert call.code() is grpc.StatusCode.OK
        else:
            call = channel.stream_stream("/trust.Test/Stream")(iter([b"1", b"2"]), **arguments)
            assert call.initial_metadata() == ()
            answer, second = call
            assert answer == second
    for part in (b"('x', 'y')", b"('authorization', 'Bearer t')", b"('k', 'v')"):
        assert part in answer


def test_a_stream_without_requests(tls, root):
    with grpc.secure_channel(tls, root) as channel:
        stream = channel.stream_stream("/trust.Test/Stream")
        assert list(stream(iter(()), timeout=20, credentials=says(("k", "v")))) == []


# -- what a plugin is told and where it runs -------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "host"),
    [
        ((), None),
        ([("grpc.default_authority", "localhost")], "localhost"),
        ([("grpc.default_authority", "localhost:443")], "localhost"),
        ([("grpc.ssl_target_name_override", "localhost")], "localhost"),
    ],
    ids=["target", "authority", "port", "override"],
)
def test_what_a_plugin_is_told(tls, root, call, options, host):
    told = []

    def ask(context, callback):
        told.append((context.service_url, context.method_name))
        callback((), None)

    assert call(tls, root, options, credentials=plugin(ask)).metadata == []
    assert told == [(f"https://{host or tls}/trust.Test", "Who")]


def test_a_plugin_runs_on_a_thread_of_its_own(tls, root, call):
    threads = []

    def ask(context, callback):
        threads.append(threading.current_thread())
        callback((), None)

    call(tls, root, credentials=plugin(ask))
    assert threads[0] is not threading.current_thread()


def test_a_plugin_may_make_calls_itself(tls, root, call):
    def ask(context, callback):
        callback((("inner", str(len(call(tls, root).auth_context))),), None)

    assert call(tls, root, credentials=plugin(ask)).metadata == [("inner", "6")]


def test_context_variables_are_those_of_the_maker(tls, root, call):
    variable = contextvars.ContextVar("variable")
    seen = []

    def ask(context, callback):
        seen.append(variable.get())
        callback((), None)

    variable.set("maker")
    credentials = plugin(ask)

    def other():
        variable.set("caller")
        call(tls, root, credentials=credentials)

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert seen == ["maker"]


# -- answers ---------------------------------------------------------------------------------------


def test_an_answer_from_another_thread(tls, root, call):
    def ask(context, callback):
        threading.Timer(0.05, callback, ((("k", "late"), ("k-bin", b"\0\1")), None)).start()

    expected = [("k", "late"), ("k-bin", b"\0\1")]
    assert call(tls, root, credentials=plugin(ask)).metadata == expected


def test_nothing_said(tls, root, call):
    assert call(tls, root, credentials=plugin(lambda context, callback: callback(None, None)))


def _says_error(context, callback):
    callback(None, ValueError("no luck"))


def _raises(context, callback):
    raise ValueError("no luck")


@pytest.mark.parametrize("ask", [_says_error, _raises])
def test_a_plugin_that_fails(tls, root, call, ask):
    error = call(tls, root, credentials=plugin(ask))
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert error.details() == "Getting metadata from plugin failed with error: no luck"
    with grpc.secure_channel(tls, root) as channel:
        future = channel.unary_unary(METHOD).future(b"", timeout=20, credentials=plugin(ask))
        assert future.exception(timeout=20) is future
        assert future.details() == error.details()
        stream = channel.stream_stream("/trust.Test/Stream")
        stream = stream(iter([b"x"]), timeout=20, credentials=plugin(ask))
        with pytest.raises(grpc.RpcError) as raised:
            next(stream)
        assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
        assert stream.trailing_metadata() == ()
        assert stream.initial_metadata() == ()


def test_a_second_answer(tls, root, call):
    raised = []

    def ask(context, callback):
        callback((("k", "first"),), None)
        try:
            callback((("k", "second"),), None)
        except RuntimeError as error:
            raised.append(str(error))

    assert call(tls, root, credentials=plugin(ask)).metadata == [("k", "first")]
    assert raised == ["AuthMetadataPluginCallback invoked more than once!"]


def test_an_answer_before_and_after_an_exception(tls, root, call):
    kept = []

    def after(context, callback):
        callback((("k", "v"),), None)
        raise ValueError("too late to matter")

    def before(context, callback):
        kept.append(callback)
        raise ValueError("first")

    assert call(tls, root, credentials=plugin(after)).metadata == [("k", "v")]
    assert "first" in call(tls, root, credentials=plugin(before)).details()
    with pytest.raises(RuntimeError):
        kept[0]((), None)


@pytest.mark.parametrize(
    "pairs", [(("K", "v"),), (("k", "v\n"),), (("k", "\u00e9"),), (("a b", "v"),)], ids=repr
)
def test_metadata_that_cannot_be_sent(tls, root, call, pairs):
    error = call(tls, root, credentials=says(*pairs))
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert error.details() == "Illegal metadata"


def test_a_token_that_cannot_be_sent(tls, root, call):
    error = call(tls, root, credentials=token("a\nb"))
    assert (error.code(), error.details()) == (grpc.StatusCode.UNAVAILABLE, "Illegal metadata")


@pytest.mark.ferrpc_only("the call hangs until its deadline in grpcio")
@pytest.mark.parametrize(
    ("metadata", "text"),
    [
        ("xx", "need more than 1 value to unpack"),
        ((("k", 5),), "Expected str, not <class 'int'>"),
        ((("k-bin", "v"),), "expected bytes, got <class 'str'>"),
        (5, "not iterable"),
    ],
    ids=repr,
)
def test_what_is_no_metadata(tls, root, call, metadata, text):
    raised = []

    def ask(context, callback):
        try:
            callback(metadata, None)
        except (TypeError, ValueError) as error:
            raised.append(str(error))
            raise

    error = call(tls, root, credentials=plugin(ask))
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert text in error.details()
    assert len(raised) == 1 and text in raised[0]


# -- answers that do not come ----------------------------------------------------------------------


@pytest.fixture
def never():
    """Credentials whose plugin keeps its callbacks, in the list beside."""
    kept = []
    return plugin(lambda context, callback: kept.append(callback)), kept


def test_deadlines_do_not_wait_for_plugins(tls, root, call, never):
    credentials, kept = never
    error = call(tls, root, timeout=0.3, credentials=credentials)
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert error.details() == "Deadline Exceeded"
    # Nobody waits for it any more.
    kept[0]((("k", "v"),), None)


def test_deadlines_do_not_wait_for_plugins_that_block(tls, root, call):
    goes_on = threading.Event()

    def ask(context, callback):
        goes_on.wait(30)
        callback((), None)

    error = call(tls, root, timeout=0.3, credentials=plugin(ask))
    goes_on.set()
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED


def test_others_do_not_wait_for_plugins_that_block(tls, root, call):
    goes_on, begun = threading.Event(), threading.Event()

    def ask(context, callback):
        begun.set()
        goes_on.wait(30)
        callback((("k", "v"),), None)

    with grpc.secure_channel(tls, root) as channel:
        futures = [
            channel.unary_unary(METHOD).future(b"", timeout=30, credentials=plugin(ask))
            for _ in range(20)
        ]
        assert begun.wait(20)
        assert call(tls, root, credentials=says(("k", "v"))).metadata == [("k", "v")]
        assert not any(future.done() for future in futures)
        goes_on.set()
        assert all(b"('k', 'v')" in future.result(timeout=20) for future in futures)


def test_calls_that_wait_for_a_plugin_end_by_their_deadline(tls, root, never):
    credentials, _ = never
    with grpc.secure_channel(tls, root) as channel:
        ended = threading.Event()
        future = channel.unary_unary(METHOD).future(b"", timeout=0.3, credentials=credentials)
        future.add_done_callback(lambda _: ended.set())
        assert ended.wait(20)
        assert future.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        stream = channel.unary_stream("/trust.Test/Stream")
        with pytest.raises(grpc.RpcError) as raised:
            next(stream(b"", timeout=0.3, credentials=credentials))
        assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


def test_calls_that_wait_for_a_plugin_can_be_cancelled(tls, root, never):
    credentials, kept = never
    with grpc.secure_channel(tls, root) as channel:
        future = channel.unary_unary(METHOD).future(b"", credentials=credentials)
        assert not future.done() and future.running() and future.is_active()
        with pytest.raises(grpc.FutureTimeoutError):
            future.result(timeout=0.1)
        ended = threading.Event()
        future.add_done_callback(lambda _: ended.set())
        assert future.cancel()
        assert not future.cancel()
        assert ended.wait(20)
        assert future.code() is grpc.StatusCode.CANCELLED
        stream = channel.stream_stream("/trust.Test/Stream")(iter([b""]), credentials=credentials)
        assert stream.cancel()
        assert stream.code() is grpc.StatusCode.CANCELLED
    for callback in kept:
        callback((), None)


@pytest.mark.parametrize(
    ("metadata", "error"), [((("x", 1),), TypeError), ((("x",),), ValueError), (7, TypeError)]
)
def test_metadata_of_wrong_types_beside_a_plugin(tls, root, metadata, error):
    credentials = says(("k", "v"))
    with grpc.secure_channel(tls, root) as channel:
        method = channel.unary_unary(METHOD)
        for call in (method, method.with_call, method.future):
            with pytest.raises(error):
                call(b"", timeout=20, metadata=metadata, credentials=credentials)
        with pytest.raises(error):
            requests = iter([b""])
            channel.stream_stream("/trust.Test/Stream")(
                requests, timeout=20, metadata=metadata, credentials=credentials
            )
        assert method(b"", timeout=20, credentials=credentials)


@pytest.mark.ferrpc_only("grpcio raises KeyError when the call is made")
def test_a_call_that_cannot_begin_behind_its_plugin(tls, root):
    with grpc.secure_channel(tls, root) as channel:
        method = channel.unary_unary(METHOD)
        future = method.future(b"", compression="none", credentials=says(("k", "v")))
        error = future.exception(timeout=20)
        assert error.code() is grpc.StatusCode.INTERNAL
        assert error.details().startswith("The call cannot begin: ")


@pytest.mark.ferrpc_only("the call hangs for ever in grpcio")
def test_a_plugin_that_forgets_its_callback(tls, root, call):
    error = call(tls, root, credentials=plugin(lambda context, callback: None))
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert "the plugin let go of its callback without an answer" in error.details()


# -- where nothing protects them -------------------------------------------------------------------


def test_an_insecure_channel_refuses_them(serve, call):
    target, asked = serve(None), []

    def ask(context, callback):
        asked.append(context)
        callback((), None)

    insecure = grpc.experimental.insecure_channel_credentials()
    for trust, credentials in [
        (None, plugin(ask)),
        (None, token("t")),
        (insecure, plugin(ask)),
        (grpc.composite_channel_credentials(insecure, plugin(ask)), None),
    ]:
        error = call(target, trust, credentials=credentials)
        assert (error.code(), error.details()) == (grpc.StatusCode.UNAUTHENTICATED, INSECURE)
    with grpc.insecure_channel(target) as channel:
        future = channel.unary_unary(METHOD).future(b"", credentials=token("t"))
        assert future.code() is grpc.StatusCode.UNAUTHENTICATED
    assert asked == []
