"""The life of an asyncio server: ports, start and stop."""

import asyncio
import contextlib
import functools
import gc
import socket

import grpc
import grpc.aio
import pytest

from .serving import LIMIT, Service, eventually, make, run, serving

Code = grpc.StatusCode


async def _hello(request, context):
    return request


# -- order -----------------------------------------------------------------------------------------


def test_start_and_stop_in_any_order():
    async def main():
        server = grpc.aio.server()
        await server.stop(None)
        assert await server.wait_for_termination(0.01) is True
        port = server.add_insecure_port("127.0.0.1:0")
        assert port > 0 and server.add_insecure_port(b"127.0.0.1:0") > 0
        await server.start()
        await server.start()
        assert server.add_insecure_port("127.0.0.1:0") > 0
        server.add_generic_rpc_handlers((Service({}),))
        server.add_registered_method_handlers("s", {})
        assert await server.wait_for_termination(0.01) is True
        waiting = [asyncio.ensure_future(server.wait_for_termination()) for _ in range(2)]
        await asyncio.sleep(0)
        await asyncio.gather(server.stop(None), server.stop(1))
        assert await asyncio.gather(*waiting) == [False, False]
        await server.stop(None)
        assert await server.wait_for_termination() is False
        with pytest.raises(grpc.aio.UsageError, match="Server not in ready state"):
            await server.start()

    run(main)


@pytest.mark.ferrpc_only("grpcio crashes")
def test_no_port_is_added_to_a_stopped_server():
    async def main():
        server = grpc.aio.server()
        await server.start()
        await server.stop(None)
        with pytest.raises(grpc.aio.UsageError, match="the server was stopped"):
            server.add_insecure_port("127.0.0.1:0")

    run(main)


@pytest.mark.parametrize("address", ["nosuch.invalid:0", "127.0.0.1:notaport"])
def test_an_address_that_cannot_be_bound(address):
    async def main():
        with pytest.raises(RuntimeError, match=f"Failed to bind to address {address}"):
            grpc.aio.server().add_insecure_port(address)

    run(main)


def test_a_unix_socket_has_port_one(tmp_path):
    async def main():
        server = grpc.aio.server(handlers=[Service({"/s/UU": make("UU", _hello)})])
        assert server.add_insecure_port(f"unix:{tmp_path}/socket") == 1
        await server.start()
        with grpc.insecure_channel(f"unix:{tmp_path}/socket") as channel:
            call = channel.unary_unary("/s/UU")
            assert await asyncio.to_thread(call, b"q", timeout=LIMIT) == b"q"
        await server.stop(None)

    run(main)


def test_a_server_may_be_made_before_its_loop_runs():
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        server = grpc.aio.server(handlers=[Service({"/s/UU": make("UU", _hello)})])
        port = server.add_insecure_port("127.0.0.1:0")

        async def main():
            await server.start()
            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                call = channel.unary_unary("/s/UU")
                assert await asyncio.to_thread(call, b"q", timeout=LIMIT) == b"q"
            await server.stop(None)

        loop.run_until_complete(asyncio.wait_for(main(), LIMIT))
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        asyncio.set_event_loop(None)
        loop.close()


# -- stop ------------------------------------------------------------------------------------------


def test_a_graceful_stop_waits_for_calls_and_takes_no_more():
    release = asyncio.Event()

    async def waits(request, context):
        began.set()
        await release.wait()
        return b"done"

    async def main():
        nonlocal began
        began = asyncio.Event()
        async with serving({"/s/UU": waits}) as ends:
            call = asyncio.ensure_future(ends.uu("/s/UU"))
            await began.wait()
            stopping = asyncio.ensure_future(ends.server.stop(LIMIT))
            await asyncio.sleep(0)
            with grpc.insecure_channel(f"127.0.0.1:{ends.port}") as another:
                with pytest.raises(grpc.RpcError) as caught:
                    await asyncio.to_thread(another.unary_unary("/s/UU"), b"", timeout=LIMIT)
            assert caught.value.code() is Code.UNAVAILABLE
            assert not stopping.done()
            release.set()
            assert await call == b"done"
            await stopping

    began = None
    run(main)


def test_a_second_stop_has_less_patience():
    cancelled = []

    async def waits(request, context):
        began.set()
        try:
            await asyncio.sleep(LIMIT)
        finally:
            cancelled.append(True)

    async def main():
        nonlocal began
        began = asyncio.Event()
        async with serving({"/s/UU": waits}) as ends:
            call = asyncio.ensure_future(ends.fails("/s/UU"))
            await began.wait()
            patient = asyncio.ensure_future(ends.server.stop(LIMIT))
            await asyncio.sleep(0)
            await ends.server.stop(0)
            await patient
            assert (await call)[0] is Code.UNAVAILABLE
            await eventually(lambda: cancelled)

    began = None
    run(main)


