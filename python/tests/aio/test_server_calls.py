"""What handlers of an asyncio server learn of their calls, and how calls are cut short."""

import asyncio
import contextvars
import gc
import threading
import time

import grpc
import grpc.aio
import pytest

from .serving import LIMIT, eventually, make, run, serving

Code = grpc.StatusCode


async def _hello(request, context):
    return request


# -- the context ----------------------------------------------------------------------------------


def test_what_a_context_knows():
    seen = {}

    async def handler(request, context):
        seen["before"] = (context.code(), context.details(), context.trailing_metadata())
        seen["metadata"] = dict(context.invocation_metadata())
        seen["peer"] = context.peer().rpartition(":")[0]
        seen["identities"] = (context.peer_identities(), context.peer_identity_key())
        seen["security"] = context.auth_context()
        seen["remaining"] = context.time_remaining()
        seen["over"] = (context.cancelled(), context.done())
        seen["request"] = await context.read()
        context.set_code(Code.OK)
        context.set_details("fine")
        context.set_trailing_metadata((("a", "b"), ("c-bin", b"\x00")))
        seen["after"] = (context.code(), context.details(), context.trailing_metadata())
        seen["kind"] = isinstance(context, (grpc.aio.ServicerContext, grpc.ServicerContext))
        return b"r"

    async def main():
        async with serving({"/s/UU": handler}) as ends:
            response, call = await ends.uu_call("/s/UU", metadata=[("k", "v"), ("k-bin", b"\xff")])
            assert response == b"r"
            assert call.details() == ""
            assert dict(call.trailing_metadata()) == {"a": "b", "c-bin": b"\x00"}

    run(main)
    assert seen["before"] == (None, "", ())
    assert seen["metadata"]["k"] == "v" and seen["metadata"]["k-bin"] == b"\xff"
    assert seen["peer"] == "ipv4:127.0.0.1"
    assert seen["identities"] == (None, None)
    assert seen["security"]["transport_security_type"] == [b"insecure"]
    assert 0 < seen["remaining"] <= LIMIT
    assert seen["over"] == (False, False)
    assert seen["request"] is grpc.aio.EOF
    assert seen["after"] == (Code.OK, "fine", (("a", "b"), ("c-bin", b"\x00")))
    assert not seen["kind"]


def test_without_a_deadline_no_time_is_left_to_tell():
    async def handler(request, context):
        return repr(context.time_remaining()).encode()

    async def main():
        async with serving({"/s/UU": handler}) as ends:
            assert await ends.uu("/s/UU", timeout=None) == b"None"

    run(main)


def test_initial_metadata_is_sent_once():
    async def handler(request, context):
        await context.send_initial_metadata((("i", "1"),))
        with pytest.raises(grpc.aio.UsageError, match="already sent"):
            await context.send_initial_metadata((("i", "2"),))
        return b""

    async def late(request, context):
        yield b"1"
        with pytest.raises(grpc.aio.UsageError, match="already sent"):
            await context.send_initial_metadata((("i", "2"),))
        with pytest.raises(RuntimeError, match="before sending initial metadata"):
            context.set_compression(grpc.Compression.Gzip)

    def plain(request, context):
        context.send_initial_metadata((("i", "1"),))
        with pytest.raises(grpc.aio.UsageError, match="already sent"):
            context.send_initial_metadata((("i", "2"),))
        return b""

    async def main():
        async with serving({"/s/UU": handler, "/s/US": late, "/s/UUp": plain}) as ends:
            for path in ("/s/UU", "/s/UUp"):
                _, call = await ends.uu_call(path)
                assert dict(call.initial_metadata()) == {"i": "1"}
            assert await ends.us("/s/US") == [b"1"]

    run(main)


@pytest.mark.parametrize("what", ["initial", "trailing"])
def test_metadata_that_cannot_be_sent(what):
    async def handler(request, context):
        if what == "trailing":
            context.set_trailing_metadata((("BAD KEY", "1"),))
        else:
            with pytest.raises(grpc.aio.InternalError):
                await context.send_initial_metadata((("BAD KEY", "1"),))
        return b""

    async def main():
        async with serving({"/s/UU": handler}) as ends:
            assert await ends.fails("/s/UU") == (Code.INTERNAL, "Invalid metadata")

    run(main)


