// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package template

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"
)

// defaultLookupTimeout is as long as two tries of the usual resolver.
const defaultLookupTimeout = 10 * time.Second

// resolver returns the resolver, and a context for one question to it.
func (r *run) resolver() (Resolver, context.Context, context.CancelFunc) {
	timeout := r.opts.LookupTimeout
	if timeout == 0 {
		timeout = defaultLookupTimeout
	}
	ctx, cancel := context.WithTimeout(r.ctx, timeout)
	if r.opts.Resolver != nil {
		return r.opts.Resolver, ctx, cancel
	}
	return net.DefaultResolver, ctx, cancel
}

// lookupIP returns the addresses of a host, sorted as text. As in confd 0.16 there are
// none if the question fails. If it fails because the rendering is called off, Render
// sees to it that nothing is made of the missing answer.
func (r *run) lookupIP(host string) []string {
	resolver, ctx, cancel := r.resolver()
	defer cancel()
	addrs, err := resolver.LookupIPAddr(ctx, host)
	if err != nil {
		return nil
	}
	list := make([]string, len(addrs))
	for i, addr := range addrs {
		list[i] = addr.IP.String()
	}
	slices.Sort(list)
	return list
}

func (r *run) lookupIPV4(host string) []string { return containing(r.lookupIP(host), ".") }
func (r *run) lookupIPV6(host string) []string { return containing(r.lookupIP(host), ":") }

// containing returns the texts that contain part.
func containing(all []string, part string) []string {
	var list []string
	for _, s := range all {
		if strings.Contains(s, part) {
			list = append(list, s)
		}
	}
	return list
}

// lookupSRV returns the SRV records of a service in an order that does not depend on
// chance: by target, port, priority and weight, as one text.
func (r *run) lookupSRV(service, proto, name string) []*net.SRV {
	resolver, ctx, cancel := r.resolver()
	defer cancel()
	_, records, err := resolver.LookupSRV(ctx, service, proto, name)
	if err != nil {
		return []*net.SRV{}
	}
	text := func(s *net.SRV) string {
		return fmt.Sprintf("%s%d%d%d", s.Target, s.Port, s.Priority, s.Weight)
	}
	slices.SortStableFunc(records, func(a, b *net.SRV) int { return strings.Compare(text(a), text(b)) })
	return records
}
