"""Each call of a handler is one task of its own, from its first step to its last."""

import asyncio
import contextvars
import sys

import grpc
import pytest

from .serving import LIMIT, eventually, run, serving


async def _hello(request, context):
    return request


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


async def _at_once():
    pass


async def _later():
    await asyncio.sleep(0)


@pytest.fixture(params=[_at_once, _later])
def step(request):
    """What a handler awaits first: it ends in its first step, or not."""
    return request.param


def test_a_task_that_was_kept_is_no_other_handlers(step):
    kept = []

    async def handler(request, context):
        kept.append(asyncio.current_task())
        await step()
        return b""

    async def main():
        async with serving({"/s/UU": handler}) as ends:
            for _ in range(3):
                await ends.uu("/s/UU")
            await eventually(lambda: all(task.done() for task in kept))
            assert len(set(kept)) == 3

    run(main)


def test_the_callbacks_of_a_task_are_called_when_its_handler_has_ended(step):
    ended = []

    async def handler(request, context):
        # Nothing else of the task is kept.
        asyncio.current_task().add_done_callback(lambda task: ended.append(request))
        await step()
        assert request not in ended
        return request

    async def main():
        async with serving({"/s/UU": handler}) as ends:
            for number in range(3):
                await ends.uu("/s/UU", b"%d" % number)
                await eventually(lambda number=number: len(ended) == number + 1)
            assert ended == [b"0", b"1", b"2"]

    run(main)


def test_names_and_cancellations_are_those_of_one_call(step):
    found = []

    async def handler(request, context):
        task = asyncio.current_task()
        found.append(task.get_name())
        task.set_name("renamed")
        await step()
        assert task.get_name() == "renamed"
        if hasattr(task, "uncancel"):
            assert task.cancelling() == 0
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asyncio.sleep(0)
        return b""

    async def main():
        async with serving({"/s/UU": handler}) as ends:
            for _ in range(3):
                await ends.uu("/s/UU")
            assert found == ["HandleExceptions[/s/UU]"] * 3

    run(main)


def test_context_variables_are_those_of_one_call(step):
    variable = contextvars.ContextVar("variable", default="none")
    tokens = []

    async def handler(request, context):
        assert variable.get() == "outer"
        for other in tokens:
            # Not even where they have ended.
            with pytest.raises(ValueError, match="different Context"):
                variable.reset(other)
        tokens.append(variable.set(b"first"))
        token = variable.set(request)
        before = contextvars.copy_context()
        await step()
        assert variable.get() == request
        assert dict(contextvars.copy_context()) == dict(before)
        variable.reset(token)
        assert variable.get() == b"first"
        variable.set("left behind")
        return b""

    async def main():
        variable.set("outer")
        async with serving({"/s/UU": handler}) as ends:
            await asyncio.gather(*(ends.uu("/s/UU", b"%d" % number) for number in range(5)))
            assert variable.get() == "outer"

    run(main)


def test_task_groups_and_timeouts(step):
    async def handler(request, context):
        async with asyncio.timeout(LIMIT), asyncio.TaskGroup() as group:
            await step()
            group.create_task(step())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await asyncio.sleep(LIMIT)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_raise())
                await asyncio.sleep(LIMIT)
        except ExceptionGroup as group:  # noqa: F821 (Python 3.11)
            return str(group.exceptions[0]).encode()

    async def main():
        async with serving({"/s/UU": handler}) as ends:
            for _ in range(3):
                assert await ends.uu("/s/UU") == b"of a group"

    run(main)


if sys.version_info < (3, 11):
    del test_task_groups_and_timeouts


async def _raise():
    await asyncio.sleep(0)
    raise ValueError("of a group")


def test_tasks_are_made_by_the_factory_of_the_loop(step):
    made = []

    def factory(loop, coroutine, **arguments):
        task = asyncio.Task(coroutine, loop=loop, **arguments)
        made.append(task)
        return task

    async def handler(request, context):
        await step()
        return asyncio.current_task() in made

    async def main():
        asyncio.get_running_loop().set_task_factory(factory)
        handlers = {"/s/UU": grpc.unary_unary_rpc_method_handler(handler, None, _truth)}
        async with serving(handlers) as ends:
            assert await ends.uu("/s/UU") == b"True"

    run(main)


def _truth(value):
    return str(value).encode()


@pytest.mark.ferrpc_only("the coroutine has another name in grpcio")
def test_a_task_that_is_cancelled_before_its_first_step():
    cancelling = []

    def factory(loop, coroutine, **arguments):
        task = asyncio.Task(coroutine, loop=loop, **arguments)
        if cancelling and "handle" in repr(coroutine):
            task.cancel()
        return task

    async def main():
        asyncio.get_running_loop().set_task_factory(factory)
        async with serving({"/s/UU": _hello}) as ends:
            assert await ends.uu("/s/UU") == b"q"
            cancelling.append(True)
            with pytest.raises(grpc.RpcError) as caught:
                await ends.uu("/s/UU", timeout=3)
            assert caught.value.code() is grpc.StatusCode.CANCELLED
            cancelling.clear()
            assert await ends.uu("/s/UU") == b"q"

    run(main)


@pytest.mark.ferrpc_only("grpcio's server is a task")
def test_no_task_stays_behind_a_call(step):
    async def handler(request, context):
        await step()
        return b""

    async def main():
        async with serving({"/s/UU": handler}) as ends:
            await ends.uu("/s/UU")
            # That of the test, and those in the midst of their ends.
            await eventually(lambda: len(asyncio.all_tasks()) <= 2)

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