def test_compression():
    async def handler(request, context):
        context.set_compression(grpc.Compression.Gzip)
        if request == b"not":
            context.disable_next_message_compression()
        return b"a" * 10000

    async def stream(request, context):
        context.set_compression(grpc.Compression.Deflate)
        for number in range(4):
            if number % 2:
                context.disable_next_message_compression()
            yield b"a" * 10000

    async def main():
        behaviors = {"/s/UU": handler, "/s/US": stream, "/s/UUall": _hello}
        async with serving(behaviors, compression=grpc.Compression.Gzip) as ends:
            for request in (b"", b"not"):
                assert await ends.uu("/s/UU", request) == b"a" * 10000
            assert await ends.us("/s/US") == [b"a" * 10000] * 4
            assert await ends.uu("/s/UUall", b"a" * 10000) == b"a" * 10000

    run(main)


# -- abort ----------------------------------------------------------------------------------------


async def _aborts(request, context):
    await context.abort(Code.NOT_FOUND, "gone", (("k", "v"),))


async def _aborts_with_what_was_set(request, context):
    context.set_trailing_metadata((("k", "v"),))
    await context.abort(Code.NOT_FOUND, "gone")


async def _swallows(request, context):
    with pytest.raises(grpc.aio.AbortError, match=r"Locally aborted\."):
        await context.abort(Code.NOT_FOUND, "gone", (("k", "v"),))
    assert context.done() and not context.cancelled()
    assert (context.code(), context.details()) == (Code.NOT_FOUND, "gone")
    for after in (context.read(), context.write(b""), context.send_initial_metadata(())):
        with pytest.raises(grpc.aio.AbortError):
            await after
    with pytest.raises(grpc.aio.UsageError, match="Abort already called!"):
        await context.abort(Code.INTERNAL, "again")
    return b"late"


async def _aborts_with_status(request, context):
    class Status(grpc.Status):
        code = Code.NOT_FOUND
        details = "gone"
        trailing_metadata = (("k", "v"),)

    await context.abort_with_status(Status())


async def _raises_another(request, context):
    try:
        await context.abort(Code.NOT_FOUND, "gone", (("k", "v"),))
    except grpc.aio.AbortError:
        raise ValueError("another") from None


async def _aborts_by_number(request, context):
    await context.abort(5, "gone", (("k", "v"),))


def _plain_aborts(request, context):
    context.abort(Code.NOT_FOUND, "gone", (("k", "v"),))


@pytest.mark.parametrize(
    "handler",
    [
        _aborts,
        _aborts_with_what_was_set,
        _swallows,
        _aborts_with_status,
        _raises_another,
        _aborts_by_number,
        _plain_aborts,
    ],
)
def test_abort(handler):
    async def main():
        async with serving({"/s/UU": handler}) as ends:
            with pytest.raises(grpc.RpcError) as caught:
                await ends.uu("/s/UU")
            assert (caught.value.code(), caught.value.details()) == (Code.NOT_FOUND, "gone")
            assert dict(caught.value.trailing_metadata()) == {"k": "v"}

    run(main)


def test_abort_in_a_stream():
    async def handler(request, context):
        yield b"1"
        await context.abort(Code.NOT_FOUND, "gone")

    async def main():
        async with serving({"/s/US": handler}) as ends:
            call = ends.channel.unary_stream("/s/US")(b"", timeout=LIMIT)
            assert await asyncio.to_thread(next, call) == b"1"
            assert await asyncio.to_thread(call.code) is Code.NOT_FOUND

    run(main)


@pytest.mark.ferrpc_only("grpcio leaves the caller waiting")
def test_abort_with_ok_is_an_error():
    async def handler(request, context):
        await context.abort(Code.OK, "fine")

    async def main():
        async with serving({"/s/UU": handler}) as ends:
            assert await ends.fails("/s/UU") == (Code.UNKNOWN, "")

    run(main)


# -- callbacks ------------------------------------------------------------------------------------


def test_callbacks_run_in_the_loop_when_the_handler_has_ended():
    heard = []

    async def handler(request, context):
        context.add_done_callback(lambda ended: heard.append((ended, threading.get_ident())))
        with pytest.raises(TypeError):
            context.add_done_callback("no function")
        heard.append(context)
        return b""

    def plain(request, context):
        context.add_callback(lambda: heard.append(threading.get_ident()))
        return b""

    async def main():
        async with serving({"/s/UU": handler, "/s/UUp": plain}) as ends:
            await ends.uu("/s/UU")
            await eventually(lambda: len(heard) == 2)
            assert heard[1] == (heard[0], threading.get_ident())
            heard.clear()
            await ends.uu("/s/UUp")
            await eventually(lambda: heard == [threading.get_ident()])

    run(main)


