"""Users, roles and permissions through python-etcd. The last, as it turns them on."""
import sys

import etcd
from etcd import auth

host, port = sys.argv[1], int(sys.argv[2])
anybody = etcd.Client(host=host, port=port)
root = etcd.Client(host=host, port=port, username="root", password="rootpw")

user = auth.EtcdUser(anybody, "root")
user.password = "rootpw"
user.write()
role = auth.EtcdRole(anybody, "shop")
role.grant("/shop/*", "RW")
role.write()
user = auth.EtcdUser(anybody, "alice")
user.password = "alicepw"
user.roles = ["shop"]
user.write()
anybody.api_execute("/v2/auth/enable", anybody._MPUT)
try:
    guest = auth.EtcdRole(root, "guest")
    guest.read()
    guest.revoke("/*", "RW")
    guest.write()
    alice = etcd.Client(host=host, port=port, username="alice", password="alicepw")
    alice.write("/shop/a", "1")
    assert alice.read("/shop/a").value == "1"
    wrong = etcd.Client(host=host, port=port, username="alice", password="x")
    for client, key in ((anybody, "/shop/a"), (wrong, "/shop/a"), (alice, "/other")):
        try:
            client.read(key)
            raise AssertionError("%s can be read" % key)
        except etcd.EtcdInsufficientPermissions:
            pass
    names = sorted(u["user"] for u in auth.EtcdUser(root, "alice").names)
    assert names == ["alice", "root"], names
    try:
        auth.EtcdUser(alice, "root").read()
        raise AssertionError("alice can read users")
    except etcd.EtcdInsufficientPermissions:
        pass
finally:
    root.api_execute("/v2/auth/enable", root._MDELETE)
assert anybody.read("/shop/a").value == "1"
