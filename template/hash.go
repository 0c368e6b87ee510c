// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package template

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"

	//lint:ignore SA1019 bcrypt is made of it
	"golang.org/x/crypto/blowfish"
)

func encodeBase64URL(s string) string { return base64.URLEncoding.EncodeToString([]byte(s)) }

func decodeBase64URL(s string) (string, error) {
	b, err := base64.URLEncoding.DecodeString(s)
	return string(b), err
}

func encodeHex(s string) string { return hex.EncodeToString([]byte(s)) }

func decodeHex(s string) (string, error) {
	b, err := hex.DecodeString(s)
	if err != nil {
		return "", errors.New("not hexadecimal")
	}
	return string(b), nil
}

// sum returns a function that hashes a text, in hexadecimal.
func sum(algorithm func() hash.Hash) func(string) string {
	return func(s string) string {
		h := algorithm()
		h.Write([]byte(s))
		return hex.EncodeToString(h.Sum(nil))
	}
}

// keyed returns a function that hashes a text under a key, in hexadecimal.
func keyed(algorithm func() hash.Hash) func(key, s string) string {
	return func(key, s string) string {
		h := hmac.New(algorithm, []byte(key))
		h.Write([]byte(s))
		return hex.EncodeToString(h.Sum(nil))
	}
}

var (
	md5sum     = sum(md5.New)
	sha1sum    = sum(sha1.New)
	sha256sum  = sum(sha256.New)
	sha512sum  = sum(sha512.New)
	hmacSHA256 = keyed(sha256.New)
	hmacSHA512 = keyed(sha512.New)
)

const (
	bcryptCost  = 10 // as htpasswd -B and package bcrypt have it
	bcryptLimit = 72 // bytes of a password that count
)

// bcryptAlphabet is base64 as bcrypt writes it.
var bcryptAlphabet = base64.NewEncoding("./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789").WithPadding(base64.NoPadding)

// maxHashes is how many hashes a template keeps: one takes 50 ms.
const maxHashes = 1000

func (r *run) bcrypt(salt, password string) (string, error) {
	key := [2]string{salt, password}
	if hash, ok := r.hashes[key]; ok {
		return hash, nil
	}
	hash, err := bcrypt(bcryptCost, salt, password)
	if err != nil {
		return "", err
	}
	if r.hashes == nil || len(r.hashes) == maxHashes {
		r.hashes = make(map[[2]string]string)
	}
	r.hashes[key] = hash
	return hash, nil
}

// bcrypt hashes a password, with a salt made from a text and the password. Package
// bcrypt draws the salt by chance, so that each rendering would make another file, and
// each rendering a reload. The steps are those of package bcrypt, which can check the
// hash; the test has it do so.
func bcrypt(cost int, salt, password string) (string, error) {
	switch {
	case len(password) > bcryptLimit:
		return "", fmt.Errorf("bcrypt takes passwords of at most %d bytes", bcryptLimit)
	case salt == "":
		return "", errors.New("the text for the salt is empty; give one of your own, the same at each rendering")
	}
	mac := hmac.New(sha256.New, []byte(salt))
	mac.Write([]byte("confd bcrypt salt\x00" + password))
	raw := mac.Sum(nil)[:16]
	key := append([]byte(password), 0)
	c, err := blowfish.NewSaltedCipher(key, raw)
	if err != nil {
		return "", err
	}
	for range 1 << cost {
		blowfish.ExpandKey(key, c)
		blowfish.ExpandKey(raw, c)
	}
	digest := []byte("OrpheanBeholderScryDoubt")
	for i := 0; i < len(digest); i += blowfish.BlockSize {
		for range 64 {
			c.Encrypt(digest[i:], digest[i:])
		}
	}
	return fmt.Sprintf("$2a$%02d$%s%s", cost, bcryptAlphabet.EncodeToString(raw),
		bcryptAlphabet.EncodeToString(digest[:23])), nil
}
