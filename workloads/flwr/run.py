"""Flower: a server and two clients in processes of their own, three rounds."""

import multiprocessing
import os
import socket

os.environ["FLWR_TELEMETRY_ENABLED"] = "0"

import flwr
import numpy
from workload import say


class _Client(flwr.client.NumPyClient):
    def __init__(self, number):
        self.number = number

    def get_parameters(self, config):
        return [numpy.zeros(1000, dtype=numpy.float32)]

    def fit(self, parameters, config):
        return [values + self.number for values in parameters], 10, {}

    def evaluate(self, parameters, config):
        return float(parameters[0].mean()), 10, {}


def _client(address, number):
    flwr.client.start_client(server_address=address, client=_Client(number).to_client())


def _server(address, results):
    strategy = flwr.server.strategy.FedAvg(min_fit_clients=2, min_available_clients=2)
    history = flwr.server.start_server(
        server_address=address,
        config=flwr.server.ServerConfig(num_rounds=3),
        strategy=strategy,
    )
    results.put(history.losses_distributed)


def main():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{one.getsockname()[1]}"
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    parts = [context.Process(target=_server, args=(address, results))]
    parts += [context.Process(target=_client, args=(address, number)) for number in (1, 2)]
    for part in parts:
        part.start()
    for number, loss in results.get(timeout=240):
        say("round", number, round(loss, 3))
    for part in parts:
        part.join(60)
        say("ends", part.exitcode)


if __name__ == "__main__":
    main()
