// The ordinary in-cluster program that a user would write with client-go. tests/clients/README.md says
// what it is asked to do.
package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

const (
	serviceAccount = "/var/run/secrets/kubernetes.io/serviceaccount/"
	usage          = "usage: client crud | watch --seconds N | exec --pod P | whoami | loop --seconds N | read-token"
)

// fields of a line of output.
type fields map[string]any

// client is what the commands work with.
type client struct {
	config    *rest.Config
	set       *kubernetes.Clientset
	namespace string
}

func main() {
	answer, err := run(os.Args[1:])
	if err != nil {
		report(fields{"ok": false, "error": err.Error()})
		os.Exit(1)
	}
	answer["ok"] = true
	report(answer)
}

func run(arguments []string) (fields, error) {
	if len(arguments) == 0 {
		return nil, errors.New(usage)
	}
	flags := flag.NewFlagSet(arguments[0], flag.ContinueOnError)
	seconds := flags.Int("seconds", 10, "for how long")
	pod := flags.String("pod", "", "the pod to run commands in")
	if err := flags.Parse(arguments[1:]); err != nil {
		return nil, err
	}
	if arguments[0] == "read-token" {
		return readToken(), nil
	}
	client, err := connect()
	if err != nil {
		return nil, err
	}
	duration := time.Duration(*seconds) * time.Second
	switch arguments[0] {
	case "crud":
		return client.crud(context.Background())
	case "watch":
		return client.watch(duration)
	case "exec":
		return client.exec(context.Background(), *pod)
	case "whoami":
		return client.whoAmI(context.Background())
	case "loop":
		return client.getRepeatedly(context.Background(), duration)
	}
	return nil, errors.New(usage)
}

func connect() (*client, error) {
	config, err := rest.InClusterConfig()
	if err != nil {
		return nil, err
	}
	set, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	namespace, err := os.ReadFile(serviceAccount + "namespace")
	if err != nil {
		return nil, err
	}
	return &client{config, set, strings.TrimSpace(string(namespace))}, nil
}

func (c *client) whoAmI(ctx context.Context) (fields, error) {
	review, err := c.set.AuthenticationV1().SelfSubjectReviews().
		Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		return nil, err
	}
	user := review.Status.UserInfo
	return fields{"username": user.Username, "groups": user.Groups}, nil
}

func (c *client) getRepeatedly(ctx context.Context, duration time.Duration) (fields, error) {
	end := time.Now().Add(duration)
	ticks := time.NewTicker(100 * time.Millisecond)
	defer ticks.Stop()
	requests, failures := 0, 0
	var last, lastError error
	for time.Now().Before(end) {
		<-ticks.C
		requests++
		_, last = c.set.CoreV1().ConfigMaps(c.namespace).Get(ctx, "kube-root-ca.crt", metav1.GetOptions{})
		if last != nil {
			failures++
			lastError = last
		}
	}
	summary := fields{"requests": requests, "failures": failures, "last_error": text(lastError)}
	report(summary)
	if last != nil {
		return nil, fmt.Errorf("the last request failed: %w", last)
	}
	return summary, nil
}

func readToken() fields {
	token, err := os.ReadFile(serviceAccount + "token")
	if err != nil {
		return fields{"readable": false, "reason": err.Error()}
	}
	prefix := sha256.Sum256(token[:min(12, len(token))])
	whole := sha256.Sum256(token)
	return fields{
		"readable":      true,
		"prefix_sha256": hex.EncodeToString(prefix[:]),
		"fingerprint":   hex.EncodeToString(whole[:])[:12],
	}
}

var printing sync.Mutex

// report prints a line.
func report(line fields) {
	printing.Lock()
	defer printing.Unlock()
	_ = json.NewEncoder(os.Stdout).Encode(line)
}

// text is an error's, nil if there is none.
func text(err error) any {
	if err == nil {
		return nil
	}
	return err.Error()
}
