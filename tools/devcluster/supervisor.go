package main

// The supervisor stays behind a cluster: it starts the programs in order, starts one again that
// ends, and ends them all in the reverse order. `up` starts it and talks to it over two pipes:
// the supervisor reports its steps on one; the other tells it to begin ("go"), to stay when `up`
// leaves ("stay"), and, by closing without that word, that `up` is gone and so is the reason to be
// here. With a node it is the first process of its own namespaces.

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"
)

// What the supervisor is given as open files, after stdin, stdout and stderr. The reservation of the
// cluster's number needs only to be open.
const (
	reportFile      = 3
	controlFile     = 4
	reservationFile = 5
)

// report is a line from the supervisor to `up`.
type report struct {
	Step  string `json:"step,omitempty"`
	Ready bool   `json:"ready,omitempty"`
	Error string `json:"error,omitempty"`
}

const (
	startTimeout = 3 * time.Minute
	portAttempts = 5
)

type supervisor struct {
	dir       layout
	addresses addresses
	family    *family
	programs  programs
	reports   *json.Encoder
	hostProc  *os.Root // nil without a node
	clientsOf map[string]credentials
	client    *client

	mutex      sync.Mutex // guards state and components
	state      *State
	components []*component // in the order of their start
	ending     bool
}

// component is a program that is kept running.
type component struct {
	command
	child     *child
	forgotten bool // its place was taken by another
}

// runSupervisor is the hidden command that `up` starts.
func runSupervisor(dir string) error {
	for _, file := range []int{reportFile, controlFile, reservationFile} {
		syscall.CloseOnExec(file) // the supervisor's alone, not its children's
	}
	// A report to an `up` that is gone must not end the supervisor.
	signal.Ignore(syscall.SIGPIPE, syscall.SIGHUP)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)

	self, err := os.Executable() // before /proc changes under it
	if err != nil {
		return err
	}
	control := bufio.NewScanner(os.NewFile(controlFile, "control"))
	if !control.Scan() {
		return nil // `up` ended before it said go
	}
	state, err := loadState(dir)
	if err != nil {
		return err
	}
	s := &supervisor{
		dir:       layout(dir),
		addresses: addresses{state.Number},
		programs:  programs{self: self, binaryDir: state.Options.BinaryDir, layout: layout(dir)},
		reports:   json.NewEncoder(os.NewFile(reportFile, "report")),
		state:     state,
	}

	ctx, cancel := context.WithCancelCause(context.Background())
	go func() {
		stay := false
		for control.Scan() {
			stay = stay || control.Text() == "stay"
		}
		if !stay {
			cancel(errors.New("devcluster up ended"))
		}
	}()
	go func() {
		cancel(fmt.Errorf("stopped by %v", <-signals))
	}()

	s.family = newFamily()
	started := time.Now()
	err = s.start(ctx)
	if err == nil {
		s.update(func(state *State) {
			state.Phase = phaseReady
			state.ReadyAfterSeconds = time.Since(started).Round(time.Millisecond).Seconds()
		})
		_ = s.reports.Encode(report{Ready: true})
		<-ctx.Done()
		fmt.Println(time.Now().Format(time.TimeOnly), "ending:", context.Cause(ctx))
		s.stop()
		s.update(func(state *State) { state.Phase = phaseStopped })
		return nil
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	s.stop()
	s.update(func(state *State) {
		state.Phase, state.Error = phaseFailed, err.Error()
	})
	_ = s.reports.Encode(report{Error: err.Error()})
	return err
}

func (s *supervisor) step(format string, arguments ...any) {
	text := fmt.Sprintf(format, arguments...)
	fmt.Println(time.Now().Format(time.TimeOnly), text)
	_ = s.reports.Encode(report{Step: text})
}

func (s *supervisor) update(change func(*State)) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	change(s.state)
	if err := s.state.save(); err != nil {
		fmt.Println("state.json:", err)
	}
}