# -- cancellation ---------------------------------------------------------------------------------


class Stage:
    """Handlers that note how far they came."""

    def __init__(self):
        self.heard = []
        self.began = asyncio.Event()

    async def waits(self, request, context):
        context.add_done_callback(lambda context: self.heard.append("over"))
        self.began.set()
        try:
            await asyncio.sleep(LIMIT)
        except asyncio.CancelledError:
            self.heard.append("cancelled")
            raise
        return b""

    async def streams(self, request, context):
        try:
            while True:
                yield b"1"
                self.began.set()
                await asyncio.sleep(0.001)
        finally:
            self.heard.append("cancelled")
            self.heard.append("over")

    async def swallows(self, request, context):
        try:
            await self.waits(request, context)
        except asyncio.CancelledError:
            pass
        try:
            await context.send_initial_metadata(())
        except grpc.aio.BaseError:
            self.heard.append("no metadata")
        return b"late"

    async def floods(self, request, context):
        self.began.set()
        try:
            while True:
                await context.write(b"1" * 100000)
        except asyncio.CancelledError:
            self.heard += ["cancelled", "over"]
            raise


CANCELLED = [
    ("/s/UU", "waits", ["cancelled", "over"]),
    ("/s/UU", "swallows", ["cancelled", "no metadata", "over"]),
    ("/s/US", "streams", ["cancelled", "over"]),
]


@pytest.mark.parametrize(("path", "name", "expected"), CANCELLED)
@pytest.mark.parametrize("how", ["cancel", "deadline", "stop"])
def test_a_handler_is_cancelled_with_its_call(how, path, name, expected, on_ferrpc):
    if not on_ferrpc and (how, name) == ("stop", "streams"):
        pytest.skip("ferrpc_only: grpcio's caller hears nothing before its deadline")

    async def main():
        stage = Stage()
        async with serving({path: getattr(stage, name)}) as ends:
            timeout = 0.3 if how == "deadline" else LIMIT
            if path == "/s/UU":
                call = ends.channel.unary_unary(path).future(b"", timeout=timeout)
            else:
                call = ends.channel.unary_stream(path)(b"", timeout=timeout)
            await stage.began.wait()
            if how == "cancel":
                call.cancel()
            elif how == "stop":
                await asyncio.wait_for(ends.server.stop(0), LIMIT / 2)
            await eventually(lambda: stage.heard == expected)
            codes = {
                "cancel": Code.CANCELLED,
                "deadline": Code.DEADLINE_EXCEEDED,
                "stop": Code.UNAVAILABLE,
            }
            assert await asyncio.to_thread(call.code) is codes[how]

    run(main)


@pytest.mark.ferrpc_only("grpcio does not cancel a handler whose messages are not sent")
def test_a_handler_that_waits_for_room_is_cancelled():
    async def main():
        stage = Stage()
        async with serving({"/s/US": stage.floods}) as ends:
            call = ends.channel.unary_stream("/s/US")(b"", timeout=LIMIT)
            await asyncio.to_thread(next, call)
            call.cancel()
            await eventually(lambda: stage.heard == ["cancelled", "over"])

    run(main)


@pytest.mark.ferrpc_only("to grpcio's handlers a cancelled stream looks like a complete one")
def test_a_cancelled_stream_of_requests_has_no_end():
    heard = []

    async def handler(requests, context):
        try:
            async for request in requests:
                heard.append(request)
            heard.append("complete")
        finally:
            heard.append("over")

    async def main():
        async with serving({"/s/SU": handler}) as ends:
            open_end = threading.Event()

            def requests():
                yield b"1"
                open_end.wait(LIMIT)

            call = ends.channel.stream_unary("/s/SU").future(requests(), timeout=LIMIT)
            await eventually(lambda: heard == [b"1"])
            call.cancel()
            await eventually(lambda: len(heard) > 1)
            assert heard == [b"1", "over"]
            open_end.set()

    run(main)


