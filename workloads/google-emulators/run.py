"""Clients of Google Cloud on servers of their own stubs: publishing, a streaming pull that is cut,
documents, queries, a transaction that is tried again, and the same with asyncio."""

import asyncio
import collections
import concurrent.futures
import datetime
import os
import threading

import grpc
from google.cloud import firestore, pubsub_v1
from google.cloud.firestore_v1.types import document, write
from google.cloud.firestore_v1.types import firestore as firestore_types
from google.protobuf import empty_pb2
from google.pubsub_v1 import types
from workload import PATIENCE, attempt, say, serving, until

import google.api_core.exceptions as exceptions  # isort: skip


def _method(kind, behaviour, request, response=None):
    deserialize = getattr(request, "deserialize", None)
    serialize = response.serialize if response else empty_pb2.Empty.SerializeToString
    return kind(behaviour, deserialize, serialize)


class _PubSub(grpc.GenericRpcHandler):
    """Publisher and Subscriber, in memory."""

    def __init__(self):
        self.topics, self.queue, self.acked = {}, collections.deque(), set()
        self.lock, self.pulls, self.number = threading.Lock(), 0, 0

    def service(self, details):
        unary, both = grpc.unary_unary_rpc_method_handler, grpc.stream_stream_rpc_method_handler
        return {
            "CreateTopic": _method(unary, self.create_topic, types.Topic, types.Topic),
            "GetTopic": _method(unary, self.get_topic, types.GetTopicRequest, types.Topic),
            "ListTopics": _method(
                unary, self.list_topics, types.ListTopicsRequest, types.ListTopicsResponse
            ),
            "Publish": _method(unary, self.publish, types.PublishRequest, types.PublishResponse),
            "CreateSubscription": _method(
                unary, lambda request, context: request, types.Subscription, types.Subscription
            ),
            "Acknowledge": _method(unary, self.acknowledge, types.AcknowledgeRequest),
            "ModifyAckDeadline": _method(
                unary, lambda request, context: empty_pb2.Empty(), types.ModifyAckDeadlineRequest
            ),
            "StreamingPull": _method(
                both, self.pull, types.StreamingPullRequest, types.StreamingPullResponse
            ),
        }.get(details.method.rpartition("/")[2])

    def create_topic(self, request, context):
        if request.name in self.topics:
            context.abort(grpc.StatusCode.ALREADY_EXISTS, "a topic of that name")
        self.topics[request.name] = request
        return request

    def get_topic(self, request, context):
        if request.topic not in self.topics:
            context.abort(grpc.StatusCode.NOT_FOUND, "no such topic")
        return self.topics[request.topic]

    def list_topics(self, request, context):
        names = sorted(self.topics)
        start = int(request.page_token or 0)
        page = [self.topics[name] for name in names[start : start + 2]]
        more = str(start + 2) if start + 2 < len(names) else ""
        return types.ListTopicsResponse(topics=page, next_page_token=more)

    def publish(self, request, context):
        ids = []
        with self.lock:
            for message in request.messages:
                self.number += 1
                message.message_id = str(self.number)
                message.publish_time = datetime.datetime.now(datetime.timezone.utc)
                self.queue.append(message)
                ids.append(message.message_id)
        return types.PublishResponse(message_ids=ids)

    def acknowledge(self, request, context):
        with self.lock:
            self.acked |= set(request.ack_ids)
        return empty_pb2.Empty()

    def pull(self, requests, context):
        """The first two streams are cut; what they delivered is delivered again."""
        self.pulls += 1
        cut = self.pulls <= 2
        delivered = 0
        while context.is_active():
            with self.lock:
                batch = [self.queue.popleft() for _ in range(min(10, len(self.queue)))]
            if not batch:
                threading.Event().wait(0.02)
                continue
            received = [types.ReceivedMessage(ack_id=m.message_id, message=m) for m in batch]
            yield types.StreamingPullResponse(received_messages=received)
            delivered += len(batch)
            if cut and delivered >= 30:
                context.abort(grpc.StatusCode.UNAVAILABLE, "cut")