@pytest.mark.ferrpc_only("of grpcio it is not known")
def test_stop_does_not_hang_on_whom_it_waits_for():
    """Peers that say nothing, and handlers that do not let themselves be cancelled."""
    release = asyncio.Event()

    async def stubborn(request, context):
        began.set()
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                pass

    async def main():
        nonlocal began
        began = asyncio.Event()
        async with serving({"/s/UU": stubborn}) as ends:
            with socket.create_connection(("127.0.0.1", ends.port)) as silent:
                silent.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0")
                await asyncio.to_thread(silent.recv, 1)
                call = asyncio.ensure_future(ends.fails("/s/UU"))
                await began.wait()
                await asyncio.wait_for(ends.server.stop(0), LIMIT / 2)
                assert (await call)[0] is Code.UNAVAILABLE
            release.set()

    began = None
    run(main)


def test_a_stop_that_is_cancelled_goes_on():
    async def main():
        async with serving({"/s/UU": _hello}) as ends:
            stopping = asyncio.ensure_future(ends.server.stop(0))
            await asyncio.sleep(0)
            stopping.cancel()
            assert await ends.server.wait_for_termination() is False

    run(main)


def test_a_forgotten_server_stops(on_ferrpc):
    # A call that reached grpcio's server while it stopped is cancelled.
    ends = {Code.UNAVAILABLE} if on_ferrpc else {Code.UNAVAILABLE, Code.CANCELLED}

    async def main():
        server = grpc.aio.server(handlers=[Service({"/s/UU": make("UU", _hello)})])
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            call = channel.unary_unary("/s/UU")
            assert await asyncio.to_thread(call, b"q", timeout=LIMIT) == b"q"
            del server
            gc.collect()
            while True:
                try:
                    await asyncio.to_thread(call, b"q", timeout=LIMIT)
                except grpc.RpcError as error:
                    assert error.code() in ends
                    break

    run(main)


# What a handler does behind the end of its call.
async def _clean_up(done):
    await asyncio.sleep(0.3)
    done.append(True)


async def _aborts(request, context, done):
    try:
        await context.abort(Code.NOT_FOUND, "gone")
    finally:
        await _clean_up(done)


async def _aborts_later(request, context, done):
    await asyncio.sleep(0.05)
    await _aborts(request, context, done)


async def _outlives_its_deadline(request, context, done):
    try:
        await asyncio.sleep(LIMIT)
    finally:
        await _clean_up(done)


@contextlib.asynccontextmanager
async def _begun(handler, **arguments):
    """A server, and a call to it whose handler has begun."""
    began = asyncio.Event()

    async def begins(request, context):
        began.set()
        await handler(request, context)

    async with serving({"/s/UU": begins}) as ends:
        call = asyncio.ensure_future(ends.fails("/s/UU", **arguments))
        await began.wait()
        yield ends, call
        await call


@pytest.mark.ferrpc_only("in grpcio it does not wait for handlers whose calls are over")
@pytest.mark.parametrize("how", [_aborts, _aborts_later, _outlives_its_deadline])
@pytest.mark.parametrize("waits_for", ["stop", "termination"])
def test_a_graceful_stop_waits_for_what_handlers_do_behind_their_calls(how, waits_for):
    done = []

    async def main():
        timeout = 0.5 if how is _outlives_its_deadline else LIMIT
        handler = functools.partial(how, done=done)
        async with _begun(handler, timeout=timeout) as (ends, call):
            stopping = asyncio.ensure_future(ends.server.stop(LIMIT))
            if waits_for == "termination":
                await ends.server.wait_for_termination()
            else:
                await stopping
            assert done == [True]
            await stopping
            assert (await call)[0] in (Code.NOT_FOUND, Code.DEADLINE_EXCEEDED)

    run(main)


@pytest.mark.parametrize("first", [0.5, 1000])
def test_a_stop_does_not_wait_for_handlers_longer_than_its_grace(first):
    async def handler(request, context):
        try:
            await context.abort(Code.NOT_FOUND, "gone")
        finally:
            await asyncio.sleep(LIMIT)

    async def main():
        async with _begun(handler) as (ends, call):
            await call
            stopping = asyncio.ensure_future(ends.server.stop(first))
            await asyncio.sleep(0.1)
            if first > LIMIT:
                # Somebody else has less patience.
                await ends.server.stop(0.1)
            await stopping

    run(main)


@pytest.mark.ferrpc_only("in grpcio stop() is ahead of them")
@pytest.mark.parametrize("grace", [None, 0.1])
def test_what_handlers_release_when_they_are_cancelled_is_released_by_a_stop(grace):
    released = []

    async def handler(request, context):
        try:
            await asyncio.sleep(LIMIT)
        finally:
            released.append(True)

    async def main():
        async with _begun(handler) as (ends, _):
            await ends.server.stop(grace)
            assert released == [True]

    run(main)
