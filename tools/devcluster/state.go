package main

// What is known about a cluster lives in one JSON file, state.json in the cluster's directory: `up`
// writes it, every other command and every test reads it. Nothing is remembered anywhere else, so
// that a cluster can be found and ended whatever happened to the program which started it.

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Phases of a cluster's life, as State.Phase.
const (
	phaseStarting = "starting"
	phaseReady    = "ready"
	phaseFailed   = "failed"
	phaseStopped  = "stopped"
)

// State is state.json. All paths are absolute; all process ids are the host's.
type State struct {
	Name  string `json:"name"`
	Phase string `json:"phase"`
	// Error is the line `up` ended with; only in phase "failed".
	Error             string `json:"error,omitempty"`
	KubernetesVersion string `json:"kubernetes_version,omitempty"`
	// Dir holds everything of this cluster; `down` removes it.
	Dir        string `json:"dir"`
	LogDir     string `json:"log_dir"`
	AuditLog   string `json:"audit_log"`
	Kubeconfig string `json:"kubeconfig"`
	// Server is the API server's URL on the host.
	Server string `json:"server"`
	// HostAddress is an address of the host that the API server and pods can dial, and that they
	// accept where loopback is refused (endpoints of webhooks and APIServices).
	HostAddress string `json:"host_address"`
	// PodServer is the API server's URL in pods.
	PodServer string `json:"pod_server,omitempty"`
	// Number tells clusters on one machine apart: their addresses are 10.(192+Number).0.0/16.
	Number      int    `json:"number"`
	ServiceCIDR string `json:"service_cidr"`
	PodCIDR     string `json:"pod_cidr,omitempty"`
	// Node says whether there is a kubelet.
	Node     bool   `json:"node"`
	NodeName string `json:"node_name,omitempty"`
	// NetworkNamespace is the node's network namespace: nsenter --net=PATH.
	NetworkNamespace string `json:"network_namespace,omitempty"`
	// ContainerdAddress is the node's containerd socket as the host reaches it: ctr --address PATH.
	ContainerdAddress string         `json:"containerd_address,omitempty"`
	Files             Files          `json:"files"`
	Ports             map[string]int `json:"ports"`
	// Supervisor is the parent of all Processes.
	Supervisor        Process   `json:"supervisor"`
	Processes         []Process `json:"processes"`
	Options           Options   `json:"options"`
	StartedAt         time.Time `json:"started_at"`
	ReadyAfterSeconds float64   `json:"ready_after_seconds,omitempty"`
}

// Options are those of `up` that make two clusters different; a running cluster is reused only for
// the same ones.
type Options struct {
	Node                 bool     `json:"node"`
	APIServerArgs        []string `json:"apiserver_args,omitempty"`
	AuthenticationConfig string   `json:"authentication_config,omitempty"`
	AuditLog             string   `json:"audit_log,omitempty"`
	AuditPolicy          string   `json:"audit_policy,omitempty"`
	BinaryDir            string   `json:"binary_dir,omitempty"`
	KubeconfigCopy       string   `json:"kubeconfig_copy,omitempty"`
	Images               []string `json:"images,omitempty"`
}

// difference says what the options of a running cluster lack for another `up` of it, or is "". What can be had
// from a running cluster (a copy of the kubeconfig, more images) is no difference.
func (o Options) difference(wanted Options) string {
	switch {
	case wanted.Node && !o.Node:
		return "without a node"
	case strings.Join(o.APIServerArgs, "\n") != strings.Join(wanted.APIServerArgs, "\n"):
		return "with other --apiserver-arg"
	case o.AuthenticationConfig != wanted.AuthenticationConfig:
		return "with another --authentication-config"
	case wanted.AuditLog != "" && o.AuditLog != wanted.AuditLog:
		return "with another --audit-log"
	case wanted.AuditPolicy != "" && o.AuditPolicy != wanted.AuditPolicy:
		return "with another --audit-policy"
	case o.BinaryDir != wanted.BinaryDir && !wanted.Node:
		return "with other binaries (KUBEBUILDER_ASSETS)"
	}
	return ""
}

// Process is a running program: its start time makes a reused id recognizable.
type Process struct {
	Name string `json:"name"`
	PID  int    `json:"pid"`
	// StartTime is field 22 of /proc/PID/stat: clock ticks since boot.
	StartTime uint64 `json:"start_time"`
}

