"""A batch of tasks whose first steps follow at once: nobody can tell but by the time it takes."""

import asyncio
import contextvars

import pytest

pytestmark = pytest.mark.ferrpc_only("grpcio's tasks begin by the loop's queue")

_NONE = type(None)

_var = contextvars.ContextVar("var", default=None)


def _batch(loop):
    from grpc.aio._starting import Batch

    return Batch(loop)


def _names(tasks):
    return [task.get_name() for task in tasks]


async def _made(coroutines, then, loop=None):
    """The tasks of these coroutines, begun in a callback of the loop, where no task is current."""
    loop = loop or asyncio.get_running_loop()
    done = loop.create_future()

    def begin():
        batch = _batch(loop)
        tasks = []
        context = contextvars.copy_context()
        with batch:
            for number, coroutine in enumerate(coroutines):
                tasks.append(batch.task(coroutine, context, f"task {number}"))
        batch.begin(lambda: then(tasks))
        done.set_result(tasks)

    loop.call_soon(begin)
    return await done


def test_first_steps_run_in_order_and_before_what_follows_them():
    seen = []

    async def step(number):
        task = asyncio.current_task()
        assert task.get_name() == f"task {number}" and _var.get() is None
        _var.set(number)
        seen.append(number)
        if number == 1:
            await asyncio.sleep(0)
            assert asyncio.current_task() is task and _var.get() == 1
            seen.append("again")

    async def main():
        tasks = await _made(map(step, range(3)), lambda tasks: seen.append(_names(tasks)))
        assert type(tasks[0]) is asyncio.Task
        await asyncio.gather(*tasks)
        assert seen == [0, 1, 2, ["task 0", "task 1", "task 2"], "again"]

    asyncio.run(main())


def _wrapped(name):
    """A loop whose method somebody has wrapped, and what went through it."""
    seen = []

    class Loop(asyncio.SelectorEventLoop):
        pass

    def method(self, callback, *arguments, **others):
        seen.append(callback)
        return getattr(asyncio.SelectorEventLoop, name)(self, callback, *arguments, **others)

    setattr(Loop, name, method)
    return Loop(), seen


@pytest.mark.parametrize("name", ["create_task", "call_soon"])
def test_a_loop_with_a_wrapped_method_is_asked_by_it(name):
    loop, seen = _wrapped(name)

    async def step():
        pass

    async def main():
        before = len(seen)
        tasks = await _made([step(), step()], _names)
        await asyncio.gather(*tasks)
        # Also the callback of `_made`, and those of `gather`.
        assert len(seen) - before >= 2

    try:
        loop.run_until_complete(main())
    finally:
        loop.close()


def test_a_loop_in_debug_mode_notices_a_slow_first_step(caplog):
    async def step():
        asyncio.get_running_loop().slow_callback_duration = 0

    async def main():
        loop = asyncio.get_running_loop()
        loop.set_debug(True)
        tasks = await _made([step()], _names)
        await asyncio.gather(*tasks)
        loop.set_debug(False)

    asyncio.run(main())
    assert any("task 0" in record.getMessage() for record in caplog.records)


def test_what_others_put_into_the_queue_meanwhile_is_theirs():
    seen = []

    async def step():
        seen.append("step")

    async def main():
        loop = asyncio.get_running_loop()
        batch = _batch(loop)
        with batch:
            # As a finalizer does, whenever it runs.
            handle = loop.call_soon(seen.append, "other")
            assert isinstance(handle, asyncio.Handle)
            loop.call_soon(lambda: seen.append("another"))
        assert "call_soon" not in vars(loop)
        await asyncio.sleep(0)
        assert seen == ["other", "another"]

    asyncio.run(main())


def test_a_loop_that_is_ended_by_a_first_step_goes_on_with_the_others():
    seen = []

    async def step(number):
        seen.append(number)
        if number == 1:
            raise SystemExit(1)

    loop = asyncio.new_event_loop()
    try:
        with pytest.raises(SystemExit):
            loop.run_until_complete(_made(map(step, range(4)), seen.extend))
        loop.run_until_complete(asyncio.sleep(0))
        assert seen[:4] == [0, 1, 2, 3]
        assert [type(task.exception()) for task in seen[4:]] == [_NONE, SystemExit, _NONE, _NONE]
    finally:
        loop.close()


def test_a_first_step_that_runs_the_loop_waits_for_no_other():
    loop = asyncio.new_event_loop()
    seen = []

    def turn():
        """What the loop would do: those that are ready now."""
        for _ in range(len(loop._ready)):
            handle = loop._ready.popleft()
            if not handle.cancelled():
                handle._run()

    async def step(number):
        seen.append(number)
        if number == 1:
            # Another task would be in the way of the others' first steps.
            asyncio.tasks._leave_task(loop, task := asyncio.current_task())
            turn()
            asyncio.tasks._enter_task(loop, task)
            seen.append("back")

    try:
        tasks = loop.run_until_complete(_made(map(step, range(4)), lambda _: seen.append("then")))
        assert seen == [0, 1, 2, 3, "then", "back"] and all(task.done() for task in tasks)
    finally:
        loop.close()
