// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

// Package auth decides who may do what with the keys: users with passwords, roles with
// permissions, and whether that is looked at, as etcd 2.x has them.
//
//	a := auth.New(auth.Config{Store: node, Changed: raftkv.ErrMetaChanged})
//	ok := a.Allows(ctx, auth.Basic("ann", password, "10.0.0.1:5000"), auth.Access{Key: "/app/x", Write: true})
//
// # Model
//
// A user has a password and the names of roles. A role has two lists of patterns, one for
// reading and one for writing: a pattern that ends in * matches what begins with the rest
// of it, text by text, so that /foo* matches /foobar; any other matches itself. Something
// recursive is allowed only by a pattern that ends in *. Nobody has logged in: the
// permissions are those of the role guest, if there is one. The role root may do
// everything, cannot be changed, and the user root always has it.
//
// The state is in the replicated metadata: auth/enabled, auth/user/NAME with the bcrypt
// hash and the roles, auth/role/NAME with the patterns. It is decoded once for each change
// of the metadata. Every change is a compare-and-set of one key, tried again when somebody
// else was faster.
//
// # Cost of logins
//
// A bcrypt comparison takes some 50 ms of a processor, so:
//
//   - A login that has been compared is remembered, as a keyed hash of the name, the
//     password and the stored hash under a key that this process has drawn. Requests with
//     it pay about a microsecond. A new password makes another stored hash, so the memory
//     needs no cleaning. It holds at most 4096 logins that were right and, apart, as many
//     that were wrong: a client that repeats one wrong login costs nobody anything.
//   - At most half of the processors, one at least, compare at the same time, one login of
//     each address at most. A login waits 1.5 s for its turn and is then refused; etcd's
//     clients wait 2 s for an answer.
//   - An address (of IPv6 its /64) rests after a failure three times as long as the
//     comparison took, half a second at most. Others do not wait for that: one address
//     takes a quarter of one processor at most, and remembered logins do not notice.
//     Wrong logins from many addresses together can take all places for new logins.
//   - A name that has failed ten times in a row from one address is refused there without a
//     comparison, and gets one try each second; an address that has failed a hundred times
//     with any names gets two each second. That is by address, so that nobody can lock out a
//     user from elsewhere, and by name, so that a user does not lock out the others behind
//     one address. It is logged when it begins.
//   - A user who does not exist costs the same as one who does, so that the time of an
//     answer does not tell names.
//
// A refusal for any of these reasons looks like one for a wrong password.
//
// # Errors
//
// What is refused is an *Error, with a kind and etcd's words. All other errors are the
// store's: the outcome of a change is then unknown. No error has a password or a hash in it.
//
// # Decisions
//
// The key of a permission check is the clean one, and guests need a prefix pattern for
// recursive requests as users do. etcd compares the key as it was sent, which lets the
// holder of /foo/* remove /foo by asking for /foo/, and spares guests the rule.
//
// A password has at most 72 bytes, which is all that bcrypt looks at; a longer one is
// refused, not cut.
//
// Enabling needs a user root, and that user cannot be deleted while enabled. The two are
// different keys, so each looks again after its change and takes it back if the other
// happened at the same time through another node: else nobody could log in as root.
//
// A record that cannot be decoded exists but allows nothing.
package auth