@pytest.mark.parametrize("how", ["read", "iterate", "write"])
def test_a_handler_that_finds_its_call_over_is_cancelled(how, caplog):
    """The call was cancelled while the loop was blocked: the handler gets there first."""
    heard = []
    over = threading.Event()

    async def handler(requests, context):
        iterator = requests.__aiter__()
        assert await iterator.__anext__() == b"1"
        context_began.set()
        assert over.wait(LIMIT)
        try:
            if how == "read":
                await context.read()
            elif how == "iterate":
                await iterator.__anext__()
            else:
                await context.write(b"1")
        except BaseException as error:
            heard.append(type(error))
            raise
        finally:
            heard.append("over")

    context_began = threading.Event()

    def cancels(port):
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            open_end = threading.Event()

            def requests():
                yield b"1"
                open_end.wait(LIMIT)

            call = channel.stream_stream("/s/SS")(requests(), timeout=LIMIT)
            assert context_began.wait(LIMIT)
            call.cancel()
            # Nobody says when the server has received that. Were it later, the handler would wait,
            # and be cancelled all the same.
            time.sleep(0.3)
            over.set()
            open_end.set()

    async def main():
        async with serving({"/s/SS": handler}) as ends:
            await asyncio.to_thread(cancels, ends.port)
            await eventually(lambda: "over" in heard)
        assert heard == [asyncio.CancelledError, "over"]
        assert not caplog.records

    run(main)


@pytest.mark.ferrpc_only("grpcio says False in a handler that is being cancelled")
def test_a_cancelled_context_says_so():
    heard = []

    async def handler(request, context):
        heard.append(context.cancelled())
        try:
            await asyncio.sleep(LIMIT)
        finally:
            heard.append((context.cancelled(), context.done()))

    async def main():
        async with serving({"/s/UU": handler}) as ends:
            call = ends.channel.unary_unary("/s/UU").future(b"", timeout=LIMIT)
            await eventually(lambda: heard)
            call.cancel()
            await eventually(lambda: heard == [False, (True, True)])

    run(main)


@pytest.mark.ferrpc_only("in grpcio the function goes on to its end")
def test_a_plain_function_learns_that_its_call_is_over():
    heard = []

    def handler(request, context):
        try:
            for _ in range(100_000):
                yield b"1" * 1000
                time.sleep(0.0001)
        finally:
            heard.append("closed")

    async def main():
        async with serving({"/s/US": handler}) as ends:
            call = ends.channel.unary_stream("/s/US")(b"", timeout=LIMIT)
            await asyncio.to_thread(next, call)
            call.cancel()
            await eventually(lambda: gc.collect() is not None and heard == ["closed"])

    run(main)


# -- interceptors ---------------------------------------------------------------------------------

_variable = contextvars.ContextVar("variable", default="unset")


class _Adds(grpc.aio.ServerInterceptor):
    def __init__(self, text):
        self._text = text

    async def intercept_service(self, continuation, handler_call_details):
        await asyncio.sleep(0)
        assert handler_call_details.method.startswith("/s/")
        assert "user-agent" in dict(handler_call_details.invocation_metadata)
        _variable.set(_variable.get() + self._text)
        return await continuation(handler_call_details)


class _Answers(grpc.aio.ServerInterceptor):
    def __init__(self, answer):
        self._answer = answer

    async def intercept_service(self, continuation, handler_call_details):
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


def test_context_variables_reach_the_handler():
    async def handler(request, context):
        before = _variable.get()
        token = _variable.set("inside")
        await asyncio.sleep(0)
        # It is the same context still: a token of another could not be used.
        _variable.reset(token)
        return f"{before} {_variable.get()}".encode()

    async def main():
        _variable.set("outside")
        interceptors = [_Adds("+a"), _Adds("+b")]
        async with serving({"/s/UU": handler}, interceptors=interceptors) as ends:
            _variable.set("too late")
            for _ in range(2):
                assert await ends.uu("/s/UU") == b"outside+a+b outside+a+b"

    run(main)


def test_what_interceptors_may_answer():
    async def other(request, context):
        return b"other"

    async def refuses(request, context):
        await context.abort(Code.UNAUTHENTICATED, "who?")

    async def stream(request, context):
        yield b"streamed"

    unimplemented = (Code.UNIMPLEMENTED, "Method not found!")
    answers = [
        (make("UU", other), b"other"),
        (make("UU", refuses), (Code.UNAUTHENTICATED, "who?")),
        (make("US", stream), b"streamed"),
        (None, unimplemented),
        (ValueError("boom"), (Code.UNKNOWN, "Unexpected <class 'ValueError'>: boom")),
    ]

    async def main():
        for answer, expected in answers:
            async with serving({"/s/UU": _hello}, interceptors=[_Answers(answer)]) as ends:
                if isinstance(expected, bytes):
                    assert await ends.uu("/s/UU") == expected
                else:
                    assert await ends.fails("/s/UU") == expected

    run(main)


