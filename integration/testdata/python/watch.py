"""Watches: one event, from the past, for ever, a time-out, an index that is forgotten."""
import sys
import threading

import etcd

host, port = sys.argv[1], int(sys.argv[2])
client = etcd.Client(host=host, port=port, read_timeout=20)

# live, recursive
start = client.write("/pw/base", "x").modifiedIndex
events = []


def follow():
    for event in etcd.Client(host=host, port=port, read_timeout=20).eternal_watch("/pw", index=start + 1, recursive=True):
        events.append((event.action, event.key, event.value))
        if event.key == "/pw/end":
            return


thread = threading.Thread(target=follow)
thread.start()
client.write("/pw/a", "1")
client.write("/pw/a", "2", prevExist=True)
client.write("/pw/a", "3", prevValue="2")
client.delete("/pw/a")
client.write("/pw/brief", "x", ttl=1)
assert client.watch("/pw/brief").action == "expire"
client.write("/pw/end", "x")
thread.join(20)
assert not thread.is_alive()
assert events == [
    ("set", "/pw/a", "1"), ("update", "/pw/a", "2"), ("compareAndSwap", "/pw/a", "3"), ("delete", "/pw/a", None),
    ("set", "/pw/brief", "x"), ("expire", "/pw/brief", None), ("set", "/pw/end", "x"),
], events

# from the past
r = client.watch("/pw/a", index=start)
assert (r.action, r.value, r.modifiedIndex) == ("set", "1", start + 1), r

# nothing happens
try:
    client.watch("/pw/nothing", timeout=1)
    raise AssertionError("an event of nothing")
except etcd.EtcdWatchTimedOut:
    pass

# too far in the past
for _ in range(1001):
    client.write("/pw/many", "x")
try:
    client.watch("/pw/a", index=start)
    raise AssertionError("an event that is forgotten")
except etcd.EtcdEventIndexCleared as e:
    assert e.payload["index"] >= start + 1001 and "has been cleared" in e.payload["cause"], e.payload
client.delete("/pw", recursive=True)
