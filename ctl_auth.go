// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"path"
	"slices"
	"strings"

	"confd/raftkv/client"
)

const (
	userRequired = "Please provide a username"
	roleRequired = "Please provide a role name"
	passwordNote = "It is asked for without being shown, or read as a line of standard input if that is no terminal."
)

func userCommands() []command {
	roles := []ctlFlag{{name: "roles", arg: "ROLES", help: "names of roles, with commas between; may be repeated"}}
	return []command{
		{
			name: "user add", writes: true, args: "NAME", min: 1, max: 1, few: userRequired, refused: ctlFailure, notRun: true,
			help: "make a user with a password", detail: passwordNote + " There must be a user root before auth enable.",
			examples: []example{{"The first user", "confd user add root"}, {"From a file", "confd user add alice < alice.password"}},
			run:      runUserAdd,
		},
		{
			name: "user get", args: "NAME", min: 1, max: 1, few: userRequired, refused: ctlFailure, notRun: true,
			help: "print a user's roles", examples: []example{{"What may alice do", "confd user get alice"}},
			run: func(ctx context.Context, c *call) error {
				u, err := c.conn.User(ctx, c.args[0])
				if err == nil {
					c.say("User: %s\nRoles: %s", u.Name, strings.Join(u.Roles, " "))
				}
				return err
			},
		},
		{
			name: "user list", refused: ctlFailure, notRun: true,
			help: "print the names of all users", examples: []example{{"All users", "confd user list -u root"}},
			run: func(ctx context.Context, c *call) error {
				users, err := c.conn.Users(ctx)
				for _, u := range users {
					c.say("%s", u.Name)
				}
				return err
			},
		},
		{
			name: "user remove", writes: true, args: "NAME", min: 1, max: 1, few: userRequired, refused: ctlFailure, notRun: true,
			help: "remove a user", examples: []example{{"Remove a user", "confd user remove alice"}},
			run: func(ctx context.Context, c *call) error {
				return c.done(c.conn.DeleteUser(ctx, c.args[0]), "User %s removed", c.args[0])
			},
		},
		{
			name: "user grant", writes: true, args: "NAME", max: 1, flags: roles, refused: ctlFailure, notRun: true,
			help: "give roles to a user", examples: []example{{"Two roles", "confd user grant --roles web,db alice"}},
			run: func(ctx context.Context, c *call) error { return runUserRoles(ctx, c, c.conn.GrantRoles) },
		},
		{
			name: "user revoke", writes: true, args: "NAME", max: 1, flags: roles, refused: ctlFailure, notRun: true,
			help: "take roles from a user", examples: []example{{"Take a role away", "confd user revoke --roles db alice"}},
			run: func(ctx context.Context, c *call) error { return runUserRoles(ctx, c, c.conn.RevokeRoles) },
		},
		{
			name: "user passwd", writes: true, args: "NAME", min: 1, max: 1, few: userRequired, refused: ctlFailure, notRun: true,
			help: "change a user's password", detail: passwordNote,
			examples: []example{{"A new password", "confd user passwd alice"}},
			run:      runPasswd,
		},
	}
}

func roleCommands() []command {
	permissions := []ctlFlag{
		{name: "path", arg: "PATTERN", help: `key, or the beginning of keys with a "*" behind it`},
		{name: "read", help: "for reading"},
		{name: "write", help: "for writing"},
		{name: "readwrite", also: []string{"rw"}, help: "for both"},
	}
	return []command{
		{
			name: "role add", writes: true, args: "NAME", min: 1, max: 1, few: roleRequired, refused: ctlFailure,
			help: "make a role, without permissions", examples: []example{{"A role", "confd role add web"}},
			run: func(ctx context.Context, c *call) error {
				return c.done(c.conn.CreateRole(ctx, c.args[0]), "Role %s created", c.args[0])
			},
		},
		{
			name: "role grant", writes: true, args: "NAME", max: 1, flags: permissions, refused: ctlFailure,
			help: "add a permission to a role", examples: []example{{"All below a directory", "confd role grant --path '/services/*' --readwrite web"}},
			run: func(ctx context.Context, c *call) error { return runPermission(ctx, c, c.conn.GrantPermissions) },
		},
		{
			name: "role revoke", writes: true, args: "NAME", max: 1, flags: permissions, refused: ctlFailure,
			help: "take a permission from a role", examples: []example{{"Reading only", "confd role revoke --path '/services/*' --write web"}},
			run: func(ctx context.Context, c *call) error { return runPermission(ctx, c, c.conn.RevokePermissions) },
		},
		{
			name: "role get", args: "NAME", min: 1, max: 1, few: roleRequired, refused: ctlFailure,
			help: "print a role's permissions", examples: []example{{"What a role allows", "confd role get web"}},
			run: runRoleGet,
		},
		{
			name: "role list", refused: ctlFailure,
			help: "print the names of all roles", examples: []example{{"All roles", "confd role list"}},
			run: func(ctx context.Context, c *call) error {
				roles, err := c.conn.Roles(ctx)
				for _, r := range roles {
					c.say("%s", r.Name)
				}
				return err
			},
		},
		{
			name: "role remove", writes: true, args: "NAME", min: 1, max: 1, few: roleRequired, refused: ctlFailure,
			help: "remove a role", examples: []example{{"Remove a role", "confd role remove web"}},
			run: func(ctx context.Context, c *call) error {
				return c.done(c.conn.DeleteRole(ctx, c.args[0]), "Role %s removed", c.args[0])
			},
		},
	}
}

