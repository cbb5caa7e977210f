package main

// up and down: from nothing to a cluster that answers, and back to nothing.

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

type upRequest struct {
	name    string
	base    string
	options Options
	detach  bool
}

// up starts the cluster, or finds it running. Progress goes to stderr, the path of state.json to
// stdout.
func up(request upRequest) error {
	began := time.Now()
	say := func(format string, arguments ...any) {
		fmt.Fprintf(os.Stderr, "[%5.1f s] %s\n", time.Since(began).Seconds(), fmt.Sprintf(format, arguments...))
	}
	if err := checkRequest(&request); err != nil {
		return err
	}
	lock, err := lockCluster(request.base, request.name, 5*time.Minute)
	if err != nil {
		return err
	}
	defer lock.Close()

	dir := filepath.Join(request.base, request.name)
	running, err := findRunning(dir, request.options, say)
	if err != nil {
		return err
	}
	if running {
		fmt.Println(statePath(dir))
		return nil
	}

	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	number, reservation, err := reserveNumber()
	if err != nil {
		return err
	}
	state := newState(request, dir, number)
	run, err := startSupervisor(state, reservation)
	reservation.Close() // from here on the supervisor's own
	if err != nil {
		return errors.Join(err, remove(state))
	}
	ready := make(chan error, 1)
	go func() { ready <- readReports(run.reports, func(step string) { say("%s", step) }) }()
	select {
	case signal := <-signals:
		say("stopping")
		run.end()
		if err := remove(state); err != nil {
			return err
		}
		return fmt.Errorf("stopped by %v; nothing is left running", signal)
	case err := <-ready:
		if err != nil {
			return run.failed(state, err)
		}
	}

	if state, err = loadState(dir); err != nil {
		run.end()
		return err
	}
	if err := copyKubeconfig(state, request.options.KubeconfigCopy); err != nil {
		run.end()
		return errors.Join(err, remove(state))
	}
	say("cluster %q is ready: export KUBECONFIG=%s", state.Name, state.Kubeconfig)
	fmt.Println(statePath(dir))
	if request.detach {
		return run.leave()
	}

	lock.Close()
	say("it runs until Ctrl-C")
	select {
	case <-signals:
		say("stopping")
	case <-run.ended:
		say("the supervisor ended")
	}
	run.end()
	if err := remove(state); err != nil {
		return err
	}
	say("stopped")
	return nil
}

// findRunning answers true if there is such a cluster already, and removes what is left of one that
// doesn't run.
func findRunning(dir string, wanted Options, say func(string, ...any)) (bool, error) {
	old, err := loadState(dir)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	reused, err := reuse(old, wanted)
	if err != nil {
		return false, err
	}
	if reused {
		say("cluster %q is running already: %s", old.Name, old.Server)
		return true, nil
	}
	say("removing what is left of a cluster %q", old.Name)
	return false, remove(old)
}

func checkRequest(request *upRequest) error {
	if err := checkName(request.name); err != nil {
		return err
	}
	o := &request.options
	for _, path := range []*string{&o.AuthenticationConfig, &o.AuditLog, &o.AuditPolicy, &o.KubeconfigCopy} {
		if err := absolute(path); err != nil {
			return err
		}
	}
	if o.AuthenticationConfig != "" {
		if _, err := os.Stat(o.AuthenticationConfig); err != nil {
			return fmt.Errorf("--authentication-config: %w", err)
		}
	}
	if o.AuditPolicy != "" {
		if _, err := os.Stat(o.AuditPolicy); err != nil {
			return fmt.Errorf("--audit-policy: %w", err)
		}
	}
	for i := range o.Images {
		if err := absolute(&o.Images[i]); err != nil {
			return err
		}
		if _, err := os.Stat(o.Images[i]); err != nil {
			return fmt.Errorf("--image: %w; make one by: devcluster image build", err)
		}
	}
	if o.Node {
		return checkNodePrerequisites()
	}
	if len(o.Images) > 0 {
		return errors.New("--image needs --node: there is nothing else to load images into")
	}
	o.BinaryDir = assetsDir()
	if o.BinaryDir == "" && !embedded {
		return errors.New("this devcluster was built without Kubernetes: set KUBEBUILDER_ASSETS to a directory with kube-apiserver and etcd, or unset it and run tools/devcluster/build.sh")
	}
	return nil
}

