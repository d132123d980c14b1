"""Qdrant's client, with threads, asyncio and uploads from processes, on a server of its stubs."""

import asyncio
import math

import grpc
from qdrant_client import AsyncQdrantClient, QdrantClient, models
from qdrant_client.grpc import (
    collections_pb2,
    collections_service_pb2_grpc,
    points_pb2,
    points_service_pb2_grpc,
    qdrant_pb2,
    qdrant_pb2_grpc,
)
from workload import attempt, say, serving

_ERRORS = (Exception,)


class _Collections(collections_service_pb2_grpc.CollectionsServicer):
    def __init__(self):
        self.names = {}

    def Create(self, request, context):
        if request.collection_name in self.names:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "it exists")
        self.names[request.collection_name] = {}
        return collections_pb2.CollectionOperationResponse(result=True)

    def List(self, request, context):
        named = [collections_pb2.CollectionDescription(name=name) for name in self.names]
        return collections_pb2.ListCollectionsResponse(collections=named)

    def CollectionExists(self, request, context):
        exists = collections_pb2.CollectionExists(exists=request.collection_name in self.names)
        return collections_pb2.CollectionExistsResponse(result=exists)

    def Delete(self, request, context):
        gone = self.names.pop(request.collection_name, None)
        return collections_pb2.CollectionOperationResponse(result=gone is not None)


class _Points(points_service_pb2_grpc.PointsServicer):
    def __init__(self, collections):
        self.collections = collections

    def _points(self, request, context):
        points = self.collections.names.get(request.collection_name)
        if points is None:
            context.abort(grpc.StatusCode.NOT_FOUND, f"no collection {request.collection_name}")
        return points

    def Upsert(self, request, context):
        points = self._points(request, context)
        for point in request.points:
            points[point.id.num] = point
        done = points_pb2.UpdateResult(status=points_pb2.UpdateStatus.Completed)
        return points_pb2.PointsOperationResponse(result=done)

    def Count(self, request, context):
        count = points_pb2.CountResult(count=len(self._points(request, context)))
        return points_pb2.CountResponse(result=count)

    def Query(self, request, context):
        points = self._points(request, context)
        scored = [
            points_pb2.ScoredPoint(id=point.id, score=1 / (1 + point.id.num))
            for point in points.values()
        ]
        scored.sort(key=lambda point: -point.score)
        return points_pb2.QueryResponse(result=scored[: request.limit])

    def Delete(self, request, context):
        points = self._points(request, context)
        for one in request.points.points.ids:
            points.pop(one.num, None)
        done = points_pb2.UpdateResult(status=points_pb2.UpdateStatus.Completed)
        return points_pb2.PointsOperationResponse(result=done)


class _Qdrant(qdrant_pb2_grpc.QdrantServicer):
    def HealthCheck(self, request, context):
        return qdrant_pb2.HealthCheckReply(title="workload", version="1.20.0")


def _add(server):
    collections = _Collections()
    collections_service_pb2_grpc.add_CollectionsServicer_to_server(collections, server)
    points_service_pb2_grpc.add_PointsServicer_to_server(_Points(collections), server)
    qdrant_pb2_grpc.add_QdrantServicer_to_server(_Qdrant(), server)


_SHAPE = models.VectorParams(size=8, distance=models.Distance.COSINE)


def _point(number):
    vector = [math.sin(number + place) for place in range(8)]
    return models.PointStruct(id=number, vector=vector, payload={"text": f"number {number}"})


def _threads(port):
    client = QdrantClient(
        host="127.0.0.1", port=1, grpc_port=port, prefer_grpc=True, check_compatibility=False
    )
    say("create", client.create_collection("a", vectors_config=_SHAPE))
    attempt("again", lambda: client.create_collection("a", vectors_config=_SHAPE), *_ERRORS)
    say("exists", client.collection_exists("a"), client.collection_exists("b"))
    say("upsert", client.upsert("a", [_point(number) for number in range(100)]).status)
    say("count", client.count("a").count)
    found = client.query_points("a", query=[0.1] * 8, limit=3).points
    say("query", [(point.id, round(point.score, 3)) for point in found])
    attempt("no collection", lambda: client.count("none"), *_ERRORS)
    client.upload_points("a", (_point(number) for number in range(100, 1100)), batch_size=50)
    say("uploaded", client.count("a").count)
    client.create_collection("forked", vectors_config=_SHAPE)
    for method in ("fork", "spawn"):
        client.upload_points(
            "forked",
            (_point(number) for number in range(1000)),
            batch_size=50,
            parallel=2,
            method=method,
            wait=True,
        )
        say(f"uploaded by {method}", client.count("forked").count)
    say("delete", client.delete("a", points_selector=[1, 2, 3]).status, client.count("a").count)
    say("collections", sorted(one.name for one in client.get_collections().collections))
    client.close()


async def _loop(port):
    client = AsyncQdrantClient(
        host="127.0.0.1", port=1, grpc_port=port, prefer_grpc=True, check_compatibility=False
    )
    counts = await asyncio.gather(*(client.count("a") for _ in range(50)))
    say("aio counts", {count.count for count in counts})
    await client.upsert("a", [_point(number) for number in range(5000, 5010)])
    say("aio upsert", (await client.count("a")).count)
    try:
        await client.count("none")
    except grpc.aio.AioRpcError as error:
        say("aio error", error.code(), error.details())
    await client.close()


def main():
    with serving(add=[_add]) as address:
        port = int(address.split(":")[1])
        _threads(port)
        asyncio.run(_loop(port))


if __name__ == "__main__":
    main()
