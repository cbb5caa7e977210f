package main

// The supervisor's children. In a cluster with a node the supervisor is also the first process of a
// PID namespace and inherits every orphan in it (containerd's shims), so one loop collects whatever
// ends, and waiting for a child means waiting for that loop's word. That is why os/exec, which
// collects its own children, must not be used in the supervisor.

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// command is a program to run: its log is stdout and stderr together.
type command struct {
	name string
	path string
	args []string // without the program's own name
	env  []string // added to the supervisor's
	log  string
}

// child is a started command.
type child struct {
	command
	pid int
	// ended is closed after status was set.
	ended  chan struct{}
	status syscall.WaitStatus
}

// family starts children and collects them.
type family struct {
	mutex    sync.Mutex
	children map[int]*child
	starts   chan func()
}

// newFamily is for a program that may be the first of a PID namespace: then everything that ends is
// collected, and else only the family's own children.
func newFamily() *family {
	f := &family{children: map[int]*child{}, starts: make(chan func())}
	go func() {
		// A child is told to end when the *thread* that made it ends (Pdeathsig), so all are made by
		// one thread that lives as long as the program.
		runtime.LockOSThread()
		for start := range f.starts {
			start()
		}
	}()
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGCHLD)
	go func() {
		for {
			f.collect()
			select {
			case <-signals:
			case <-time.After(time.Second): // signals of one kind are merged
			}
		}
	}()
	return f
}

func (f *family) collect() {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if os.Getpid() == 1 {
		for f.collectOne(-1) {
		}
		return
	}
	for pid := range f.children {
		f.collectOne(pid)
	}
}

// collectOne collects that child, or any for -1, if it has ended.
func (f *family) collectOne(which int) bool {
	var status syscall.WaitStatus
	pid, err := syscall.Wait4(which, &status, syscall.WNOHANG, nil)
	for err == syscall.EINTR {
		pid, err = syscall.Wait4(which, &status, syscall.WNOHANG, nil)
	}
	if err != nil || pid <= 0 {
		return false
	}
	if c, ok := f.children[pid]; ok {
		delete(f.children, pid)
		c.status = status
		close(c.ended)
	}
	return true
}

func (f *family) start(c command) (*child, error) {
	log, err := os.OpenFile(c.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	defer null.Close()

	started := &child{command: c, ended: make(chan struct{})}
	result := make(chan error)
	f.starts <- func() {
		f.mutex.Lock() // not collected before it is known
		defer f.mutex.Unlock()
		process, err := os.StartProcess(c.path, append([]string{filepath.Base(c.path)}, c.args...), &os.ProcAttr{
			Env:   append(os.Environ(), c.env...),
			Files: []*os.File{null, log, log},
			Sys:   &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL},
		})
		if err == nil {
			started.pid = process.Pid
			f.children[process.Pid] = started
			_ = process.Release()
		}
		result <- err
	}
	if err := <-result; err != nil {
		return nil, fmt.Errorf("%s: %w", c.name, err)
	}
	return started, nil
}

// run waits for a short command and answers with its last words if it fails.
func (f *family) run(c command) error {
	started, err := f.start(c)
	if err != nil {
		return err
	}
	<-started.ended
	if started.status.ExitStatus() != 0 {
		return fmt.Errorf("%s: %s", c.name, lastWords(c.log))
	}
	return nil
}

func (c *child) running() bool {
	select {
	case <-c.ended:
		return false
	default:
		return true
	}
}

// stop asks the child to end, waits that long, then makes it end.
func (c *child) stop(grace time.Duration) {
	if c == nil || !c.running() {
		return
	}
	_ = syscall.Kill(c.pid, syscall.SIGTERM)
	select {
	case <-c.ended:
		return
	case <-time.After(grace):
	}
	_ = syscall.Kill(c.pid, syscall.SIGKILL)
	<-c.ended
}

// failure says why a child that should be running isn't.
func (c *child) failure() error {
	reason := lastWords(c.log)
	if c.status.Signaled() {
		reason = "signal: " + c.status.Signal().String()
	}
	return fmt.Errorf("%s ended: %s; its log: %s", c.name, reason, c.log)
}

var errPortTaken = errors.New("port taken")

// portTaken tells whether the child ended because another program has its port.
func (c *child) portTaken() bool {
	file, err := os.Open(c.log)
	if err != nil {
		return false
	}
	defer file.Close()
	text, _ := io.ReadAll(io.LimitReader(file, 8<<20))
	return strings.Contains(string(text), "address already in use")
}

// lastWords is the line of a log that most likely says why its program ended: the last error, or
// else the last line. Kubernetes' programs print their usage before it, panics print stacks after.
func lastWords(path string) string {
	file, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer file.Close()
	if info, err := file.Stat(); err == nil && info.Size() > 64<<10 {
		_, _ = file.Seek(-64<<10, io.SeekEnd)
	}
	var last, lastError string
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if line == "" {
			continue
		}
		last = line
		if isErrorLine(line) {
			lastError = line
		}
	}
	if lastError != "" {
		return lastError
	}
	return last
}

func isErrorLine(line string) bool {
	lower := strings.ToLower(line)
	for _, start := range []string{"error:", "panic:", "fatal", "ctr:"} {
		if strings.HasPrefix(lower, start) {
			return true
		}
	}
	// klog: E0102 or F0102; containerd: level=fatal
	klog := len(line) > 5 && (line[0] == 'E' || line[0] == 'F') && line[1] >= '0' && line[1] <= '9'
	return klog || strings.Contains(lower, "level=fatal")
}
