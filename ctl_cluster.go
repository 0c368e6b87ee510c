// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"confd/raftkv/client"
)

// farBehind is how many log entries a member may lack and be called up to date: some are
// on their way at any time.
const farBehind = 256

// A clusterReport is the answer of /v2/stats/cluster.
type clusterReport struct {
	Cluster string         `json:"cluster"`
	Self    string         `json:"self"`
	Leader  string         `json:"leader"`
	Members []memberReport `json:"members"`
}

type memberReport struct {
	ID         string   `json:"id"`
	Name       string   `json:"name"`
	ClientURLs []string `json:"clientURLs"`
	PeerURLs   []string `json:"peerURLs"`
	Version    string   `json:"version"`
	Role       string   `json:"role"`
	Answers    bool     `json:"answers"`
	Error      string   `json:"error"`
	Index      uint64   `json:"etcdIndex"`
	Ready      bool     `json:"ready"`
	Behind     uint64   `json:"behind"`
	Contact    *float64 `json:"lastContact"`
}

func clusterCommands() []command {
	return []command{{
		name: "cluster", refused: ctlFailure,
		help: "print the members, their roles, and how they are",
		detail: "A leader and a follower vote, a standby has all data and serves everything, but does not vote. " +
			"INDEX is X-Etcd-Index of the member, LAG how many entries of the log it lacks, and CONTACT how long ago the leader last heard of it. " +
			"The exit code is 0 if there is a leader and a majority of those who vote answers, else 5; 2 if no server does.",
		examples: []example{{"How the cluster is", "confd cluster"}, {"The same for a program", "confd cluster -o json"}},
		run:      runCluster,
	}}
}

func runCluster(ctx context.Context, c *call) error {
	text, report, err := askCluster(ctx, c.conn)
	if err != nil {
		return err
	}
	// Only the leader knows when it heard of whom.
	if url := report.leaderURL(); report.Leader != report.Self && url != "" {
		if t, r, err := c.askClusterAt(ctx, url); err == nil && r.Cluster == report.Cluster {
			text, report = t, r
		}
	}
	if c.form == "json" {
		c.say("%s", strings.TrimSpace(string(text)))
	} else {
		c.printCluster(report)
	}
	voters, answer := report.quorum()
	switch {
	case report.leader() == nil && !report.ready():
		return &ctlError{ctlUnhealthy, hint(errors.New("there is no leader, and the node that was asked has heard of none since its start; so it may not know all who vote"),
			"it refuses reads and writes until a majority runs: start the others, or see docs/cluster.md for what to do if they are lost")}
	case report.leader() == nil:
		return &ctlError{ctlUnhealthy, hint(fmt.Errorf("there is no leader: %d of %d members that vote answer, and it takes %d", answer, voters, voters/2+1),
			"reads and watches go on, writes do not; start the others, or see docs/cluster.md for what to do if they are lost")}
	case answer <= voters/2:
		return &ctlError{ctlUnhealthy, fmt.Errorf("%d of %d members that vote answer, and it takes %d", answer, voters, voters/2+1)}
	}
	return nil
}

// askCluster asks for the report, and returns it as it came, too.
func askCluster(ctx context.Context, conn *client.Client) (json.RawMessage, *clusterReport, error) {
	text, err := conn.Stats(ctx, "cluster")
	if refusal, ok := errors.AsType[*client.Error](err); ok && refusal.Status == http.StatusNotFound {
		return nil, nil, hint(failure("%s is not of confd: it does not know /v2/stats/cluster", refusal.Endpoint), "confd cluster-health and confd member list ask an etcd")
	}
	if err != nil {
		return nil, nil, err
	}
	var r clusterReport
	if err := json.Unmarshal(text, &r); err != nil || r.Self == "" {
		return nil, nil, failure("the answer is not a report of a cluster")
	}
	return text, &r, nil
}

// askClusterAt asks a member by the address that it is known by.
func (c *call) askClusterAt(ctx context.Context, url string) (json.RawMessage, *clusterReport, error) {
	cfg := c.cfg
	cfg.Endpoints = []string{url}
	cfg.Username, cfg.Password = "", "" // the address is the cluster's word, not the user's
	conn, err := client.New(cfg)
	if err != nil {
		return nil, nil, err
	}
	defer conn.Close()
	return askCluster(ctx, conn)
}

// leader returns the member that leads, nil if there is none that answers.
func (r *clusterReport) leader() *memberReport {
	for i := range r.Members {
		if m := &r.Members[i]; m.ID == r.Leader && m.Answers {
			return m
		}
	}
	return nil
}

// ready tells whether the node that was asked has caught up since its start.
func (r *clusterReport) ready() bool {
	return slices.ContainsFunc(r.Members, func(m memberReport) bool { return m.ID == r.Self && m.Ready })
}

func (r *clusterReport) leaderURL() string {
	if m := r.leader(); m != nil && len(m.ClientURLs) > 0 {
		return m.ClientURLs[0]
	}
	return ""
}

// quorum returns how many members vote, and how many of those answer.
func (r *clusterReport) quorum() (voters, answer int) {
	for _, m := range r.Members {
		if m.Role == "leader" || m.Role == "follower" {
			voters++
			if m.Answers {
				answer++
			}
		}
	}
	return voters, answer
}

func (c *call) printCluster(r *clusterReport) {
	slices.SortFunc(r.Members, func(a, b memberReport) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.ID, b.ID))
	})
	w := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tID\tROLE\tCLIENT\tVERSION\tINDEX\tLAG\tCONTACT\tSTATE")
	for _, m := range r.Members {
		index, lag, contact := "-", "-", "-"
		if m.Answers {
			index, lag = strconv.FormatUint(m.Index, 10), strconv.FormatUint(m.Behind, 10)
		}
		if m.Contact != nil {
			contact = time.Duration(*m.Contact * float64(time.Second)).Round(10 * time.Millisecond).String()
		}
		where := strings.Join(m.ClientURLs, ",")
		if m.Name == "" {
			where = ""
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", cmp.Or(m.Name, "-"), m.ID, cmp.Or(m.Role, "-"),
			cmp.Or(where, "-"), cmp.Or(m.Version, "-"), index, lag, contact, m.state())
	}
	w.Flush() // into c.out, whose error is seen at its end
}

// state tells how a member is.
func (m *memberReport) state() string {
	switch {
	case m.Name == "":
		return "not started; for " + strings.Join(m.PeerURLs, ",")
	case !m.Answers:
		return "does not answer"
	case !m.Ready:
		return "not ready"
	case m.Behind > farBehind:
		return "catching up"
	}
	return "ok"
}
