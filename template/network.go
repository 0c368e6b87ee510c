// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package template

import (
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
)

var (
	errAddress = errors.New("not an IP address")
	errNetwork = errors.New("not a network such as 10.0.0.0/8")
	errBeyond  = errors.New("the number leads out of the network")
)

func parseIP(text string) (netip.Addr, error) {
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return addr, errAddress
	}
	return addr, nil
}

// parseNetwork returns a network without the bits behind its length.
func parseNetwork(text string) (netip.Prefix, error) {
	network, err := netip.ParsePrefix(text)
	if err != nil {
		return network, errNetwork
	}
	return network.Masked(), nil
}

func isIP(text string) bool {
	_, err := netip.ParseAddr(text)
	return err == nil
}

func isIPv4(text string) bool {
	addr, err := netip.ParseAddr(text)
	return err == nil && addr.Is4()
}

func isIPv6(text string) bool {
	addr, err := netip.ParseAddr(text)
	return err == nil && addr.Is6()
}

// offset returns the address that lies by so many after another one of the same kind.
func offset(addr netip.Addr, by *big.Int) (netip.Addr, error) {
	n := new(big.Int).SetBytes(addr.AsSlice())
	n.Add(n, by)
	raw := make([]byte, len(addr.AsSlice()))
	if n.Sign() < 0 || n.BitLen() > 8*len(raw) {
		return netip.Addr{}, errors.New("there is no such address")
	}
	moved, _ := netip.AddrFromSlice(n.FillBytes(raw))
	return moved.WithZone(addr.Zone()), nil
}

func ipAdd(text string, by int) (string, error) {
	addr, err := parseIP(text)
	if err != nil {
		return "", err
	}
	moved, err := offset(addr, big.NewInt(int64(by)))
	if err != nil {
		return "", err
	}
	return moved.String(), nil
}

// lastOfNetwork returns the address whose bits behind the length are all 1.
func lastOfNetwork(network netip.Prefix) netip.Addr {
	raw := network.Addr().AsSlice()
	for bit := network.Bits(); bit < 8*len(raw); bit++ {
		raw[bit/8] |= 0x80 >> (bit % 8)
	}
	addr, _ := netip.AddrFromSlice(raw)
	return addr
}

func cidrLast(text string) (string, error) {
	network, err := parseNetwork(text)
	if err != nil {
		return "", err
	}
	return lastOfNetwork(network).String(), nil
}

// cidrHost returns one address of a network; a number below 0 counts from its end.
func cidrHost(text string, n int) (string, error) {
	network, err := parseNetwork(text)
	if err != nil {
		return "", err
	}
	from, by := network.Addr(), big.NewInt(int64(n))
	if n < 0 {
		from = lastOfNetwork(network)
		by.Add(by, big.NewInt(1))
	}
	addr, err := offset(from, by)
	if err != nil || !network.Contains(addr) {
		return "", errBeyond
	}
	return addr.String(), nil
}

// cidrSubnet returns one of the networks that a network falls into if its length grows
// by so many bits.
func cidrSubnet(text string, bits, n int) (string, error) {
	network, err := parseNetwork(text)
	if err != nil {
		return "", err
	}
	all := network.Addr().BitLen()
	length := network.Bits() + bits
	if bits < 0 || bits > all || length > all {
		return "", fmt.Errorf("no network of %d more bits fits in", bits)
	}
	by := new(big.Int).Lsh(big.NewInt(int64(n)), uint(all-length))
	addr, err := offset(network.Addr(), by)
	if err != nil || n < 0 || !network.Contains(addr) {
		return "", errBeyond
	}
	return netip.PrefixFrom(addr, length).String(), nil
}

func cidrNetmask(text string) (string, error) {
	network, err := parseNetwork(text)
	if err != nil {
		return "", err
	}
	return net.IP(net.CIDRMask(network.Bits(), network.Addr().BitLen())).String(), nil
}

func cidrBits(text string) (int, error) {
	network, err := parseNetwork(text)
	return network.Bits(), err
}

// cidrContains reports whether an address, or a whole network, lies in a network.
func cidrContains(text, other string) (bool, error) {
	network, err := parseNetwork(text)
	if err != nil {
		return false, err
	}
	if strings.Contains(other, "/") {
		inner, err := parseNetwork(other)
		return err == nil && inner.Bits() >= network.Bits() && network.Contains(inner.Addr()), err
	}
	addr, err := parseIP(other)
	return err == nil && network.Contains(addr.Unmap()), err
}

// sortIP sorts addresses by number, where sortAlpha has 10.0.0.10 before 10.0.0.9.
func sortIP(list any) ([]string, error) {
	all, err := texts(list)
	if err != nil {
		return nil, err
	}
	addrs := make([]netip.Addr, len(all))
	for i, text := range all {
		if addrs[i], err = parseIP(text); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	for i, addr := range addrs {
		all[i] = addr.String()
	}
	return all, nil
}

func joinHostPort(host string, port any) string { return net.JoinHostPort(host, toString(port)) }

func splitHostPort(address string) ([]string, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, errors.New("not an address with a port, such as 10.0.0.1:80")
	}
	return []string{host, port}, nil
}

// urlParse returns the parts of a URL.
func urlParse(text string) (map[string]any, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, errors.New("not a URL")
	}
	password, _ := u.User.Password()
	port := 0
	if u.Port() != "" {
		if port, err = strconv.Atoi(u.Port()); err != nil {
			return nil, errors.New("not a URL: the port is no number")
		}
	}
	return map[string]any{
		"scheme": u.Scheme, "user": u.User.Username(), "password": password,
		"host": u.Hostname(), "port": port, "path": u.Path, "query": u.RawQuery, "fragment": u.Fragment,
	}, nil
}

// ifaceAddrs returns the addresses of a network interface, none if there is no such.
func ifaceAddrs(name string) []netip.Addr {
	iface, err := net.InterfaceByName(name)
	if err != nil {
		return nil
	}
	addrs, err := iface.Addrs()
	if err != nil {
		return nil
	}
	var all []netip.Addr
	for _, addr := range addrs {
		if network, ok := addr.(*net.IPNet); ok {
			if ip, ok := netip.AddrFromSlice(network.IP); ok {
				all = append(all, ip.Unmap())
			}
		}
	}
	return all
}

// lookupIface returns the first address of an interface that fits, else "".
func (r *run) lookupIface(name string, fits func(netip.Addr) bool) string {
	get := r.opts.Interface
	if get == nil {
		get = ifaceAddrs
	}
	for _, addr := range get(name) {
		if fits(addr) {
			return addr.String()
		}
	}
	return ""
}

func (r *run) lookupIfaceIPV4(name string) string { return r.lookupIface(name, netip.Addr.Is4) }
func (r *run) lookupIfaceIPV6(name string) string { return r.lookupIface(name, netip.Addr.Is6) }

func (r *run) hostname() (string, error) {
	if r.opts.Hostname == nil {
		return os.Hostname()
	}
	return r.opts.Hostname()
}
