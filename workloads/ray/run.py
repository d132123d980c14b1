"""Ray: tasks, actors, objects, the state API, a job; and a client of its client server."""

import os
import socket

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

import ray
import ray.util.client.server.server as ray_client_server
from ray.job_submission import JobStatus, JobSubmissionClient
from ray.util.state import list_actors, list_nodes, list_tasks
from workload import say, until


@ray.remote
def square(number):
    return number * number


@ray.remote
def fail():
    raise ValueError("as told")


@ray.remote
class Counter:
    def __init__(self):
        self.value = 0

    def add(self, number):
        self.value += number
        return self.value


def use(name):
    say(name, "tasks", sum(ray.get([square.remote(number) for number in range(50)])))
    counter = Counter.remote()
    say(name, "actor", ray.get([counter.add.remote(1) for _ in range(10)])[-1])
    try:
        ray.get(fail.remote())
    except ValueError as error:
        say(name, "error", "as told" in str(error))
    data = ray.put(b"x" * 30_000_000)
    say(name, "object", len(ray.get(data)))
    return counter


def main():
    context = ray.init(num_cpus=2, include_dashboard=True, log_to_driver=False, logging_level=40)
    counter = use("ray")
    say("nodes", len(list_nodes()))
    say("actors", until(lambda: any(one.class_name == "Counter" for one in list_actors())))
    say("tasks", until(lambda: len(list_tasks(limit=1000)) >= 50))
    jobs = JobSubmissionClient(f"http://{context.dashboard_url}")
    job = jobs.submit_job(entrypoint="echo said by the job")
    ended = (JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.STOPPED)
    until(lambda: jobs.get_job_status(job) in ended, 120)
    say("job", jobs.get_job_status(job).value, "said by the job" in jobs.get_job_logs(job))
    del counter
    ray.shutdown()

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    server, _ = ray_client_server.init_and_serve("127.0.0.1", port)
    with ray.init(f"ray://127.0.0.1:{port}", logging_level=40):
        use("client")
    ray_client_server.shutdown_with_server(server)


if __name__ == "__main__":
    main()
