"""etcetra on etcd: keys, transactions, watches and leases in one event loop."""

import asyncio

from etcd import etcd
from etcetra import EtcdClient, HostPortPair
from workload import PATIENCE, say


async def main(port):
    client = EtcdClient(HostPortPair("127.0.0.1", port))
    async with client.connect() as session:
        await session.put("a", "1")
        say("get", await session.get("a"), await session.get("none"))
        await session.delete("a")
        say("deleted", await session.get("a"))
        for number in range(20):
            await session.put(f"p/{number:02}", str(number))
        say("prefix", len(await session.get_prefix("p/")))
        say("range", len(await session.get_range("p/05", "p/10")))
        many = await asyncio.gather(*(session.get(f"p/{number:02}") for number in range(20)))
        say("20 at once", many)

    started = asyncio.Event()
    seen = []

    async def watch():
        async with client.connect() as session:
            async for event in session.watch_prefix("w/"):
                if event.key == "w/start":
                    started.set()
                    continue
                seen.append((event.event.name, event.key, event.value))
                if len(seen) == 4:
                    break

    watcher = asyncio.create_task(watch())
    async with client.connect() as session:
        # What is put before etcd knows of the watch is not seen.
        while not started.is_set():
            await session.put("w/start", "")
            await asyncio.sleep(0.02)
        for number in range(3):
            await session.put(f"w/{number}", str(number))
        await session.delete("w/0")
    await asyncio.wait_for(watcher, PATIENCE)
    say("watch", seen)

    async with client.connect() as session:
        lease = await session.grant_lease(1)
        await session.put("leased", "x", lease=lease)
        say("leased", await session.get("leased"))
        for _ in range(500):
            if await session.get("leased") is None:
                break
            await asyncio.sleep(0.1)
        say("expired", await session.get("leased"))


with etcd() as port:
    asyncio.run(main(port))