func (s *supervisor) start(ctx context.Context) error {
	if s.state.Node {
		if err := s.prepareNode(); err != nil {
			return err
		}
		s.step("namespaces are made: the node is %s, the host is %s to it", s.addresses.node(), s.addresses.host())
	}
	if err := s.prepareFiles(); err != nil {
		return err
	}
	s.step("certificates are made")

	// containerd takes its time while etcd and the API server take theirs.
	containerd := make(chan error, 1)
	if s.state.Node {
		go func() { containerd <- s.startContainerd(ctx) }()
	}
	if err := s.startControlPlane(ctx); err != nil {
		return err
	}
	if s.state.Node {
		if err := <-containerd; err != nil {
			return err
		}
		if err := s.startNode(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (s *supervisor) prepareNode() error {
	proc, err := enterNode(s.dir, s.state.NodeName)
	if err != nil {
		return err
	}
	s.hostProc = proc
	if err := configureNode(s.addresses); err != nil {
		return err
	}
	return makeCgroups(s.addresses)
}

// prepareFiles writes certificates, kubeconfigs and configuration. The API server's address is
// known before its port is.
func (s *supervisor) prepareFiles() error {
	a := s.addresses
	names := []string{a.service(), a.host()}
	if s.state.Node {
		names = append(names, a.node(), a.podGateway())
	}
	files, clients, err := makeCertificates(s.dir.pki(), names, s.state.NodeName, a.node())
	if err != nil {
		return fmt.Errorf("making certificates: %w", err)
	}
	s.update(func(state *State) { state.Files = files })
	s.clientsOf = clients

	policy := []byte(defaultAuditPolicy)
	if own := s.state.Options.AuditPolicy; own != "" {
		if policy, err = os.ReadFile(own); err != nil {
			return fmt.Errorf("--audit-policy: %w", err)
		}
	}
	if err := os.WriteFile(s.dir.auditPolicy(), policy, 0o600); err != nil {
		return err
	}
	if s.state.Node {
		return writeNodeConfig(s.state, s.dir, a)
	}
	return nil
}

func (s *supervisor) writeKubeconfigs(server string) error {
	ca, err := os.ReadFile(s.state.Files.CA)
	if err != nil {
		return err
	}
	for who, credentials := range s.clientsOf {
		path := s.dir.kubeconfigOf(who)
		if who == "admin" {
			path = s.state.Kubeconfig
		}
		content := kubeconfig("mk8s-"+s.state.Name, who, server, ca, credentials)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (s *supervisor) startControlPlane(ctx context.Context) error {
	began := time.Now()
	etcdPort, err := s.onFreePorts(ctx, "etcd", 2, func(ports []int) ([]string, func() error, error) {
		return etcdArgs(s.dir, ports[0], ports[1]), func() error {
			if !dialable(fmt.Sprintf("127.0.0.1:%d", ports[0])) {
				return errors.New("etcd doesn't accept connections")
			}
			return nil
		}, nil
	})
	if err != nil {
		return err
	}
	s.step("etcd is ready after %s", since(began))

	began = time.Now()
	bind := "127.0.0.1"
	if s.state.Node {
		bind = s.addresses.node()
	}
	_, err = s.onFreePorts(ctx, "kube-apiserver", 1, func(ports []int) ([]string, func() error, error) {
		server := "https://" + net.JoinHostPort(bind, fmt.Sprint(ports[0]))
		s.update(func(state *State) { state.Server = server })
		if err := s.writeKubeconfigs(server); err != nil {
			return nil, nil, err
		}
		client, err := newClient(s.state)
		if err != nil {
			return nil, nil, err
		}
		s.client = client
		return apiServerArgs(s.state, s.dir, bind, ports[0], etcdPort), client.ready, nil
	})
	if err != nil {
		return err
	}
	s.update(func(state *State) { state.KubernetesVersion = s.client.version() })
	s.step("kube-apiserver %s is ready after %s: %s", s.state.KubernetesVersion, since(began), s.state.Server)

	began = time.Now()
	manager, err := s.launch("kube-controller-manager", controllerManagerArgs(s.state, s.dir))
	if errors.Is(err, errNoProgram) {
		s.step("there is no kube-controller-manager in %s: namespaces get no service accounts", s.programs.binaryDir)
		return nil
	}
	if err != nil {
		return err
	}
	if s.state.Node {
		if _, err := s.launch("kube-scheduler", schedulerArgs(s.dir)); err != nil {
			return err
		}
	}
	if err := s.await(ctx, manager, s.client.hasDefaultAccount); err != nil {
		return err
	}
	s.step("the controllers work after %s", since(began))
	return nil
}

func (s *supervisor) startContainerd(ctx context.Context) error {
	began := time.Now()
	path, err := lookUp("containerd")
	if err != nil {
		return err
	}
	containerd, err := s.launchCommand(command{
		name: "containerd", path: path,
		args: []string{"--config", filepath.Join(string(s.dir), "containerd.toml")},
		env:  []string{"PATH=" + os.Getenv("PATH") + ":/usr/local/sbin:/usr/sbin:/sbin"},
		log:  s.dir.log("containerd"),
	})
	if err != nil {
		return err
	}
	accepts := func() error {
		connection, err := net.Dial("unix", containerdSocket)
		if err == nil {
			connection.Close()
		}
		return err
	}
	if err := s.await(ctx, containerd, accepts); err != nil {
		return err
	}
	ctr, err := lookUp("ctr")
	if err != nil {
		return err
	}
	archives := slices.Clone(s.state.Options.Images)
	for file := range ownImages {
		archives = append(archives, filepath.Join(s.dir.images(), file))
	}
	for _, archive := range archives {
		load := command{name: "ctr images import " + archive, path: ctr, args: importArgs(containerdSocket, archive), log: s.dir.log("images")}
		if err := s.family.run(load); err != nil {
			return err
		}
	}
	s.step("containerd is ready with %d images after %s", len(archives), since(began))
	return nil
}

func (s *supervisor) startNode(ctx context.Context) error {
	began := time.Now()
	if err := s.startDNS(); err != nil {
		return err
	}
	path := []string{"PATH=" + os.Getenv("PATH") + ":/usr/local/sbin:/usr/sbin:/sbin"}
	kubelet, err := s.launch("kubelet", kubeletArgs(s.state, s.dir, s.addresses), path...)
	if err != nil {
		return err
	}
	if _, err := s.launch("kube-proxy", kubeProxyArgs(s.dir), path...); err != nil {
		return err
	}
	if err := s.await(ctx, kubelet, func() error { return s.client.nodeReady(s.state.NodeName) }); err != nil {
		return err
	}
	s.step("node %s is ready after %s", s.state.NodeName, since(began))
	return nil
}

// startDNS answers pods' questions in the supervisor itself, as kube-proxy's user: it may see Services
// and endpoints, and the audit log is silent about it.
func (s *supervisor) startDNS() error {
	client, err := newClientAs(s.state, s.clientsOf["kube-proxy"])
	if err != nil {
		return err
	}
	return serveDNS(net.JoinHostPort(s.addresses.node(), "53"), client)
}

// onFreePorts starts a component that listens: with ports that are free now, and with others if
// somebody was quicker. It answers with the first port once check is content.
func (s *supervisor) onFreePorts(ctx context.Context, name string, count int, prepare func(ports []int) ([]string, func() error, error)) (int, error) {
	for attempt := 1; ; attempt++ {
		ports := make([]int, count)
		for i := range ports {
			port, err := freePort()
			if err != nil {
				return 0, err
			}
			ports[i] = port
		}
		args, check, err := prepare(ports)
		if err != nil {
			return 0, err
		}
		launched, err := s.launch(name, args)
		if err != nil {
			return 0, err
		}
		err = s.await(ctx, launched, check)
		if err == nil {
			s.update(func(state *State) { state.Ports[name] = ports[0] })
			return ports[0], nil
		}
		if !errors.Is(err, errPortTaken) || attempt == portAttempts {
			return 0, err
		}
		s.forget(launched)
		_ = os.Remove(launched.log)
		s.step("port %d was taken meanwhile: starting %s on another", ports[0], name)
	}
}

var errNoProgram = errors.New("no such program")

func (s *supervisor) launch(name string, args []string, env ...string) (*component, error) {
	c, ok := s.programs.command(name, args)
	if !ok {
		return nil, fmt.Errorf("%s: %w", name, errNoProgram)
	}
	c.env = append(c.env, env...)
	return s.launchCommand(c)
}

func (s *supervisor) launchCommand(c command) (*component, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.ending {
		return nil, errors.New("ending")
	}
	launched := &component{command: c}
	if err := s.startComponent(launched); err != nil {
		return nil, err
	}
	s.components = append(s.components, launched)
	go s.keep(launched)
	return launched, nil
}

// startComponent starts or restarts; the mutex is held.
func (s *supervisor) startComponent(c *component) error {
	started, err := s.family.start(c.command)
	if err != nil {
		return err
	}
	c.child = started
	pid := started.pid
	if s.hostProc != nil {
		parent, err := s.hostProc.Readlink("self")
		if err == nil {
			var own int
			if _, err = fmt.Sscan(parent, &own); err == nil {
				pid, err = hostPID(s.hostProc.FS(), own, started.pid)
			}
		}
		if err != nil {
			fmt.Printf("%s: its id on the host: %v\n", c.name, err)
			return nil // it ended already, which is noticed elsewhere
		}
	}
	process, err := identify(c.name, started.pid)
	if err != nil {
		return nil
	}
	process.PID = pid
	kept := s.state.Processes[:0]
	for _, other := range s.state.Processes {
		if other.Name != c.name {
			kept = append(kept, other)
		}
	}
	s.state.Processes = append(kept, process)
	return s.state.save()
}

// keep starts a component again when it ends after the cluster was ready: tests kill them. Before,
// it's for whoever awaits the component to say what is to be done.
func (s *supervisor) keep(c *component) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for {
		current := c.child
		s.mutex.Unlock()
		<-current.ended
		time.Sleep(300 * time.Millisecond)
		s.mutex.Lock()

		if s.ending || c.forgotten {
			return
		}
		if s.state.Phase != phaseReady {
			continue
		}
		fmt.Println(time.Now().Format(time.TimeOnly), current.failure(), "(starting it again)")
		if err := s.startComponent(c); err != nil {
			fmt.Println(time.Now().Format(time.TimeOnly), err)
			return
		}
	}
}

func (s *supervisor) forget(c *component) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	c.forgotten = true
	kept := s.components[:0]
	for _, other := range s.components {
		if other != c {
			kept = append(kept, other)
		}
	}
	s.components = kept
}

// await polls until check is content; it fails when the component ends, or at the timeout with what
// check said last.
func (s *supervisor) await(ctx context.Context, c *component, check func() error) error {
	deadline := time.After(startTimeout)
	for {
		last := check()
		if last == nil && c.child.running() {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-c.child.ended:
			if c.child.portTaken() {
				return fmt.Errorf("%w: %w", errPortTaken, c.child.failure())
			}
			return c.child.failure()
		case <-deadline:
			return fmt.Errorf("%s isn't ready after %s: %w; its log: %s", c.name, startTimeout, last, c.log)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// stopOrder: who uses something ends before it. Pods are ended between the two lists.
var (
	stopBeforePods = []string{"kubelet", "kube-proxy", "kube-scheduler", "kube-controller-manager"}
	stopAfterPods  = []string{"containerd", "kube-apiserver", "etcd"}
)

func (s *supervisor) stop() {
	s.mutex.Lock()
	s.ending = true
	components := s.components
	s.mutex.Unlock()

	stop := func(name string) {
		for _, c := range components {
			if c.name == name {
				c.child.stop(2 * time.Second)
			}
		}
	}
	var done sync.WaitGroup
	for _, name := range stopBeforePods {
		done.Go(func() { stop(name) })
	}
	done.Wait()
	if s.hostProc != nil {
		s.endPods()
	}
	for _, name := range stopAfterPods {
		stop(name)
	}
}

// endPods ends whatever else is in the PID namespace: containers and their shims.
func (s *supervisor) endPods() {
	known := map[int]bool{}
	for _, c := range s.components {
		known[c.child.pid] = true
	}
	for range 100 {
		others := otherProcesses(known)
		if len(others) == 0 {
			return
		}
		for _, pid := range others {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func since(began time.Time) string {
	return fmt.Sprintf("%.1f s", time.Since(began).Seconds())
}

// readReports hands on what the supervisor says until it is ready or ends.
func readReports(from io.Reader, step func(string)) error {
	lines := bufio.NewScanner(from)
	for lines.Scan() {
		var said report
		if err := json.Unmarshal(lines.Bytes(), &said); err != nil {
			continue
		}
		switch {
		case said.Ready:
			return nil
		case said.Error != "":
			return errors.New(said.Error)
		default:
			step(said.Step)
		}
	}
	return errSupervisorEnded
}

var errSupervisorEnded = errors.New("the supervisor ended without a word")
