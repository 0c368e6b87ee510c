// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package template

import (
	"errors"
	"strconv"
	"time"
)

func formatDate(layout string, t time.Time) string { return t.Format(layout) }

// dateInZone writes a time as the clocks of a place show it.
func dateInZone(layout string, t time.Time, zone string) (string, error) {
	place, err := time.LoadLocation(zone)
	if err != nil {
		return "", errors.New("no such time zone, or no time zones on this machine (package tzdata)")
	}
	return t.In(place).Format(layout), nil
}

func toDate(layout, text string) (time.Time, error) {
	t, err := time.Parse(layout, text)
	if err != nil {
		return time.Time{}, errors.New("the text is not a time of this layout")
	}
	return t, nil
}

func dateModify(by string, t time.Time) (time.Time, error) {
	d, err := time.ParseDuration(by)
	if err != nil {
		return time.Time{}, errors.New(`not a duration such as "-1h30m"`)
	}
	return t.Add(d), nil
}

func unixEpoch(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }

// seconds returns how many seconds a duration such as "1h30m" has.
func seconds(text string) (decimal, error) {
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, errors.New(`not a duration such as "1h30m"`)
	}
	return decimal(d.Seconds()), nil
}