func authCommands() []command {
	return []command{
		{
			name: "auth enable", writes: true, refused: ctlFailure, notRun: true,
			help: "ask for user names and passwords from now on", detail: "There must be a user root. Who gives no name has the role guest, which may do all until it is changed.",
			examples: []example{{"Turn it on", "confd auth enable"}},
			run: func(ctx context.Context, c *call) error {
				return c.done(c.conn.EnableAuth(ctx), "Authentication Enabled")
			},
		},
		{
			name: "auth disable", writes: true, refused: ctlFailure, notRun: true,
			help: "let everybody do everything again", examples: []example{{"Turn it off", "confd auth disable -u root"}},
			run: func(ctx context.Context, c *call) error {
				return c.done(c.conn.DisableAuth(ctx), "Authentication Disabled")
			},
		},
	}
}

// done prints what has been done, unless it failed.
func (c *call) done(err error, format string, args ...any) error {
	if err == nil {
		c.say(format, args...)
	}
	return err
}

// runUserAdd refuses a user who is there: the API would change his password.
func runUserAdd(ctx context.Context, c *call) error {
	name, password, inline := strings.Cut(c.args[0], ":")
	known, err := c.knows(ctx, name)
	if err != nil {
		return err
	}
	if known {
		return hint(failure("user %q exists already", name), "confd user passwd %s changes the password", name)
	}
	if !inline {
		if password, err = c.askPassword(ctx, "New password: "); err != nil {
			return err
		}
	}
	if password == "" {
		return failure("an empty password")
	}
	return c.done(c.conn.PutUser(ctx, name, password), "User %s created", name)
}

// runPasswd refuses a user who is not there: the API would make him.
func runPasswd(ctx context.Context, c *call) error {
	known, err := c.knows(ctx, c.args[0])
	if err != nil {
		return err
	}
	if !known {
		return failure("user %q does not exist", c.args[0])
	}
	password, err := c.askPassword(ctx, "New password: ")
	if err != nil {
		return err
	}
	if password == "" {
		return failure("an empty password")
	}
	return c.done(c.conn.PutUser(ctx, c.args[0], password), "Password updated")
}

// knows tells whether there is a user of this name. It looks in the list, since asking
// for one user fails also if one of his roles is missing.
func (c *call) knows(ctx context.Context, name string) (bool, error) {
	users, err := c.conn.Users(ctx)
	return slices.ContainsFunc(users, func(u client.User) bool { return u.Name == name }), err
}

func runUserRoles(ctx context.Context, c *call, change func(context.Context, string, []string) error) error {
	roles := splitList(c.flags["roles"], true)
	if len(roles) == 0 {
		return failure("No roles specified; please use `--roles`")
	}
	if len(c.args) == 0 {
		return failure(userRequired)
	}
	return c.done(change(ctx, c.args[0], roles), "User %s updated", c.args[0])
}

func runRoleGet(ctx context.Context, c *call) error {
	r, err := c.conn.Role(ctx, c.args[0])
	if err != nil {
		return err
	}
	c.say("Role: %s\nKV Read:", r.Name)
	for _, p := range r.Permissions.Read {
		c.say("\t%s", p)
	}
	c.say("KV Write:")
	for _, p := range r.Permissions.Write {
		c.say("\t%s", p)
	}
	return nil
}

func runPermission(ctx context.Context, c *call, change func(context.Context, string, client.Permissions) error) error {
	pattern := c.text("path")
	switch want := canonical(pattern); {
	case pattern == "":
		return failure("No path specified; please use `--path`")
	case want != pattern:
		return failure("Not canonical path; please use `--path=%s`", want)
	}
	chosen := 0
	for _, name := range []string{"read", "write", "readwrite"} {
		if c.on(name) {
			chosen++
		}
	}
	if chosen != 1 {
		return failure("Please specify exactly one of --read, --write or --readwrite")
	}
	if len(c.args) == 0 {
		return failure(roleRequired)
	}
	var p client.Permissions
	if !c.on("write") {
		p.Read = []string{pattern}
	}
	if !c.on("read") {
		p.Write = []string{pattern}
	}
	return c.done(change(ctx, c.args[0], p), "Role %s updated", c.args[0])
}

// canonical returns a pattern as the store compares it: from the root, and clean; a
// slash at its end stays.
func canonical(pattern string) string {
	clean := path.Clean("/" + pattern)
	if strings.HasSuffix(pattern, "/") && clean != "/" {
		clean += "/"
	}
	return clean
}
