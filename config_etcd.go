// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"reflect"
	"strings"

	"confd/resource"
)

// readEtcdFile reads a configuration file of etcd 0.4, if one is named.
func readEtcdFile(path string) (given, error) {
	if path == "" {
		return nil, nil
	}
	doc := etcdDocument()
	if err := resource.DecodeStrict(path, doc.Interface()); err != nil {
		return nil, err
	}
	got := given{}
	collect(got, doc.Elem())
	return got, nil
}

func collect(got given, table reflect.Value) {
	for i := range table.NumField() {
		if table.Field(i).Kind() == reflect.Struct {
			collect(got, table.Field(i))
		} else if values := written(table.Field(i)); values != nil {
			got[table.Type().Field(i).Tag.Get("option")] = values
		}
	}
}

// etcdDocument returns a pointer to a new struct that such a file is decoded into; see
// configDocument.
func etcdDocument() reflect.Value {
	tables := map[string][]reflect.StructField{}
	for o := range options() {
		if o.etcd != etcd04 {
			continue
		}
		table, key, ok := strings.Cut(o.etcdFileKey(), ".")
		if !ok {
			table, key = "", table
		}
		tables[table] = append(tables[table], documentField(len(tables[table]), key, o.name, o.fieldType()))
	}
	root := tables[""]
	for _, table := range []string{"peer", "cluster"} {
		root = append(root, reflect.StructField{
			Name: strings.ToUpper(table),
			Type: reflect.StructOf(tables[table]),
			Tag:  reflect.StructTag(fmt.Sprintf("toml:%q", table)),
		})
	}
	return reflect.New(reflect.StructOf(root))
}

// etcdFileKey returns the key of the option in a configuration file of etcd 0.4: -peer-addr
// is addr in the table peer.
func (o *option) etcdFileKey() string {
	if o.etcdKey != "" {
		return o.etcdKey
	}
	for _, table := range []string{"peer", "cluster"} {
		if key, ok := strings.CutPrefix(o.name, table+"-"); ok {
			return table + "." + strings.ReplaceAll(key, "-", "_")
		}
	}
	return strings.ReplaceAll(o.name, "-", "_")
}

// fieldType returns the type that the option has in a file.
func (o *option) fieldType() reflect.Type {
	if o.text {
		return reflect.TypeFor[string]()
	}
	return reflect.TypeOf(o.at(&settings{})).Elem()
}

// documentField returns field i of a document: a pointer, so that what is not there is
// seen.
func documentField(i int, key, name string, t reflect.Type) reflect.StructField {
	return reflect.StructField{
		Name: fmt.Sprintf("Key%d", i),
		Type: reflect.PointerTo(t),
		Tag:  reflect.StructTag(fmt.Sprintf(`toml:%q option:%q`, key, name)),
	}
}
