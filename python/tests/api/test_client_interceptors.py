"""Client interceptors, over a channel that is made up: what they see, may change and return."""

import grpc
import pytest

KINDS = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")


class Error(grpc.RpcError, grpc.Call, grpc.Future):
    """What a channel raises, as far as interceptors care."""

    def result(self, timeout=None):
        raise self

    initial_metadata = trailing_metadata = code = details = is_active = time_remaining = None
    cancel = add_callback = cancelled = running = done = exception = traceback = None
    add_done_callback = None


class Calls:
    """A multicallable that notes its arguments."""

    def __init__(self, channel, kind, method, rest):
        self.channel, self.kind, self.method, self.rest = channel, kind, method, rest

    def note(self, way, request, arguments):
        self.channel.calls.append((self.kind, way, self.method, request, arguments))
        if self.channel.error is not None:
            raise self.channel.error
        return f"{way} of {self.method}"

    def __call__(self, request, **arguments):
        return self.note("call", request, arguments)

    def with_call(self, request, **arguments):
        return self.note("with_call", request, arguments), "call"

    def future(self, request, **arguments):
        return self.note("future", request, arguments)


class Channel(grpc.Channel):
    def __init__(self, error=None):
        self.error, self.calls, self.closed, self.subscribed = error, [], 0, []

    def subscribe(self, callback, try_to_connect=False):
        self.subscribed.append((callback, try_to_connect))

    def unsubscribe(self, callback):
        self.subscribed.remove((callback, True))

    def unary_unary(self, method, *rest):
        return Calls(self, "unary_unary", method, rest)

    def unary_stream(self, method, *rest):
        return Calls(self, "unary_stream", method, rest)

    def stream_unary(self, method, *rest):
        return Calls(self, "stream_unary", method, rest)

    def stream_stream(self, method, *rest):
        return Calls(self, "stream_stream", method, rest)

    def close(self):
        self.closed += 1


