"""TLS and call credentials through `grpc.aio`."""

import asyncio
import gc
import threading

import grpc
import pytest
from grpc import aio

from .certificates import Authority
from .conftest import METHOD, Seen

token = grpc.access_token_call_credentials
plugin = grpc.metadata_call_credentials


class Who(grpc.GenericRpcHandler):
    """Answers with whom it sees: once, or for each request."""

    def service(self, details):
        kind = details.method.rpartition("/")[2]
        if kind == "Answers":
            return grpc.unary_stream_rpc_method_handler(self._answers)
        if kind == "Requests":
            return grpc.stream_unary_rpc_method_handler(self._requests)
        if kind == "Stream":
            return grpc.stream_stream_rpc_method_handler(self._stream)
        return grpc.unary_unary_rpc_method_handler(self._who)

    async def _who(self, request, context):
        seen = (
            dict(context.auth_context()),
            context.peer_identities(),
            context.peer_identity_key(),
            [tuple(pair) for pair in context.invocation_metadata()],
        )
        return repr(seen).encode()

    async def _answers(self, request, context):
        yield await self._who(request, context)

    async def _requests(self, requests, context):
        async for request in requests:
            last = request
        return await self._who(last, context)

    async def _stream(self, requests, context):
        async for request in requests:
            yield await self._who(request, context)


def over(target, trust, test, options=None):
    """Runs `test(channel)` in a loop of its own."""

    async def main():
        async with aio.secure_channel(target, trust, options) as channel:
            return await test(channel)

    return asyncio.run(main())


def ask(target, trust, options=None, **arguments):
    """One call: what the server saw, or the error."""

    async def test(channel):
        arguments.setdefault("timeout", 20)
        try:
            return Seen(await channel.unary_unary(METHOD)(b"", **arguments))
        except aio.AioRpcError as error:
            return error

    return over(target, trust, test, options)


def test_a_call(tls, root):
    assert ask(tls, root).auth_context["ssl_requested_server_name"] == [b"localhost"]


def test_streams_and_large_messages(tls, root):
    async def test(channel):
        large = channel.unary_unary(METHOD)(bytes(3 << 20), timeout=30)
        stream = channel.stream_stream("/trust.Test/Stream")([b"1", b"2"], timeout=20)
        answers = [answer async for answer in stream]
        return await large, answers

    large, answers = over(tls, root, test)
    assert large and len(answers) == 2


def test_who_is_refused(tls, root, on_ferrpc):
    for trust, options, text in [
        (grpc.ssl_channel_credentials(Authority("other").pem), None, "unknown issuer"),
        (root, [("grpc.ssl_target_name_override", "a.example")], "wrong name"),
        (grpc.ssl_channel_credentials(b"junk"), None, "no certificate in PEM"),
    ]:
        error = ask(tls, trust, options)
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        if on_ferrpc:
            assert text in error.details()


def test_a_server(authority):
    mine = grpc.ssl_channel_credentials(authority.pem, *authority.issue("me"))

    async def main():
        server = aio.server()
        server.add_generic_rpc_handlers((Who(),))
        pair = authority.issue("localhost")
        secure = grpc.ssl_server_credentials([pair], authority.pem, True)
        ports = [
            server.add_secure_port("localhost:0", secure),
            server.add_secure_port("127.0.0.1:0", grpc.local_server_credentials()),
            server.add_insecure_port("localhost:0"),
        ]
        await server.start()
        seen = []
        channels = [
            aio.secure_channel(f"localhost:{ports[0]}", mine),
            aio.secure_channel(f"127.0.0.1:{ports[1]}", grpc.local_channel_credentials()),
            aio.insecure_channel(f"localhost:{ports[2]}"),
        ]
        for channel in channels:
            async with channel:
                seen.append(Seen(await channel.unary_unary(METHOD)(b"", timeout=20)))
        await server.stop(0)
        return seen

    identities = [(each.identities, each.key) for each in asyncio.run(main())]
    assert identities[0] == ([b"me"], "x509_subject_alternative_name")
    assert identities[1] == ([b"local"], "transport_security_type")
    assert identities[2] == (None, None)


def test_junk_at_a_servers_port():
    async def main():
        credentials = grpc.ssl_server_credentials([(b"junk", b"junk")])
        with pytest.raises(RuntimeError, match="Failed to bind to address localhost:0"):
            aio.server().add_secure_port("localhost:0", credentials)

    asyncio.run(main())


def test_certificates_of_a_fetcher(authority, root):
    threads = set()

    def fetch():
        threads.add(threading.current_thread())

    first = grpc.ssl_server_certificate_configuration([authority.issue("localhost")])

    async def main():
        server = aio.server()
        server.add_generic_rpc_handlers((Who(),))
        credentials = grpc.dynamic_ssl_server_credentials(first, fetch)
        port = server.add_secure_port("localhost:0", credentials)
        await server.start()
        async with aio.secure_channel(f"localhost:{port}", root) as channel:
            await channel.unary_unary(METHOD)(b"", timeout=20)
        await server.stop(0)

    asyncio.run(main())
    assert threads and threading.current_thread() not in threads


