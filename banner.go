// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"confd/backends"
	"confd/resource"
)

// banner tells the person who started the daemon where it listens, what it renders, and
// a command to try.
func (p *program) banner(ctx context.Context, st *store, backend backends.Backend, resources []*resource.Resource) {
	var b strings.Builder
	fmt.Fprintf(&b, "confd %s", version)
	if st.node == nil {
		fmt.Fprintf(&b, ", values from %s\n", p.valuesFrom())
	} else {
		fmt.Fprintf(&b, ", node %s\n", p.Name)
		fmt.Fprintf(&b, "  client API  %s\n", st.url)
		for _, l := range st.listeners {
			if l.String() != st.url {
				fmt.Fprintf(&b, "              listening on %s\n", l)
			}
		}
		fmt.Fprintf(&b, "  peer port   %s\n", st.node.Status().PeerAddr)
		if p.net.peerHost != "" {
			fmt.Fprintf(&b, "              listening on %s\n", p.net.peer.addr)
		}
		fmt.Fprintf(&b, "  data        %s\n", p.DataDir)
	}
	switch {
	case p.StoreOnly:
		fmt.Fprintf(&b, "  renders     nothing: -store-only\n")
	case len(resources) == 0:
		fmt.Fprintf(&b, "  renders     nothing: no resource files in %s/conf.d\n", p.ConfDir)
	}
	width := 0
	for _, r := range resources {
		width = max(width, len(r.Name))
	}
	for i, r := range resources {
		label := "renders"
		if i > 0 {
			label = ""
		}
		fmt.Fprintf(&b, "  %-11s %-*s -> %s\n", label, width, r.Name, r.Dest)
	}
	if st.node != nil {
		var prefixes []string
		for _, r := range resources {
			prefixes = append(prefixes, r.Keys...)
		}
		if snapshot, err := backend.Snapshot(ctx, prefixes); err == nil { // else rendering says why not
			if line := tryLine(st.url, snapshot.Keys, resources); line != "" {
				fmt.Fprintf(&b, "  try         %s\n", line)
			}
		}
	}
	fmt.Fprint(p.stdout, b.String())
}

// valuesFrom describes a backend that is not the embedded store.
func (p *program) valuesFrom() string {
	switch {
	case p.Backend == "file":
		return strings.Join(p.Files, ", ")
	case p.Backend == "etcd" && p.SRVRecord != "":
		return "etcd at " + p.SRVRecord
	case p.Backend == "etcd":
		return "etcd at " + strings.Join(p.Nodes, ", ")
	}
	return "the environment"
}

// tryLine returns a curl command that changes what one of the resources renders, as far
// as its template can tell, and overwrites nothing: a new key in a directory that the
// template lists, or a key that it reads and the store does not have. Without such a
// key it returns a command that reads what the first resource may read.
func tryLine(url string, keys backends.Keys, resources []*resource.Resource) string {
	for _, r := range resources {
		text, err := os.ReadFile(r.Src)
		if err != nil {
			continue
		}
		for _, key := range r.Keys {
			asWritten := strings.TrimPrefix(key, strings.TrimSuffix(r.Prefix, "/"))
			_, isFile := keys.Get(key)
			switch {
			case !isFile && strings.Contains(string(text), `"`+asWritten+`/*"`):
				return fmt.Sprintf("curl -X PUT %s/v2/keys%s/%s -d value=10.0.0.1:8080", url, key, freeName(keys, key))
			case !hasAny(keys, key) && strings.Contains(string(text), `getv "`+asWritten+`"`):
				return fmt.Sprintf("curl -X PUT %s/v2/keys%s -d value=hello", url, key)
			}
		}
	}
	for _, r := range resources {
		if len(r.Keys) > 0 {
			return fmt.Sprintf("curl '%s/v2/keys%s?recursive=true'", url, r.Keys[0])
		}
	}
	return ""
}

// freeName returns a name that no key in the directory has.
func freeName(keys backends.Keys, dir string) string {
	for i := 1; ; i++ {
		name := fmt.Sprintf("web%d", i)
		if !hasAny(keys, dir+"/"+name) {
			return name
		}
	}
}

// hasAny tells whether there is a key at key or below it.
func hasAny(keys backends.Keys, key string) bool {
	for range keys.Under([]string{key}).From("") {
		return true
	}
	return false
}
