"""A Flow of two executors, one of them twice, an error, and whether it is ready."""

import os

os.environ["JINA_OPTOUT_TELEMETRY"] = "1"
os.environ["JINA_LOG_LEVEL"] = "CRITICAL"

from docarray import BaseDoc, DocList
from jina import Executor, Flow, requests
from workload import say


class Number(BaseDoc):
    value: int = 0


class Double(Executor):
    @requests
    def double(self, docs: DocList[Number], **_) -> DocList[Number]:
        for doc in docs:
            doc.value *= 2
        return docs

    @requests(on="/fail")
    def fail(self, docs: DocList[Number], **_) -> DocList[Number]:
        raise ValueError("as told")


class Add(Executor):
    @requests
    async def add(self, docs: DocList[Number], **_) -> DocList[Number]:
        for doc in docs:
            doc.value += 1
        return docs


def main():
    flow = Flow(quiet=True).add(uses=Double, replicas=2).add(uses=Add)
    with flow:
        say("ready", flow.is_flow_ready())
        docs = DocList[Number](Number(value=number) for number in range(500))
        found = flow.post("/", docs, request_size=10, return_type=DocList[Number])
        say("values", sorted(doc.value for doc in found) == [2 * n + 1 for n in range(500)])
        try:
            flow.post("/fail", docs[:1], return_type=DocList[Number])
        except Exception as error:
            say("fail", type(error).__name__, "as told" in str(error))
        found = flow.post("/", docs[:1], return_type=DocList[Number])
        say("after it", found[0].value)


if __name__ == "__main__":
    main()
