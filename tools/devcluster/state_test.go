package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestStateIsReadBackAsItWasWritten(t *testing.T) {
	dir := t.TempDir()
	if _, err := loadState(dir); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("no state yet: %v", err)
	}
	state := newState(upRequest{name: "one", options: Options{Node: true, APIServerArgs: []string{"v=3"}}}, dir, 5)
	state.Supervisor = Process{Name: "supervisor", PID: 42, StartTime: 7}
	if err := state.save(); err != nil {
		t.Fatal(err)
	}
	back, err := loadState(dir)
	if err != nil {
		t.Fatal(err)
	}
	if back.HostAddress != "10.197.255.1" || back.PodServer != "https://10.197.0.1" || back.Supervisor != state.Supervisor || back.NodeName != "one-node" {
		t.Errorf("read back %+v", back)
	}
	info, err := os.Stat(statePath(dir))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("state.json is %v, %v", info.Mode(), err)
	}
}

func TestNames(t *testing.T) {
	for _, good := range []string{"a", "dev", "ci-1", strings.Repeat("x", 40)} {
		if err := checkName(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{"", "-a", "a-", "A", "a/b", "..", strings.Repeat("x", 41)} {
		if checkName(bad) == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

func TestBaseDirectory(t *testing.T) {
	t.Setenv("MK8S_DEVCLUSTER_DIR", "")
	t.Setenv("XDG_STATE_HOME", "/state")
	expect := func(flag, wanted string) {
		t.Helper()
		if dir, err := baseDir(flag); err != nil || dir != wanted {
			t.Errorf("%q, %v; not %q", dir, err, wanted)
		}
	}
	expect("", "/state/mk8s-devcluster")
	t.Setenv("MK8S_DEVCLUSTER_DIR", "/clusters")
	expect("", "/clusters")
	expect("/flag", "/flag")
}

func TestStartTimeIsFoundBehindAnyProgramName(t *testing.T) {
	stat := "12 (a) b (c) S 1 12 12 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 98765 111 222"
	if started, err := startTime(stat); err != nil || started != 98765 {
		t.Errorf("%d, %v", started, err)
	}
	for _, bad := range []string{"", "12 (x) S 1", "12 x S 1"} {
		if _, err := startTime(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

func TestOnlyTheRecordedProcessIsEnded(t *testing.T) {
	sleep := exec.Command("sleep", "60")
	if err := sleep.Start(); err != nil {
		t.Fatal(err)
	}
	go sleep.Wait()
	process, err := identify("sleep", sleep.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	reused := process
	reused.StartTime++ // as if the id had been given to another since
	if reused.running() || !reused.end(syscall.SIGKILL, time.Second) || !process.running() {
		t.Error("a process with another start time was taken for the recorded one")
	}
	if !process.end(syscall.SIGKILL, 5*time.Second) || process.running() {
		t.Error("the recorded process wasn't ended")
	}
	if (Process{PID: 0}).running() || (Process{PID: 1}).running() {
		t.Error("ids 0 and 1 are never ours")
	}
}

func TestARunningClusterIsReusedForWhatItHas(t *testing.T) {
	running := Options{Node: true, APIServerArgs: []string{"v=1"}, AuditLog: "/a"}
	same := Options{APIServerArgs: []string{"v=1"}, KubeconfigCopy: "/k", Images: []string{"/i"}}
	if difference := running.difference(same); difference != "" {
		t.Error(difference)
	}
	for _, other := range []Options{{}, {APIServerArgs: []string{"v=1"}, AuthenticationConfig: "/f"}, {APIServerArgs: []string{"v=1"}, AuditLog: "/b"}, {APIServerArgs: []string{"v=1"}, AuditPolicy: "/p"}} {
		if running.difference(other) == "" {
			t.Errorf("%+v is served by %+v", other, running)
		}
	}
	if (Options{}).difference(Options{Node: true}) == "" {
		t.Error("a node doesn't appear by itself")
	}
}

func TestUpAndDownOfOneNameExcludeEachOther(t *testing.T) {
	base := filepath.Join(t.TempDir(), "clusters")
	first, err := lockCluster(base, "one", 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lockCluster(base, "one", 0); err == nil {
		t.Error("locked twice")
	}
	other, err := lockCluster(base, "two", 0)
	if err != nil {
		t.Error(err)
	}
	other.Close()
	first.Close()
	again, err := lockCluster(base, "one", 0)
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
}

func TestANumberIsReservedOnce(t *testing.T) {
	number, reservation, err := reserveNumber()
	if err != nil {
		t.Fatal(err)
	}
	if second, ok := reserve(number); ok {
		second.Close()
		t.Error("reserved twice")
	}
	reservation.Close()
	again, ok := reserve(number)
	if !ok {
		t.Fatal("not free again")
	}
	again.Close()
}