def test_only_interceptors_of_servers_are_taken():
    async def main():
        with pytest.raises(ValueError, match="must be ServerInterceptor"):
            grpc.aio.server(interceptors=[object()])
        with pytest.raises(ValueError, match="should be a positive integer"):
            grpc.aio.server(maximum_concurrent_rpcs=0)

    run(main)


# -- the first step -------------------------------------------------------------------------------


def test_the_current_task_is_the_same_from_the_first_step_to_the_last():
    tasks = []

    async def handler(request, context):
        task = asyncio.current_task()
        assert task in asyncio.all_tasks() and not task.done()
        await asyncio.sleep(0)
        assert asyncio.current_task() is task
        await asyncio.sleep(0.001)
        assert asyncio.current_task() is task
        tasks.append(task)
        return task.get_name().encode()

    async def main():
        async with serving({"/s/UU": handler}) as ends:
            for _ in range(3):
                assert await ends.uu("/s/UU") == b"HandleExceptions[/s/UU]"
            await eventually(lambda: all(task.done() for task in tasks))
            assert len(set(tasks)) == 3

    run(main)


def test_a_task_that_was_kept_is_no_other_handlers():
    kept = []

    async def handler(request, context):
        kept.append(asyncio.current_task())
        return b""

    async def main():
        async with serving({"/s/UU": handler}) as ends:
            for _ in range(3):
                await ends.uu("/s/UU")
            await eventually(lambda: all(task.done() for task in kept))
            assert len(set(kept)) == 3

    run(main)


def test_a_handler_may_cancel_itself_and_wait_with_timeouts():
    async def cancels(request, context):
        asyncio.current_task().cancel()
        try:
            await asyncio.sleep(LIMIT)
        except asyncio.CancelledError:
            return b"cancelled"

    async def ends_cancelled(request, context):
        asyncio.current_task().cancel()
        return b"not noticed"

    async def times_out(request, context):
        try:
            await asyncio.wait_for(asyncio.sleep(LIMIT), 0.001)
        except asyncio.TimeoutError:
            return b"timeout"

    async def gathers(request, context):
        shared = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(shared.set_result, b"shared")
        waiting = [asyncio.ensure_future(asyncio.shield(shared)) for _ in range(3)]
        first = await shared
        return b" ".join([first, *await asyncio.gather(*waiting)])

    async def main():
        behaviors = {"/s/UU": cancels, "/s/UUe": ends_cancelled, "/s/UUt": times_out}
        async with serving({**behaviors, "/s/UUg": gathers, "/s/UUh": _hello}) as ends:
            for _ in range(2):
                assert await ends.uu("/s/UU") == b"cancelled"
                assert await ends.uu("/s/UUt") == b"timeout"
                assert await ends.uu("/s/UUg") == b"shared shared shared shared"
                assert await ends.uu("/s/UUh") == b"q"

    run(main)


@pytest.mark.ferrpc_only("in grpcio the task is cancelled before it replies")
def test_a_handler_that_cancelled_itself_and_ended_has_ended():
    async def cancels(request, context):
        asyncio.current_task().cancel()
        return request

    async def main():
        async with serving({"/s/UU": cancels, "/s/UUh": _hello}) as ends:
            for path in ("/s/UU", "/s/UUh", "/s/UU", "/s/UUh"):
                assert await ends.uu(path) == b"q"

    run(main)


def test_busy_handlers_leave_others_their_turn():
    turns = []

    async def busy(requests, context):
        async for _ in requests:
            pass
        for _ in range(500):
            await context.write(b"1")
        turns.append("end")

    async def main():
        async with serving({"/s/SS": busy}) as ends:
            call = asyncio.ensure_future(ends.ss("/s/SS", [b""] * 500))
            while not turns or turns[-1] != "end":
                turns.append("turn")
                await asyncio.sleep(0)
            assert len(await call) == 500

    run(main)


def test_debug_mode():
    async def main():
        asyncio.get_running_loop().set_debug(True)
        async with serving({"/s/UU": _hello}) as ends:
            assert await ends.uu("/s/UU") == b"q"

    run(main)


def test_several_servers_on_one_loop():
    async def main():
        async with serving({"/s/UU": _hello}) as first:
            async with serving({"/s/UU": _hello}) as second:
                assert await first.uu("/s/UU") == b"q"
                assert await second.uu("/s/UU") == b"q"
            assert await first.uu("/s/UU", b"still") == b"still"

    run(main)


