package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

// testFamily is the only one of the test program: it collects every child there is.
var testFamily = newFamily()

// testSupervisor runs scripts from a directory in place of the components.
func testSupervisor(t *testing.T, scripts map[string]string) *supervisor {
	t.Helper()
	dir := layout(t.TempDir())
	binaries := filepath.Join(string(dir), "bin")
	for _, made := range []string{binaries, dir.logs()} {
		if err := os.MkdirAll(made, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, script := range scripts {
		if err := os.WriteFile(filepath.Join(binaries, name), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	reports, err := os.Create(filepath.Join(string(dir), "reports"))
	if err != nil {
		t.Fatal(err)
	}
	s := &supervisor{
		dir: dir, family: testFamily, reports: json.NewEncoder(reports),
		programs: programs{binaryDir: binaries, layout: dir},
		state:    newState(upRequest{name: "one"}, string(dir), 0),
	}
	t.Cleanup(func() { s.stop(); reports.Close() })
	return s
}

func TestAnotherPortIsTriedWhenOneIsTaken(t *testing.T) {
	s := testSupervisor(t, map[string]string{"etcd": `
if [ ! -e "$0.once" ]; then touch "$0.once"; echo "listen tcp 127.0.0.1:$1: bind: address already in use"; exit 1; fi
touch "$0.$1"; exec sleep 60`})
	port, err := s.onFreePorts(context.Background(), "etcd", 1, func(ports []int) ([]string, func() error, error) {
		return []string{fmt.Sprint(ports[0])}, func() error {
			_, err := os.Stat(filepath.Join(s.programs.binaryDir, fmt.Sprintf("etcd.%d", ports[0])))
			return err
		}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if s.state.Ports["etcd"] != port || len(s.components) != 1 || !s.components[0].child.running() {
		t.Errorf("port %d, state %v, %d components", port, s.state.Ports, len(s.components))
	}
	if len(s.state.Processes) != 1 || !s.state.Processes[0].running() {
		t.Errorf("recorded: %+v", s.state.Processes)
	}
}

func TestAComponentThatCannotStartSaysWhy(t *testing.T) {
	s := testSupervisor(t, map[string]string{"kube-apiserver": `echo "Usage: long"; echo "Error: unknown flag: --nonsense"; exit 1`})
	launched, err := s.launch("kube-apiserver", nil)
	if err != nil {
		t.Fatal(err)
	}
	err = s.await(context.Background(), launched, func() error { return errors.New("not yet") })
	if err == nil || !strings.Contains(err.Error(), "kube-apiserver ended: Error: unknown flag: --nonsense; its log: ") {
		t.Error(err)
	}
}

func TestAKilledComponentIsStartedAgain(t *testing.T) {
	s := testSupervisor(t, map[string]string{"etcd": "exec sleep 60"})
	launched, err := s.launch("etcd", nil)
	if err != nil {
		t.Fatal(err)
	}
	s.update(func(state *State) { state.Phase = phaseReady })
	first := s.state.Processes[0]
	launched.child.stop(time.Second)
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		s.mutex.Lock()
		now := s.state.Processes[0]
		s.mutex.Unlock()
		if now != first && now.running() {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not started again: %+v", now)
		}
	}
}

func TestStopEndsWhatIgnoresTheRequest(t *testing.T) {
	s := testSupervisor(t, map[string]string{"etcd": "trap '' TERM; touch \"$0.up\"; while :; do sleep 0.1; done"})
	launched, err := s.launch("etcd", nil)
	if err != nil {
		t.Fatal(err)
	}
	up := filepath.Join(s.programs.binaryDir, "etcd.up")
	if err := s.await(context.Background(), launched, func() error { _, err := os.Stat(up); return err }); err != nil {
		t.Fatal(err)
	}
	launched.child.stop(100 * time.Millisecond)
	if launched.child.running() {
		t.Error("still running")
	}
}

func TestReportsAreReadToTheirEnd(t *testing.T) {
	var steps []string
	step := func(text string) { steps = append(steps, text) }
	if err := readReports(strings.NewReader(`{"step":"one"}
not a report
{"step":"two"}
{"ready":true}
`), step); err != nil || len(steps) != 2 {
		t.Errorf("%v, %v", steps, err)
	}
	if err := readReports(strings.NewReader(`{"error":"no"}`), step); err == nil || err.Error() != "no" {
		t.Error(err)
	}
	if err := readReports(strings.NewReader(""), step); !errors.Is(err, errSupervisorEnded) {
		t.Error(err)
	}
}

func TestLastWords(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	for log, wanted := range map[string]string{
		"":                               "",
		"one\ntwo\n\n":                   "two",
		"Error: bad\nfurther\n":          "Error: bad",
		"E0102 03:04 x\nI0102 03:04 y\n": "E0102 03:04 x",
		"Every day\nEnd":                 "End",
	} {
		if err := os.WriteFile(path, []byte(log), 0o600); err != nil {
			t.Fatal(err)
		}
		if words := lastWords(path); words != wanted {
			t.Errorf("%q: %q, not %q", log, words, wanted)
		}
	}
}

func TestHostProcessIDs(t *testing.T) {
	status := func(parent, host, inside string) *fstest.MapFile {
		return &fstest.MapFile{Data: []byte("Name:\tx\nPPid:\t" + parent + "\nNSpid:\t" + host + inside + "\n")}
	}
	proc := fstest.MapFS{
		"100/status": status("1", "100", "\t1"),
		"101/status": status("100", "101", "\t7"),
		"200/status": status("1", "200", "\t1"),
		"201/status": status("200", "201", "\t7"), // the same id in another namespace
		"self/x":     &fstest.MapFile{},
	}
	if pid, err := hostPID(proc, 200, 7); err != nil || pid != 201 {
		t.Errorf("%d, %v", pid, err)
	}
	if _, err := hostPID(proc, 100, 8); err == nil {
		t.Error("found a process that isn't there")
	}
}

func TestTheSupervisorsEnvironmentSendsNothingElsewhere(t *testing.T) {
	kept := supervisorEnvironment([]string{"PATH=/bin", "https_proxy=x", "HTTP_PROXY=x", "KUBECONFIG=/k", "HOME=/h"})
	if strings.Join(kept, " ") != "PATH=/bin HOME=/h" {
		t.Error(kept)
	}
}