class All(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamUnaryClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    def __init__(self, function):
        self.function = function

    def intercept_unary_unary(self, continuation, client_call_details, request):
        return self.function(continuation, client_call_details, request)

    intercept_unary_stream = intercept_unary_unary
    intercept_stream_unary = intercept_unary_unary
    intercept_stream_stream = intercept_unary_unary


def passing(continuation, details, request):
    return continuation(details, request)


def failing(continuation, details, request):
    raise ValueError("boom")


NOTHING = {
    "timeout": None,
    "metadata": None,
    "credentials": None,
    "wait_for_ready": None,
    "compression": None,
}


@pytest.mark.parametrize("kind", KINDS)
def test_arguments_reach_the_channel(kind):
    inner = Channel()
    channel = grpc.intercept_channel(inner, All(passing))
    arguments = {
        "timeout": 3,
        "metadata": (("k", "v"),),
        "credentials": "c",
        "wait_for_ready": True,
        "compression": grpc.Compression.Gzip,
    }
    getattr(channel, kind)("/s/m")("request", **arguments)
    (noted,) = inner.calls
    assert (noted[0], noted[2], noted[3]) == (kind, "/s/m", "request")
    assert noted[4] == arguments


def test_serialisers_reach_the_channel():
    channel = grpc.intercept_channel(Channel(), All(passing))
    seen = []

    class Spy(Channel):
        def unary_unary(self, method, *rest):
            seen.append((method, rest))
            return super().unary_unary(method, *rest)

    channel = grpc.intercept_channel(Spy(), All(passing))
    channel.unary_unary("/s/m", repr, str, _registered_method=True)("request")
    assert seen == [("/s/m", (repr, str, True))]


@pytest.mark.parametrize("kind", ["unary_unary", "stream_unary"])
def test_responses(kind):
    channel = grpc.intercept_channel(Channel(), All(passing))
    calls = getattr(channel, kind)("/s/m")
    assert calls("r") == "with_call of /s/m"
    response, call = calls.with_call("r")
    assert response == "with_call of /s/m" and isinstance(call, grpc.Call)
    assert isinstance(call, grpc.Future) and call.result() == response
    assert call.done() and not call.running() and not call.cancelled()
    assert call.exception() is None and call.traceback() is None
    assert calls.future("r") == "future of /s/m"


@pytest.mark.parametrize("kind", ["unary_stream", "stream_stream"])
def test_streams_of_responses(kind):
    channel = grpc.intercept_channel(Channel(), All(passing))
    assert getattr(channel, kind)("/s/m")("r") == "call of /s/m"


def test_the_first_one_is_outermost():
    order = []

    def interceptor(name):
        def function(continuation, details, request):
            order.append((name, details.method))
            return continuation(details._replace(method=details.method + name), request)

        return All(function)

    inner = Channel()
    channel = grpc.intercept_channel(inner, interceptor("1"), interceptor("2"))
    channel.unary_unary("/s/m")("r")
    assert order == [("1", "/s/m"), ("2", "/s/m1")]
    assert inner.calls == [("unary_unary", "with_call", "/s/m12", "r", NOTHING)]


def test_details_are_a_named_tuple():
    from grpc._interceptor import _ClientCallDetails

    seen = []

    def function(continuation, details, request):
        seen.append(details)
        return continuation(details, request)

    grpc.intercept_channel(Channel(), All(function)).unary_unary("/s/m")("r", 5)
    (details,) = seen
    assert isinstance(details, grpc.ClientCallDetails) and isinstance(details, tuple)
    assert details == _ClientCallDetails("/s/m", 5, None, None, None, None)
    fields = ("method", "timeout", "metadata", "credentials", "wait_for_ready", "compression")
    assert details._fields == fields


@pytest.mark.parametrize("kind", KINDS)
def test_what_replaced_details_lack_is_as_it_was(kind):
    class Details(grpc.ClientCallDetails):
        timeout = 7

    inner = Channel()
    channel = grpc.intercept_channel(
        inner, All(lambda continuation, details, request: continuation(Details(), request))
    )
    getattr(channel, kind)("/s/m")("r", timeout=1, metadata=(("k", "v"),))
    assert inner.calls[0][2] == "/s/m"
    assert inner.calls[0][4] == {**NOTHING, "timeout": 7, "metadata": (("k", "v"),)}


@pytest.mark.parametrize("kind", ["unary_unary", "stream_unary"])
def test_an_interceptor_that_raises(kind):
    from grpc._interceptor import _FailureOutcome

    calls = getattr(grpc.intercept_channel(Channel(), All(failing)), kind)("/s/m")
    for call in (calls, calls.with_call):
        with pytest.raises(ValueError, match="boom"):
            call("r")
    future = calls.future("r")
    assert type(future) is _FailureOutcome
    assert isinstance(future, grpc.RpcError) and isinstance(future, grpc.Call)
    assert future.code() is grpc.StatusCode.INTERNAL
    assert future.details() == "Exception raised while intercepting the RPC"
    assert future.initial_metadata() is None and future.trailing_metadata() is None
    assert future.done() and not future.running() and not future.cancelled()
    assert not future.is_active() and future.time_remaining() is None
    assert not future.cancel() and not future.add_callback(print)
    assert isinstance(future.exception(), ValueError) and future.traceback() is not None
    with pytest.raises(ValueError, match="boom"):
        future.result()
    told = []
    future.add_done_callback(told.append)
    assert told == [future]


@pytest.mark.parametrize("kind", ["unary_stream", "stream_stream"])
def test_an_interceptor_of_streams_that_raises(kind):
    outcome = getattr(grpc.intercept_channel(Channel(), All(failing)), kind)("/s/m")("r")
    assert isinstance(outcome, grpc.RpcError) and outcome.code() is grpc.StatusCode.INTERNAL
    with pytest.raises(ValueError, match="boom"):
        next(iter(outcome))


def test_errors_of_the_channel_are_returned_to_the_interceptor():
    from grpc._interceptor import _FailureOutcome

    for error, kind in ((Error(), Error), (KeyError("k"), _FailureOutcome)):
        seen = []

        def function(continuation, details, request, seen=seen):
            seen.append(continuation(details, request))
            return seen[-1]

        channel = grpc.intercept_channel(Channel(error), All(function))
        with pytest.raises(type(error)):
            channel.unary_unary("/s/m")("r")
        assert type(seen[0]) is kind


def test_what_is_no_call_is_asked_for_its_result():
    channel = grpc.intercept_channel(Channel(), All(lambda *arguments: None))
    with pytest.raises(AttributeError, match="'NoneType' object has no attribute 'result'"):
        channel.unary_unary("/s/m")("r")
    assert channel.unary_unary("/s/m").future("r") is None


def test_only_the_kinds_that_an_object_implements():
    class One(grpc.UnaryUnaryClientInterceptor):
        def intercept_unary_unary(self, continuation, client_call_details, request):
            return continuation(client_call_details, request)

    channel = grpc.intercept_channel(Channel(), One())
    assert type(channel.unary_stream("/s/m")) is Calls
    assert isinstance(channel.unary_unary("/s/m"), grpc.UnaryUnaryMultiCallable)


def test_an_object_of_no_kind():
    with pytest.raises(TypeError) as error:
        grpc.intercept_channel(Channel(), object())
    assert str(error.value) == (
        "interceptor must be grpc.UnaryUnaryClientInterceptor or grpc.UnaryStreamClientInterceptor"
        " or grpc.StreamUnaryClientInterceptor or grpc.StreamStreamClientInterceptor"
    )
    inner = Channel()
    assert grpc.intercept_channel(inner) is inner


def test_the_rest_goes_to_the_channel():
    inner = Channel()
    first, second = All(passing), All(passing)
    channel = grpc.intercept_channel(inner, first, second)
    assert isinstance(channel, grpc.Channel)
    assert channel._interceptor is first and channel._channel._interceptor is second
    assert channel._channel._channel is inner
    channel.subscribe(print, try_to_connect=True)
    assert inner.subscribed == [(print, True)]
    channel.unsubscribe(print)
    assert inner.subscribed == []
    with channel as entered:
        assert entered is channel
    assert inner.closed == 1
    channel.close()
    assert inner.closed == 2
