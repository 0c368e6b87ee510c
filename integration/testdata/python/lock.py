"""The lock recipe of python-etcd: in-order keys, watches and times to live."""
import sys
import threading

import etcd

host, port = sys.argv[1], int(sys.argv[2])
order = []


def contender(name):
    client = etcd.Client(host=host, port=port, read_timeout=20)
    lock = etcd.Lock(client, "shared")
    assert lock.acquire(blocking=True, lock_ttl=30)
    order.append("+" + name)
    order.append("-" + name)
    lock.release()


first = etcd.Lock(etcd.Client(host=host, port=port), "shared")
assert first.acquire(blocking=True, lock_ttl=30) and first.is_acquired
other = etcd.Lock(etcd.Client(host=host, port=port), "shared")
assert not other.acquire(blocking=False), "two hold the lock"
threads = [threading.Thread(target=contender, args=(str(n),)) for n in range(4)]
for t in threads:
    t.start()
assert not order
other.release()
first.release()
for t in threads:
    t.join(30)
    assert not t.is_alive()
assert len(order) == 8 and all(a[1:] == b[1:] for a, b in zip(order[::2], order[1::2])), order