# -- call credentials ------------------------------------------------------------------------------


def test_call_credentials_with_asyncio_on_both_sides(authority):
    """All kinds of calls, over mutual TLS, with credentials of the channel's and of the call's."""
    mine = grpc.ssl_channel_credentials(authority.pem, *authority.issue("me"))
    urls = set()

    def say(context, callback):
        urls.add(context.service_url)
        threading.Timer(0.01, callback, ((("k", context.method_name),), None)).start()

    async def main():
        server = aio.server()
        server.add_generic_rpc_handlers((Who(),))
        pair = authority.issue("localhost")
        secure = grpc.ssl_server_credentials([pair], authority.pem, True)
        port = server.add_secure_port("localhost:0", secure)
        await server.start()
        trust = grpc.composite_channel_credentials(mine, token("channel's"))
        async with aio.secure_channel(f"localhost:{port}", trust) as channel:
            more = {"credentials": plugin(say), "timeout": 20}
            answers = [
                await channel.unary_unary("/trust.Test/Who")(b"", **more),
                *[one async for one in channel.unary_stream("/trust.Test/Answers")(b"", **more)],
                await channel.stream_unary("/trust.Test/Requests")([b"1", b"2"], **more),
            ]
            both = channel.stream_stream("/trust.Test/Stream")(**more)
            for _ in range(2):
                await both.write(b"1")
                answers.append(await both.read())
            await both.done_writing()
            assert await both.read() is aio.EOF
        await server.stop(0)
        return port, [Seen(answer) for answer in answers]

    port, seen = asyncio.run(main())
    assert urls == {f"https://localhost:{port}/trust.Test"}
    for each, method in zip(seen, ["Who", "Answers", "Requests", "Stream", "Stream"], strict=True):
        assert each.identities == [b"me"]
        assert ("authorization", "Bearer channel's") in each.metadata
        assert ("k", method) in each.metadata


def test_tokens(tls, root):
    channels = grpc.composite_channel_credentials(root, token("channel's"))
    seen = ask(tls, channels, credentials=token("mine"), metadata=(("x", "y"),))
    assert seen.metadata == [
        ("x", "y"),
        ("authorization", "Bearer channel's"),
        ("authorization", "Bearer mine"),
    ]


def test_plugins(tls, root):
    told = []

    def say(context, callback):
        told.append((context.service_url, context.method_name))
        threading.Timer(0.05, callback, ((("k", "late"),), None)).start()

    assert ask(tls, root, credentials=plugin(say)).metadata == [("k", "late")]
    assert told == [(f"https://{tls}/trust.Test", "Who")]


def test_plugins_of_streams(tls, root):
    def say(context, callback):
        threading.Timer(0.05, callback, ((("k", "late"),), None)).start()

    async def test(channel):
        stream = channel.stream_stream("/trust.Test/Stream")
        read = stream([b"1", b"2"], timeout=20, credentials=plugin(say))
        answers = [answer async for answer in read]
        call = stream(timeout=20, credentials=plugin(say))
        await call.write(b"1")
        answers.append(await call.read())
        await call.done_writing()
        assert await call.read() is aio.EOF
        assert await call.code() is grpc.StatusCode.OK
        empty = stream(timeout=20, credentials=plugin(say))
        await empty.done_writing()
        assert await empty.read() is aio.EOF
        return answers

    answers = over(tls, root, test)
    assert len(answers) == 3
    assert all(b"('k', 'late')" in answer for answer in answers)


def test_a_plugin_that_fails(tls, root):
    def fail(context, callback):
        callback(None, ValueError("no luck"))

    error = ask(tls, root, credentials=plugin(fail))
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert error.details() == "Getting metadata from plugin failed with error: no luck"

    async def test(channel):
        call = channel.stream_stream("/trust.Test/Stream")([b"1"], credentials=plugin(fail))
        with pytest.raises(aio.AioRpcError):
            await call.read()
        return await call.code()

    assert over(tls, root, test) is grpc.StatusCode.UNAVAILABLE


def test_a_plugin_that_does_not_answer(tls, root):
    kept = []
    never = plugin(lambda context, callback: kept.append(callback))
    error = ask(tls, root, timeout=0.3, credentials=never)
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED

    async def test(channel):
        call = channel.unary_unary(METHOD)(b"", credentials=never)
        await asyncio.sleep(0.05)
        assert not call.done()
        assert call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        waiting = asyncio.ensure_future(
            channel.stream_stream("/trust.Test/Stream")([b""], credentials=never).read()
        )
        await asyncio.sleep(0.05)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    over(tls, root, test)
    gc.collect()
    for callback in kept:
        # The loops are closed.
        callback((), None)


def test_an_insecure_channel_refuses_them(serve):
    async def main():
        async with aio.insecure_channel(serve(None)) as channel:
            with pytest.raises(aio.UsageError):
                await channel.unary_unary(METHOD)(b"", credentials=token("t"))

    asyncio.run(main())


def test_a_secure_channel_wants_credentials(tls):
    async def main():
        with pytest.raises(AttributeError):
            aio.secure_channel(tls, None)

    asyncio.run(main())
