// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package tree

// Code is the errorCode of the v2 API.
type Code int

// The codes that the store itself answers with (etcd 0.4 to 3.4, /v2/keys).
const (
	CodeKeyNotFound       Code = 100
	CodeCompareFailed     Code = 101
	CodeNotFile           Code = 102
	CodeNotDir            Code = 104
	CodeNodeExist         Code = 105
	CodeRootReadOnly      Code = 107
	CodeDirNotEmpty       Code = 108
	CodeUnauthorized      Code = 110
	CodePrevValueEmpty    Code = 201
	CodeTTLNaN            Code = 202
	CodeIndexNaN          Code = 203
	CodeInvalidField      Code = 209
	CodeInvalidForm       Code = 210
	CodeRefreshValue      Code = 211
	CodeRefreshTTL        Code = 212
	CodeRaftInternal      Code = 300
	CodeLeaderElect       Code = 301
	CodeEventIndexCleared Code = 401
)

// An Error is a refusal in the words of the v2 API.
type Error struct {
	Code  Code
	Cause string
	Index uint64 // of the tree when it was refused
}

var messages = map[Code]string{
	CodeKeyNotFound:       "Key not found",
	CodeCompareFailed:     "Compare failed",
	CodeNotFile:           "Not a file",
	CodeNotDir:            "Not a directory",
	CodeNodeExist:         "Key already exists",
	CodeRootReadOnly:      "Root is read only",
	CodeDirNotEmpty:       "Directory not empty",
	CodeUnauthorized:      "The request requires user authentication",
	CodePrevValueEmpty:    "PrevValue is Required in POST form",
	CodeTTLNaN:            "The given TTL in POST form is not a number",
	CodeIndexNaN:          "The given index in POST form is not a number",
	CodeInvalidField:      "Invalid field",
	CodeInvalidForm:       "Invalid POST form",
	CodeRefreshValue:      "Value provided on refresh",
	CodeRefreshTTL:        "A TTL must be provided on refresh",
	CodeRaftInternal:      "Raft Internal Error",
	CodeLeaderElect:       "During Leader Election",
	CodeEventIndexCleared: "The event in requested index is outdated and cleared",
}

// Message returns the message that goes with the code, "" if there is none.
func (c Code) Message() string { return messages[c] }

// Error returns the message and the cause, for logs. The cause of a failed compare holds
// values, and is left out.
func (e *Error) Error() string {
	if e.Cause == "" || e.Code == CodeCompareFailed {
		return e.Code.Message()
	}
	return e.Code.Message() + " (" + e.Cause + ")"
}
