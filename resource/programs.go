// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package resource

import (
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// programs returns the programs that a line of the shell names by a plain word: the first
// word of each command in it that is neither of the shell itself nor made at run time. It
// returns none for what it does not understand: a mistake that is missed is better than
// one that is none.
func programs(line string) []string {
	if strings.Contains(line, "<<") || strings.Contains(line, "()") {
		return nil
	}
	line = templateAction.ReplaceAllString(line, dynamic)
	var found []string
	for _, command := range shellCommands(line) {
		if slices.Contains(command, "case") {
			return nil
		}
		if name := program(command); name != "" && !slices.Contains(found, name) {
			found = append(found, name)
		}
	}
	return found
}

var templateAction = regexp.MustCompile(`\{\{.*?\}\}`)

// dynamic stands in a word for what is not known before the line runs.
const dynamic = "\x00"

// shellCommands splits a line into commands, and those into words.
func shellCommands(line string) [][]string {
	var all [][]string
	var command []string
	word, quote, open := "", rune(0), false
	endWord := func() {
		if open {
			command = append(command, word)
		}
		word, open = "", false
	}
	endCommand := func() {
		endWord()
		if command != nil {
			all = append(all, command)
		}
		command = nil
	}
	escaped := false
	for _, r := range line {
		switch {
		case escaped:
			word, escaped = word+dynamic, false
		case r == '\\' && quote != '\'':
			escaped, open = true, true
		case quote != 0:
			if r == quote {
				quote = 0
			} else {
				word += dynamic
			}
		case r == '\'' || r == '"' || r == '`':
			quote, open = r, true
			word += dynamic
		case r == ' ' || r == '\t':
			endWord()
		case r == '&' && strings.HasSuffix(word, ">"): // 2>&1
			word += dynamic
		case strings.ContainsRune(";&|()\n", r):
			endCommand()
		default:
			word, open = word+string(r), true
		}
	}
	endCommand()
	return all
}

// shellWords are those after which a command begins, and shellBuiltins what the shell
// does itself; what follows one of shellEnds is no command.
var (
	shellWords    = strings.Fields("if then else elif while until do ! { time exec command nohup")
	shellEnds     = strings.Fields("fi done esac } for in function select")
	shellBuiltins = strings.Fields(`. : [ alias bg break cd continue echo eval exit export false fg getopts hash jobs
		kill local printf pwd read readonly return set shift source test times trap true type ulimit umask
		unalias unset wait`)
	assignment = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*=`)
	plainWord  = regexp.MustCompile(`^[A-Za-z0-9_./+-]+$`)
)

// program returns the program that a command runs, or "".
func program(command []string) string {
	for _, word := range command {
		switch {
		case assignment.MatchString(word), slices.Contains(shellWords, word):
			continue
		case slices.Contains(shellEnds, word), slices.Contains(shellBuiltins, word), !plainWord.MatchString(word), word[0] == '-':
			return ""
		}
		return word
	}
	return ""
}

// runnable returns an error unless a program is there and may be run. Of a path that is
// not absolute it says nothing: it depends on where the command runs.
func runnable(name string) error {
	if strings.Contains(name, "/") && !filepath.IsAbs(name) {
		return nil
	}
	_, err := exec.LookPath(name)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, exec.ErrNotFound):
		return fmt.Errorf("program %q is not in PATH", name)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("program %q does not exist", name)
	}
	return fmt.Errorf("program %q cannot be run: it is not executable", name)
}
