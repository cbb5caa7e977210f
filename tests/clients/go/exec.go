package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/remotecommand"
	exitcode "k8s.io/client-go/util/exec"
)

// exec runs commands in another pod, over both protocols that client-go has.
func (c *client) exec(ctx context.Context, pod string) (fields, error) {
	var lines strings.Builder
	for n := range 5000 {
		fmt.Fprintf(&lines, "line %d\n", n)
	}
	checks := []struct {
		name    string
		command []string
		stdin   string
		output  string
		code    int
	}{
		{"echo", []string{"echo", "hello"}, "", "hello\n", 0},
		{"cat", []string{"cat"}, lines.String(), lines.String(), 0},
		{"exit", []string{"sh", "-c", "exit 3"}, "", "", 3},
	}
	steps := 0
	for _, protocol := range []string{"websocket", "spdy"} {
		for _, check := range checks {
			output, code, err := c.execute(ctx, protocol, pod, check.command, check.stdin)
			if err != nil {
				return nil, fmt.Errorf("%s over %s: %w", check.name, protocol, err)
			}
			if output != check.output || code != check.code {
				return nil, fmt.Errorf("%s over %s: %d bytes (%d expected), exit code %d",
					check.name, protocol, len(output), len(check.output), code)
			}
			report(fields{"step": check.name, "protocol": protocol})
			steps++
		}
	}
	return fields{"steps": steps}, nil
}

// execute gives what the command prints, and its exit code.
func (c *client) execute(ctx context.Context, protocol, pod string, command []string, stdin string) (string, int, error) {
	url := c.set.CoreV1().RESTClient().Post().
		Namespace(c.namespace).Resource("pods").Name(pod).SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{Command: command, Stdin: stdin != "", Stdout: true}, scheme.ParameterCodec).
		URL()
	var executor remotecommand.Executor
	var err error
	if protocol == "websocket" {
		executor, err = remotecommand.NewWebSocketExecutor(c.config, "GET", url.String())
	} else {
		executor, err = remotecommand.NewSPDYExecutor(c.config, "POST", url)
	}
	if err != nil {
		return "", 0, err
	}
	var output bytes.Buffer
	streams := remotecommand.StreamOptions{Stdout: &output}
	if stdin != "" {
		streams.Stdin = strings.NewReader(stdin)
	}
	err = executor.StreamWithContext(ctx, streams)
	var exit exitcode.ExitError
	if errors.As(err, &exit) && exit.Exited() {
		return output.String(), exit.ExitStatus(), nil
	}
	return output.String(), 0, err
}
