"""What python-etcd asks about the cluster."""
import sys

import etcd

host, port = sys.argv[1], int(sys.argv[2])
client = etcd.Client(host=host, port=port, allow_reconnect=True)
here = "http://%s:%d" % (host, port)
assert client.machines == [here], client.machines
assert client.version.startswith("3.4") and client.cluster_version == "3.4.0", (client.version, client.cluster_version)
members = client.members
assert len(members) == 1
(member,) = members.values()
assert member["clientURLs"] == [here] and member["name"], member
assert client.leader["id"] == member["id"], client.leader
assert client.stats["state"] == "StateLeader" and client.stats["leaderInfo"]["leader"] == member["id"], client.stats
assert client.leader_stats["followers"] == {}, client.leader_stats
before = client.store_stats["setsSuccess"]
client.write("/counted", "x")
assert client.store_stats["setsSuccess"] == before + 1
