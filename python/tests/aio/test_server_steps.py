"""Handlers begin where their calls were taken, and go on as a task: what they see of that."""

import asyncio

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
