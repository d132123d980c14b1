"""Milvus' clients on milvus-lite, which serves gRPC in a process of its own."""

import asyncio
import logging

from milvus_lite.server_manager import server_manager_instance
from pymilvus import AsyncMilvusClient, DataType, MilvusClient
from pymilvus.exceptions import MilvusException
from workload import attempt, say

_SIZE = 16


def _row(number):
    return {"id": number, "vector": [float(number % (7 + place)) for place in range(_SIZE)],
            "text": f"number {number}"}


def threads(path):
    client = MilvusClient(path)
    schema = client.create_schema()
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=_SIZE)
    schema.add_field("text", DataType.VARCHAR, max_length=100)
    index = client.prepare_index_params()
    index.add_index("vector", index_type="FLAT", metric_type="L2")
    client.create_collection("c", schema=schema, index_params=index)
    say("collections", client.list_collections())
    say("insert", client.insert("c", [_row(number) for number in range(1000)])["insert_count"])
    found = client.search("c", [_row(5)["vector"]], limit=3, output_fields=["text"])
    say("search", [(hit["id"], round(hit["distance"], 3)) for hit in found[0]])
    say("query", client.query("c", filter="id in [1, 2]", output_fields=["text"]))
    say("delete", client.delete("c", ids=[1, 2]))
    say("count", client.query("c", filter="", output_fields=["count(*)"])[0]["count(*)"])
    attempt("missing", lambda: client.search("none", [[0.0] * _SIZE]), MilvusException)
    attempt("bad row", lambda: client.insert("c", [{"id": 1}]), Exception)
    rows = client.query_iterator("c", batch_size=100, filter="id >= 0", output_fields=["id"])
    count = 0
    while batch := rows.next():
        count += len(batch)
    rows.close()
    say("iterator", count)
    client.close()


async def loop(path):
    uri = server_manager_instance.start_and_get_uri(path)
    client = AsyncMilvusClient(uri)
    searches = (client.search("c", [_row(number)["vector"]], limit=1) for number in range(10, 60))
    found = await asyncio.gather(*searches)
    say("aio searches", len(found), found[0][0][0]["distance"])
    search = asyncio.create_task(client.search("c", [_row(1)["vector"]], limit=1))
    await asyncio.sleep(0)
    search.cancel()
    say("aio cancelled", (await asyncio.gather(search, return_exceptions=True))[0].__class__)
    say("aio after it", len(await client.query("c", filter="id == 7")))
    await client.close()


logging.disable(logging.CRITICAL)
threads("./one.db")
asyncio.run(loop("./one.db"))
server_manager_instance.release_all()