func absolute(path *string) error {
	if *path == "" {
		return nil
	}
	full, err := filepath.Abs(*path)
	*path = full
	return err
}

func newState(request upRequest, dir string, number int) *State {
	a := addresses{number}
	state := &State{
		Name:        request.name,
		Phase:       phaseStarting,
		Dir:         dir,
		LogDir:      layout(dir).logs(),
		AuditLog:    request.options.AuditLog,
		Kubeconfig:  filepath.Join(dir, "kubeconfig"),
		HostAddress: a.host(),
		Number:      number,
		ServiceCIDR: a.serviceCIDR(),
		Node:        request.options.Node,
		Ports:       map[string]int{},
		Processes:   []Process{},
		Options:     request.options,
		StartedAt:   time.Now().UTC(),
	}
	if state.AuditLog == "" {
		state.AuditLog = layout(dir).auditLog()
	}
	switch {
	case state.Node:
		state.NodeName = request.name + "-node"
		state.PodCIDR = a.podCIDR()
		state.PodServer = "https://" + a.service()
	case os.Geteuid() != 0:
		state.HostAddress = anyHostAddress()
	}
	return state
}

// supervision is `up`'s side of a supervisor.
type supervision struct {
	command *exec.Cmd
	reports io.Reader
	control *os.File
	ended   chan struct{}
}