var clusterName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$`)

func checkName(name string) error {
	if !clusterName.MatchString(name) {
		return fmt.Errorf("--name %q: use up to 40 lowercase letters, digits and dashes", name)
	}
	return nil
}

// baseDir is where clusters are kept: --dir, MK8S_DEVCLUSTER_DIR, or the user's state directory.
func baseDir(flag string) (string, error) {
	dir := flag
	if dir == "" {
		dir = os.Getenv("MK8S_DEVCLUSTER_DIR")
	}
	if dir == "" {
		state := os.Getenv("XDG_STATE_HOME")
		if state == "" {
			home, err := os.UserHomeDir()
			if err != nil {
				return "", fmt.Errorf("no place for clusters: %w; set MK8S_DEVCLUSTER_DIR", err)
			}
			state = filepath.Join(home, ".local", "state")
		}
		dir = filepath.Join(state, "mk8s-devcluster")
	}
	return filepath.Abs(dir)
}

func statePath(clusterDir string) string { return filepath.Join(clusterDir, "state.json") }

// loadState reads a cluster's state; fs.ErrNotExist when there is none.
func loadState(clusterDir string) (*State, error) {
	raw, err := os.ReadFile(statePath(clusterDir))
	if err != nil {
		return nil, err
	}
	state := &State{}
	if err := json.Unmarshal(raw, state); err != nil {
		return nil, fmt.Errorf("%s: %w; remove that directory", statePath(clusterDir), err)
	}
	return state, nil
}

// save replaces state.json in one step: a reader never sees half of it.
func (s *State) save() error {
	raw, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	next := statePath(s.Dir) + ".next"
	if err := os.WriteFile(next, append(raw, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(next, statePath(s.Dir))
}

// allStates are the clusters of a base directory, by name.
func allStates(base string) ([]*State, error) {
	entries, err := os.ReadDir(base)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var states []*State
	for _, entry := range entries {
		state, err := loadState(filepath.Join(base, entry.Name()))
		if err != nil {
			continue // a lock file, or a directory that never got so far
		}
		states = append(states, state)
	}
	sort.Slice(states, func(i, j int) bool { return states[i].Name < states[j].Name })
	return states, nil
}

// lockCluster serializes `up` and the cleaning half of `down` for one name. The lock file lies
// beside the directory, which comes and goes.
func lockCluster(base, name string, wait time.Duration) (*os.File, error) {
	if err := os.MkdirAll(base, 0o700); err != nil {
		return nil, fmt.Errorf("%w; choose another place by --dir or MK8S_DEVCLUSTER_DIR", err)
	}
	file, err := os.OpenFile(filepath.Join(base, "."+name+".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(wait); ; time.Sleep(50 * time.Millisecond) {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return file, nil
		}
		if time.Now().After(deadline) {
			file.Close()
			return nil, fmt.Errorf("cluster %q is being started or ended by another devcluster; try again", name)
		}
	}
}

// startTime reads when a process began, from the text of its stat file.
func startTime(stat string) (uint64, error) {
	// The second field is the program's name in brackets and may hold anything, brackets too.
	end := strings.LastIndexByte(stat, ')')
	if end < 0 {
		return 0, errors.New("no process name")
	}
	fields := strings.Fields(stat[end+1:])
	const index = 22 - 3 // the first field here is number 3
	if len(fields) <= index {
		return 0, errors.New("too short")
	}
	return strconv.ParseUint(fields[index], 10, 64)
}

// identify describes a running process of this name space.
func identify(name string, pid int) (Process, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return Process{}, err
	}
	started, err := startTime(string(stat))
	if err != nil {
		return Process{}, fmt.Errorf("/proc/%d/stat: %w", pid, err)
	}
	return Process{Name: name, PID: pid, StartTime: started}, nil
}

// handle opens the process if it is still the one that was recorded. The handle keeps meaning this
// very process (a pidfd), so a signal through it can't hit another which got the id later.
func (p Process) handle() (*os.Process, bool) {
	if p.PID <= 1 {
		return nil, false
	}
	handle, err := os.FindProcess(p.PID)
	if err != nil {
		return nil, false
	}
	now, err := identify(p.Name, p.PID)
	if err != nil || now.StartTime != p.StartTime || zombie(p.PID) {
		_ = handle.Release()
		return nil, false
	}
	return handle, true
}

func (p Process) running() bool {
	handle, ok := p.handle()
	if ok {
		_ = handle.Release()
	}
	return ok
}

// end sends the signal and waits until the process is gone, or for that long.
func (p Process) end(signal syscall.Signal, wait time.Duration) bool {
	handle, ok := p.handle()
	if !ok {
		return true
	}
	defer handle.Release()
	_ = handle.Signal(signal)
	for deadline := time.Now().Add(wait); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if !p.running() {
			return true
		}
	}
	return !p.running()
}

// zombie tells a process that has ended but was not collected yet: it holds nothing any more. While
// other threads of it are still ending it does.
func zombie(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true
	}
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	end := strings.LastIndexByte(string(stat), ')')
	return err != nil || len(threads) <= 1 && end > 0 && strings.HasPrefix(string(stat[end+1:]), " Z")
}