def pubsub(address):
    os.environ["PUBSUB_EMULATOR_HOST"] = address
    publisher = pubsub_v1.PublisherClient()
    topic = publisher.topic_path("p", "t")
    for name in ("t", "u", "v", "w", "x"):
        publisher.create_topic(name=publisher.topic_path("p", name))
    attempt("again", lambda: publisher.create_topic(name=topic), exceptions.AlreadyExists)
    missing = publisher.topic_path("p", "none")
    attempt("missing", lambda: publisher.get_topic(topic=missing), exceptions.NotFound)
    pages = publisher.list_topics(project="projects/p")
    say("topics", [one.name for one in pages])
    futures = [publisher.publish(topic, b"%d" % number, key="v") for number in range(200)]
    say("published", len({future.result(PATIENCE) for future in futures}))
    subscriber = pubsub_v1.SubscriberClient()
    subscription = subscriber.subscription_path("p", "s")
    subscriber.create_subscription(name=subscription, topic=topic)
    seen, lock = set(), threading.Lock()

    def received(message):
        with lock:
            seen.add(int(message.data))
        message.ack()

    pull = subscriber.subscribe(subscription, callback=received)
    say("received", until(lambda: len(seen) == 200), len(seen))
    pull.cancel()
    try:
        say("pull ends", pull.result(PATIENCE))
    except concurrent.futures.CancelledError:
        say("pull ends", "cancelled")
    subscriber.close()
    publisher.stop()


class _Firestore(grpc.GenericRpcHandler):
    """Documents in memory; the second commit of a transaction succeeds."""

    def __init__(self):
        self.documents, self.commits = {}, 0

    def service(self, details):
        unary, download = grpc.unary_unary_rpc_method_handler, grpc.unary_stream_rpc_method_handler
        t = firestore_types
        return {
            "BatchGetDocuments": _method(
                download, self.get, t.BatchGetDocumentsRequest, t.BatchGetDocumentsResponse
            ),
            "Commit": _method(unary, self.commit, t.CommitRequest, t.CommitResponse),
            "RunQuery": _method(download, self.query, t.RunQueryRequest, t.RunQueryResponse),
            "BeginTransaction": _method(
                unary,
                lambda request, context: t.BeginTransactionResponse(transaction=b"t"),
                t.BeginTransactionRequest,
                t.BeginTransactionResponse,
            ),
            "Rollback": _method(
                unary, lambda request, context: empty_pb2.Empty(), t.RollbackRequest
            ),
        }.get(details.method.rpartition("/")[2])

    def get(self, request, context):
        now = datetime.datetime.now(datetime.timezone.utc)
        for name in request.documents:
            found = self.documents.get(name)
            answer = firestore_types.BatchGetDocumentsResponse(read_time=now)
            if found is None:
                answer.missing = name
            else:
                answer.found = found
            yield answer

    def commit(self, request, context):
        self.commits += bool(request.transaction)
        if request.transaction and self.commits == 1:
            context.abort(grpc.StatusCode.ABORTED, "try again")
        now = datetime.datetime.now(datetime.timezone.utc)
        for one in request.writes:
            if one.delete:
                self.documents.pop(one.delete, None)
            else:
                name = one.update.name
                self.documents[name] = document.Document(
                    name=name, fields=one.update.fields, create_time=now, update_time=now
                )
        results = [write.WriteResult(update_time=now) for _ in request.writes]
        return firestore_types.CommitResponse(write_results=results, commit_time=now)

    def query(self, request, context):
        now = datetime.datetime.now(datetime.timezone.utc)
        for name in sorted(self.documents):
            yield firestore_types.RunQueryResponse(document=self.documents[name], read_time=now)


def documents(address):
    os.environ["FIRESTORE_EMULATOR_HOST"] = address
    client = firestore.Client(project="p")
    for number in range(50):
        client.collection("c").document(f"d{number:02}").set({"n": number, "text": "x" * number})
    say("get", sorted(client.collection("c").document("d07").get().to_dict().items()))
    say("missing", client.collection("c").document("none").get().exists)
    say("stream", sum(one.to_dict()["n"] for one in client.collection("c").stream()))
    stream = client.collection("c").stream()
    say("closed early", next(iter(stream)).id)
    stream.close()
    batch = client.batch()
    for number in range(10):
        batch.delete(client.collection("c").document(f"d{number:02}"))
    say("batch", len(batch.commit()))

    @firestore.transactional
    def increase(transaction, reference):
        number = reference.get(transaction=transaction).to_dict()["n"]
        transaction.update(reference, {"n": number + 100})
        return number + 100

    say("transaction", increase(client.transaction(), client.collection("c").document("d20")))


async def documents_aio():
    client = firestore.AsyncClient(project="p")
    reference = client.collection("c").document("d20")
    say("aio get", (await reference.get()).to_dict()["n"])
    await reference.set({"n": 1})
    gets = await asyncio.gather(*(reference.get() for _ in range(30)))
    say("aio 30 at once", {one.to_dict()["n"] for one in gets})
    total = 0
    async for one in client.collection("c").stream():
        total += one.to_dict()["n"]
    say("aio stream", total)


with serving(_PubSub()) as address:
    pubsub(address)
with serving(_Firestore()) as address:
    documents(address)
    asyncio.run(documents_aio())