func startSupervisor(state *State, reservation *os.File) (*supervision, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(state.LogDir, 0o700); err != nil {
		return nil, err
	}
	if err := state.save(); err != nil {
		return nil, err
	}
	if state.Node {
		// Here, because the supervisor collects whatever ends and can't wait for a program by itself.
		if err := buildOwnImages(layout(state.Dir).images()); err != nil {
			return nil, err
		}
	}
	reports, reportsIn, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	controlOut, control, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	log, err := os.OpenFile(layout(state.Dir).log("supervisor"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()

	command := exec.Command(self, "supervise", state.Dir)
	command.Stdout, command.Stderr = log, log
	command.Dir = "/"
	command.Env = supervisorEnvironment(os.Environ())
	command.ExtraFiles = []*os.File{reportsIn, controlOut, reservation}
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if state.Node {
		command.SysProcAttr.Cloneflags = namespaces
	}
	err = command.Start()
	reportsIn.Close()
	controlOut.Close()
	if err != nil {
		return nil, fmt.Errorf("starting the supervisor: %w", err)
	}
	run := &supervision{command, reports, control, make(chan struct{})}
	go func() {
		_ = command.Wait()
		close(run.ended)
	}()

	if err := run.begin(state); err != nil {
		run.end()
		return nil, err
	}
	return run, nil
}

// begin records who the supervisor is, gives it its link, and lets it go on.
func (r *supervision) begin(state *State) error {
	pid := r.command.Process.Pid
	supervisor, err := identify("supervisor", pid)
	if err != nil {
		return err
	}
	state.Supervisor = supervisor
	a := addresses{state.Number}
	switch {
	case state.Node:
		state.NetworkNamespace = fmt.Sprintf("/proc/%d/ns/net", pid)
		state.ContainerdAddress = fmt.Sprintf("/proc/%d/root%s", pid, containerdSocket)
		err = connectNode(a, pid)
	case os.Geteuid() == 0:
		err = connectLoopback(a)
	}
	if err != nil {
		return err
	}
	if err := state.save(); err != nil {
		return err
	}
	_, err = fmt.Fprintln(r.control, "go")
	return err
}

// supervisorEnvironment leaves out what would send the cluster's own traffic elsewhere.
func supervisorEnvironment(environment []string) []string {
	var kept []string
	for _, variable := range environment {
		name, _, _ := strings.Cut(variable, "=")
		switch strings.ToUpper(name) {
		case "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "KUBECONFIG":
		default:
			kept = append(kept, variable)
		}
	}
	return kept
}

// leave lets the supervisor live on without `up`.
func (r *supervision) leave() error {
	if _, err := fmt.Fprintln(r.control, "stay"); err != nil {
		return err
	}
	return r.control.Close()
}

// end makes the supervisor take all down, and waits.
func (r *supervision) end() {
	r.control.Close()
	select {
	case <-r.ended:
	case <-time.After(30 * time.Second):
		_ = r.command.Process.Kill()
		<-r.ended
	}
}

// failed keeps the directory, for its logs, and nothing else.
func (r *supervision) failed(state *State, reason error) error {
	r.end()
	if errors.Is(reason, errSupervisorEnded) {
		log := layout(state.Dir).log("supervisor")
		if words := lastWords(log); words != "" {
			reason = fmt.Errorf("%w: %s; its log: %s", reason, words, log)
		}
	}
	if failed, err := loadState(state.Dir); err == nil {
		state = failed
	}
	disconnect(addresses{state.Number})
	removeCgroups(addresses{state.Number}, 2*time.Second)
	state.Phase, state.Error = phaseFailed, reason.Error()
	_ = state.save()
	return fmt.Errorf("cluster %q didn't start: %w", state.Name, reason)
}

// reuse answers true if the cluster runs, is healthy, and is what is wanted.
func reuse(old *State, wanted Options) (bool, error) {
	if old.Phase != phaseReady || !old.Supervisor.running() {
		return false, nil
	}
	client, err := newClient(old)
	if err != nil {
		return false, nil
	}
	for deadline := time.Now().Add(20 * time.Second); client.ready() != nil; time.Sleep(200 * time.Millisecond) {
		if time.Now().After(deadline) {
			return false, nil // ill: another takes its place
		}
	}
	if difference := old.Options.difference(wanted); difference != "" {
		return false, fmt.Errorf("cluster %q is running %s; take another --name, or run: devcluster down --name %s", old.Name, difference, old.Name)
	}
	for _, image := range wanted.Images {
		if err := loadImage(old, image); err != nil {
			return false, err
		}
	}
	return true, copyKubeconfig(old, wanted.KubeconfigCopy)
}

func copyKubeconfig(state *State, to string) error {
	if to == "" {
		return nil
	}
	content, err := os.ReadFile(state.Kubeconfig)
	if err != nil {
		return err
	}
	if err := os.WriteFile(to, content, 0o600); err != nil {
		return fmt.Errorf("--kubeconfig-out: %w", err)
	}
	return nil
}

// down ends the cluster and removes everything of it. It is no error if there is none.
func down(base, name string) error {
	dir := filepath.Join(base, name)
	state, err := loadState(dir)
	if errors.Is(err, os.ErrNotExist) {
		fmt.Fprintf(os.Stderr, "there is no cluster %q in %s\n", name, base)
		return nil
	}
	if err != nil {
		return err
	}
	began := time.Now()
	// Before the lock, which an `up` that isn't ready yet holds.
	endProcesses(state)

	lock, err := lockCluster(base, name, 30*time.Second)
	if err != nil {
		return err
	}
	defer lock.Close()
	now, err := loadState(dir)
	if errors.Is(err, os.ErrNotExist) {
		now = state // the `up` that was interrupted removed it
	} else if err != nil {
		return err
	}
	if err := remove(now); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "cluster %q is gone (%s)\n", name, since(began))
	return nil
}

func endProcesses(state *State) {
	if !state.Supervisor.end(syscall.SIGTERM, 30*time.Second) {
		state.Supervisor.end(syscall.SIGKILL, 5*time.Second)
	}
	// All of these ended with the supervisor, unless it was killed.
	for i := len(state.Processes) - 1; i >= 0; i-- {
		state.Processes[i].end(syscall.SIGKILL, 5*time.Second)
	}
}

// remove ends what runs, takes back what the kernel was told, and removes the directory. What goes
// by the cluster's number is left alone if another cluster has the number by now.
func remove(state *State) error {
	endProcesses(state)
	reservation, free := reserve(state.Number)
	for attempt := 0; !free && attempt < 20; attempt++ { // the kernel may take a moment to end a namespace
		time.Sleep(50 * time.Millisecond)
		reservation, free = reserve(state.Number)
	}
	if free {
		defer reservation.Close()
		if os.Geteuid() == 0 {
			disconnect(addresses{state.Number})
			removeCgroups(addresses{state.Number}, 5*time.Second)
		}
	}
	if err := os.RemoveAll(state.Dir); err != nil {
		return fmt.Errorf("removing %s: %w", state.Dir, err)
	}
	return nil
}
