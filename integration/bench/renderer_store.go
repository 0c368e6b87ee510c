// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
)

// put writes a key to the store of a site.
func (s *site) put(ctx context.Context, key, value string) error {
	if s.source == consul {
		return s.send(ctx, "/v1/kv"+key, "text/plain", []byte(value))
	}
	form := url.Values{"value": {value}}.Encode()
	return s.send(ctx, "/v2/keys"+key, "application/x-www-form-urlencoded", []byte(form))
}

func (s *site) send(ctx context.Context, path, contentType string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, "http://"+s.client+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", contentType)
	resp, err := s.b.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != 200 && resp.StatusCode != 201 {
		err = fmt.Errorf("PUT %s: %s: %s", path, resp.Status, text)
	}
	return err
}

const (
	keysEach  = 100
	txnKeys   = 64 // that consul takes at once
	fillConns = 64
)

// appKey is a key of the keys that are filled in: a hundred below each "/appN".
func appKey(i int) string { return fmt.Sprintf("/app%d/key%d", i/keysEach, i%keysEach) }

// fill writes so many keys.
func (s *site) fill(ctx context.Context, keys int) error {
	if s.source != consul {
		return parallel(fillConns, keys, func(i int) error { return s.put(ctx, appKey(i), "0") })
	}
	return parallel(16, (keys+txnKeys-1)/txnKeys, func(n int) error {
		var ops []map[string]map[string]string
		for i := n * txnKeys; i < min(keys, (n+1)*txnKeys); i++ {
			ops = append(ops, map[string]map[string]string{"KV": {
				"Verb": "set", "Key": strings.TrimPrefix(appKey(i), "/"), "Value": base64.StdEncoding.EncodeToString([]byte("0")),
			}})
		}
		body, err := json.Marshal(ops)
		if err != nil {
			return err
		}
		return s.send(ctx, "/v1/txn", "application/json", body)
	})
}

// parallel calls f with each number below n, so many at a time, and returns the first
// error.
func parallel(most, n int, f func(i int) error) error {
	var next atomic.Int64
	var working sync.WaitGroup
	errs := make(chan error, most)
	for range most {
		working.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				if err := f(int(i)); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	working.Wait()
	close(errs)
	return <-errs
}
