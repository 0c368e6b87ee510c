"""Reads, writes, conditions, directories and errors through python-etcd."""
import sys

import etcd

client = etcd.Client(host=sys.argv[1], port=int(sys.argv[2]))


def refused(error, call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except error as e:
        assert type(e) is error, repr(e)
        return e
    raise AssertionError("%r%r is not refused" % (call, args))


# write and read
r = client.write("/py/a", "one")
assert (r.action, r.key, r.value, r.newKey) == ("set", "/py/a", "one", True), r
r = client.write("/py/a", "b\u00e4r <&> \u2028")
assert r.action == "set" and not r.newKey and r._prev_node.value == "one", r
r = client.read("/py/a")
assert r.value == "b\u00e4r <&> \u2028" and r.modifiedIndex > r.createdIndex - 1, r
assert r.etcd_index >= r.modifiedIndex and r.raft_index > 0, r
assert client.read("/py/a", quorum=True).value == r.value
assert "/py/a" in client and "/py/none" not in client
r.value = "two"
assert client.update(r).action == "compareAndSwap"

# conditions
assert client.test_and_set("/py/a", "three", "two").value == "three"
e = refused(etcd.EtcdCompareFailed, client.test_and_set, "/py/a", "x", "two")
assert e.payload["cause"] == "[two != three]" and e.payload["errorCode"] == 101, e.payload
refused(etcd.EtcdCompareFailed, client.write, "/py/a", "x", prevIndex=1)
refused(etcd.EtcdAlreadyExist, client.write, "/py/a", "x", prevExist=False)
refused(etcd.EtcdKeyNotFound, client.write, "/py/none", "x", prevExist=True)
e = refused(etcd.EtcdKeyNotFound, client.read, "/py/none/deep")
assert e.payload["cause"] == "/py/none", e.payload

# directories
client.write("/py/d", None, dir=True)
refused(etcd.EtcdNotFile, client.write, "/py/d", "x")
refused(etcd.EtcdNotDir, client.write, "/py/a/b", "x")
refused(etcd.EtcdRootReadOnly, client.delete, "/", recursive=True)
client.write("/py/d/x/y", "1")
client.write("/py/d/z", "2")
client.write("/py/d/_hidden", "3")
r = client.read("/py/d", recursive=True, sorted=True)
assert r.dir and [c.key for c in r.leaves] == ["/py/d/x/y", "/py/d/z"], [c.key for c in r.leaves]
assert [c.key for c in client.read("/py/d", sorted=True).children] == ["/py/d/x", "/py/d/z"]
refused(etcd.EtcdDirNotEmpty, client.delete, "/py/d", dir=True)
jobs = [client.write("/py/q", v, append=True).key for v in "abc"]
assert jobs == sorted(jobs) and len(set(jobs)) == 3, jobs
assert [c.value for c in client.read("/py/q", sorted=True).children] == ["a", "b", "c"]
assert client.pop(jobs[0]).value == "a"

# times to live
r = client.write("/py/t", "x", ttl=100)
assert 95 < r.ttl <= 100 and r.expiration, r
r = client.refresh("/py/t", ttl=200)
assert r.value == "x" and 195 < r.ttl <= 200, r
assert client.write("/py/t", "x").ttl is None
refused(etcd.EtcdValueError, client.write, "/py/t", "x", ttl="soon")

# delete
refused(etcd.EtcdCompareFailed, client.delete, "/py/a", prevValue="x")
assert client.delete("/py/a", prevValue="three").action == "compareAndDelete"
assert client.delete("/py", recursive=True)._prev_node.dir
refused(etcd.EtcdKeyNotFound, client.get, "/py")
