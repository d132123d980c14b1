"""The suite over every API, the Python half: each behaviour of `testdata/apis` by each of Python's
clients over each transport. grpcio has to show the same codes; its texts are its own."""

import asyncio
import collections

import pytest

from .clients import APIS, LIMIT
from .scenarios import SCENARIOS, TRANSPORTS, Call


def _kinds(api, transport, scenario):
    """What is run: all kinds of call over TCP, and one of them over the rest."""
    kinds = list(scenario.kinds)
    if api == "future":
        # The others are the same as `sync`.
        kinds = [kind for kind in kinds if kind in ("unary", "client_streaming")]
    elif api == "sync" and scenario.cancels():
        # Only a thread of its own could cancel such a call.
        kinds = [kind for kind in kinds if kind in ("server_streaming", "bidirectional")]
    return kinds if transport == "tcp" else kinds[-1:]


def _cases():
    for api in APIS:
        for transport in TRANSPORTS if api != "future" else TRANSPORTS[:1]:
            for scenario in SCENARIOS:
                there = transport in scenario.transports and scenario.is_for(api)
                kinds = _kinds(api, transport, scenario) if there else []
                if not kinds:
                    continue
                marks = []
                if scenario.ferrpc_only:
                    marks.append(pytest.mark.ferrpc_only(scenario.ferrpc_only))
                elif transport != "tcp":
                    marks.append(pytest.mark.ferrpc_only("of grpcio one transport is enough"))
                name = f"{api}-{transport}-{scenario.file}-{scenario.name}"
                yield pytest.param(api, transport, scenario, kinds, marks=marks, id=name)


@pytest.mark.parametrize(("api", "transport", "scenario", "kinds"), list(_cases()))
def test_scenario(api, transport, scenario, kinds, peer, on_ferrpc):
    faults = []
    known = on_ferrpc and scenario.failing.get(api)
    if not on_ferrpc and api == "future":
        kinds = kinds[:1]
    for kind in kinds:
        # Where it is known to fail it is to fail soon.
        patience = LIMIT / 40 if known else LIMIT
        found = asyncio.run(_once(api, transport, scenario, kind, peer, on_ferrpc, patience))
        faults += [f"{kind}: {fault}" for fault in found]
        if known and found:
            break
    if known:
        assert faults, f"it is said to fail here ({known}), and does not: take that out"
    else:
        assert not faults, "\n".join(faults)


async def _once(api, transport, scenario, kind, peer, on_ferrpc, patience):
    place = peer.ask(start=scenario.name, transport=transport)
    client = APIS[api](
        place["target"], scenario.settings, peer.root if transport == "tls" else None, patience
    )
    faults, calls = [], {}
    if scenario.states:
        await client.watch()
    for step in scenario.steps:
        try:
            ends = await _take(step, kind, client, calls, peer)
        except AssertionError as error:
            faults.append(str(error))
            continue
        for ended in ends:
            faults += _compare(step, kind, ended, place["addresses"], on_ferrpc)
    for call in calls.values():
        call.drop()
    if scenario.states:
        faults += await _compare_states(scenario, client)
    await client.close()
    if not on_ferrpc:
        if scenario.each:
            seen = await asyncio.to_thread(peer.ask, finish=True)
            faults += _compare_each(scenario, seen)
        else:
            # On the wire grpcio has its own ways, and it connects again by itself.
            peer.ask(leave=True)
        return faults
    seen = await asyncio.to_thread(peer.ask, finish=True)
    faults += _compare_each(scenario, seen)
    faults += [f"the peer, {fault}" for fault in seen["faults"]]
    if seen["connections"] != scenario.connections:
        faults.append(f"{seen['connections']} connections, not {scenario.connections}")
    if scenario.received not in (None, seen["received"]):
        faults.append(f"the peer received {seen['received']} bytes, not {scenario.received}")
    if scenario.asked not in (None, client.asked.count):
        faults.append(f"credentials were asked {client.asked.count} times")
    if scenario.requests not in (None, seen["requests"]):
        faults.append(f"{seen['requests']} requests, not {scenario.requests}")
    if scenario.resets not in (None, seen["resets"]):
        faults.append(f"the client reset streams with {seen['resets']}")
    return faults


def _compare_each(scenario, seen):
    few = seen["fewest"] < scenario.each
    return [f"a connection saw {seen['fewest']} requests"] if few else []


async def _take(step, kind, client, calls, peer):
    """Does what a step says; returns how calls ended, if it is about that."""
    if "call" in step:
        calls[step["call"]] = await client.call(kind, Call(**step.get("with", {})))
    if "calls" in step:
        return await _many(step, kind, client)
    if "cancel" in step:
        await calls[step["cancel"]].cancel()
    if "ends" in step:
        return [await calls.pop(step["ends"]).end()]
    for name in ("meet", "release", "listen"):
        if name in step:
            # The loop goes on meanwhile.
            await asyncio.to_thread(peer.ask, **{name: step[name]})
    if step.get("connect"):
        await client.connect()
    if "state" in step:
        await client.state(step["state"])
    if step.get("close"):
        await client.close()
    return []


async def _many(step, kind, client):
    """Many calls, some at a time."""
    running, ended = collections.deque(), []
    for _ in range(step["calls"]):
        if len(running) == step["at_once"]:
            ended.append(await running.popleft().end())
        running.append(await client.call(kind, Call(**step.get("with", {}))))
    return ended + [await call.end() for call in running]


# What an asynchronous call of grpcio says, whatever its status, if that came before a request was
# written: whichever its threads do first. In docs/differences.md.
_LOST_RACE = "Internal error from Core"


def _compare(step, kind, ended, addresses, on_ferrpc):
    if not on_ferrpc and ended.details == _LOST_RACE:
        return []
    expected = step.get("as", {})
    details = expected.get("python", expected.get("details"))
    fits = ended.code == expected.get("code", "OK")
    if on_ferrpc and details is not None and ended.details is not None:
        for number, address in enumerate(addresses):
            details = details.replace(f"{{{number}}}", address)
        if addresses:
            peer = addresses[0] if addresses[0].startswith("unix:") else f"ipv4:{addresses[0]}"
            details = details.replace("{address}", addresses[0]).replace("{peer}", peer)
        fits = fits and ended.details == details
    counted = on_ferrpc or ended.code == "OK"
    if counted and kind in ("server_streaming", "bidirectional") and "messages" in expected:
        fits = fits and ended.messages == expected["messages"]
    if counted and "bytes" in expected:
        fits = fits and ended.bytes == expected["bytes"]
    return [] if fits else [f"{step.get('ends', 'a call')}: {ended}"]


async def _compare_states(scenario, client):
    """A watcher may miss states; it has seen some of them in order, and the last."""
    seen = []
    for _ in range(1000):
        seen = await client.watched()
        rest = iter(scenario.states)
        if seen and seen[-1] == scenario.states[-1] and all(state in rest for state in seen):
            return []
        await asyncio.sleep(0.005)
    return [f"a watcher saw {seen}"]
