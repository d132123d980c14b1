"""etcd3 on etcd: keys, transactions, watches, leases, locks, a snapshot, many threads."""

import tempfile
import threading

import etcd3
from etcd import etcd
from workload import PATIENCE, attempt, say, until


def watches(client):
    events, cancel = client.watch_prefix("w/")
    for number in range(5):
        client.put(f"w/{number}", str(number))
    client.delete("w/0")
    seen = []
    for event in events:
        seen.append((type(event).__name__, event.key, event.value))
        if len(seen) == 6:
            cancel()
    say("watch", seen)
    heard = threading.Event()
    watch = client.add_watch_callback("c", lambda response: heard.set())
    client.put("c", "1")
    say("callback", heard.wait(PATIENCE))
    client.cancel_watch(watch)
    attempt(
        "watch once", lambda: client.watch_once("never", timeout=1), etcd3.exceptions.WatchTimedOut
    )


def leases(client):
    lease = client.lease(1)
    client.put("leased", "x", lease)
    say("lease", client.get("leased")[0], lease.granted_ttl)
    lease.refresh()
    say("expires", until(lambda: client.get("leased")[0] is None))
    lock = client.lock("lock", ttl=20)
    say("lock", lock.acquire(), lock.is_acquired())
    say("release", lock.release())
    with client.lock("lock"):
        say("as context")


def transactions(client):
    put, at = client.transactions.put, client.transactions
    for expected in ("wrong", "1"):
        done, _ = client.transaction(
            compare=[at.value("t") == expected], success=[put("t", "2")], failure=[put("t", "1")]
        )
        say("transaction", done, client.get("t")[0])
    say("replace", client.replace("t", "2", "3"), client.put_if_not_exists("t", "4"))


def threads(client):
    def work(number):
        for turn in range(20):
            client.put(f"m/{number}/{turn}", "x" * 1000)

    all_of_them = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in all_of_them:
        thread.start()
    for thread in all_of_them:
        thread.join()
    say("threads", len(list(client.get_prefix("m/"))))
    say("deleted", client.delete_prefix("m/").deleted)


def main():
    with etcd() as port, etcd3.client(port=port, timeout=PATIENCE) as client:
        client.put("a", "1")
        say("get", client.get("a")[0], client.get("none"))
        say("delete", client.delete("a"), client.delete("a"))
        transactions(client)
        watches(client)
        leases(client)
        threads(client)
        with tempfile.TemporaryFile() as file:
            client.snapshot(file)
            say("snapshot", file.tell() > 10_000)
        say("members", len(list(client.members)), client.status().version)
        attempt(
            "too large", lambda: client.put("big", "x" * 2_000_000), etcd3.exceptions.Etcd3Exception
        )
    with etcd3.client(port=1, timeout=5) as nobody:
        attempt("nobody", lambda: nobody.get("a"), etcd3.exceptions.Etcd3Exception)


main()
