"""New Relic's agent: calls inside of a transaction, handlers as transactions."""

import os

os.environ["NEW_RELIC_DEVELOPER_MODE"] = "true"
os.environ["NEW_RELIC_LOG_LEVEL"] = "critical"
os.environ["NEW_RELIC_APP_NAME"] = "workload"
os.environ["NEW_RELIC_LICENSE_KEY"] = "0" * 40

import newrelic.agent

newrelic.agent.initialize()

import grpc  # noqa: E402
from newrelic.core.stats_engine import StatsEngine  # noqa: E402
from workload import Echo, say, say_cancelled, say_every_kind, serving  # noqa: E402

_names = []
_record = StatsEngine.record_transaction


def _kept(self, transaction):
    for metric in transaction.time_metrics(self):
        if metric.name.startswith(("External/", "WebTransaction/", "Errors/", "OtherTransaction/")):
            _names.append(metric.name)
    return _record(self, transaction)


StatsEngine.record_transaction = _kept


@newrelic.agent.background_task(name="workload")
def calls(address):
    with grpc.insecure_channel(address) as channel:
        say_every_kind(channel)
        say_cancelled(channel)
    return address


def main():
    newrelic.agent.register_application(timeout=10)
    with serving(Echo()) as address:
        calls(address)
    for name in sorted(_names):
        # Whether the handler of a call that is given up begins is a race.
        if "slow" not in name.lower() and "Both" not in name:
            say("metric", name.replace(address, "ADDRESS"))
    say("metrics", len(_names) > 10)


main()
