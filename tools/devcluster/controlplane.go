package main

// The control plane's programs and their flags, the same whether the program is embedded or from
// KUBEBUILDER_ASSETS.

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// defaultAuditPolicy records who asked for what, once, at the end. Requests that the control plane
// makes all the time about itself are left out: no test is about them.
const defaultAuditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  users: [system:apiserver, system:kube-controller-manager, system:kube-scheduler, system:kube-proxy]
- level: None
  userGroups: [system:nodes]
- level: None
  userGroups: ["system:serviceaccounts:kube-system"]
- level: None
  nonResourceURLs: [/livez*, /readyz*, /healthz*]
- level: Metadata
`

// layout names the places inside a cluster's directory.
type layout string

func (l layout) pki() string                    { return filepath.Join(string(l), "pki") }
func (l layout) logs() string                   { return filepath.Join(string(l), "logs") }
func (l layout) log(name string) string         { return filepath.Join(l.logs(), name+".log") }
func (l layout) images() string                 { return filepath.Join(string(l), "images") }
func (l layout) etcd() string                   { return filepath.Join(string(l), "etcd") }
func (l layout) kubeconfigOf(who string) string { return filepath.Join(string(l), who+".kubeconfig") }
func (l layout) auditLog() string               { return filepath.Join(string(l), "audit.log") }
func (l layout) auditPolicy() string            { return filepath.Join(string(l), "audit-policy.yaml") }

// programs finds the program of a component: embedded, or in a directory of binaries.
type programs struct {
	self      string
	binaryDir string
	layout    layout
}

// assetsDir is KUBEBUILDER_ASSETS if it holds a control plane.
func assetsDir() string {
	dir := os.Getenv("KUBEBUILDER_ASSETS")
	if dir == "" {
		return ""
	}
	for _, name := range []string{"kube-apiserver", "etcd"} {
		if !isProgram(filepath.Join(dir, name)) {
			return ""
		}
	}
	return dir
}

func isProgram(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// command is the component with its arguments; ok is false if there is no such program.
func (p programs) command(name string, args []string) (command, bool) {
	c := command{name: name, args: args, log: p.layout.log(name)}
	if p.binaryDir != "" {
		c.path = filepath.Join(p.binaryDir, name)
		return c, isProgram(c.path)
	}
	c.path = p.self
	c.args = append([]string{name}, args...)
	return c, embedded
}

func etcdArgs(dir layout, clientPort, peerPort int) []string {
	return []string{
		"--data-dir=" + dir.etcd(),
		fmt.Sprintf("--listen-client-urls=http://127.0.0.1:%d", clientPort),
		fmt.Sprintf("--advertise-client-urls=http://127.0.0.1:%d", clientPort),
		fmt.Sprintf("--listen-peer-urls=http://127.0.0.1:%d", peerPort),
		"--unsafe-no-fsync=true",
	}
}

// apiServerArgs are the flags of kube-apiserver, with the user's in place of ours where they have
// the same name. The last list: "flag-" removes a flag.
func apiServerArgs(s *State, dir layout, bind string, port, etcdPort int) []string {
	args := flagList{}
	set := args.set
	set("etcd-servers", fmt.Sprintf("http://127.0.0.1:%d", etcdPort))
	set("bind-address", bind)
	set("secure-port", fmt.Sprint(port))
	set("tls-cert-file", s.Files.APIServerCert)
	set("tls-private-key-file", s.Files.APIServerKey)
	set("client-ca-file", s.Files.CA)
	set("authorization-mode", "Node,RBAC")
	set("enable-admission-plugins", "NodeRestriction")
	set("allow-privileged", "true")
	set("service-cluster-ip-range", s.ServiceCIDR)
	set("service-account-issuer", "https://kubernetes.default.svc.cluster.local")
	set("service-account-key-file", s.Files.ServiceAccountPub)
	set("service-account-signing-key-file", s.Files.ServiceAccountKey)
	set("requestheader-client-ca-file", s.Files.FrontProxyCA)
	set("requestheader-allowed-names", "front-proxy-client")
	set("requestheader-username-headers", "X-Remote-User")
	set("requestheader-group-headers", "X-Remote-Group")
	set("requestheader-extra-headers-prefix", "X-Remote-Extra-")
	set("proxy-client-cert-file", s.Files.FrontProxyCert)
	set("proxy-client-key-file", s.Files.FrontProxyKey)
	// Webhooks and APIServices are reached at their endpoints' addresses, wherever those are.
	set("enable-aggregator-routing", "true")
	set("audit-policy-file", dir.auditPolicy())
	set("audit-log-path", s.AuditLog)
	set("audit-log-mode", "blocking") // a line is in the file before the answer is sent
	set("audit-log-maxsize", "0")     // never rotated under a reader
	set("kubelet-client-certificate", s.Files.KubeletClientCert)
	set("kubelet-client-key", s.Files.KubeletClientKey)
	if s.Options.AuthenticationConfig != "" {
		set("authentication-config", s.Options.AuthenticationConfig)
	}
	if s.Node {
		set("advertise-address", bind)
		set("kubelet-certificate-authority", s.Files.CA)
		set("kubelet-preferred-address-types", "InternalIP")
	} else {
		// A Service's endpoint may not be loopback, and nothing here could use it.
		set("endpoint-reconciler-type", "none")
		set("advertise-address", "127.0.0.1")
	}
	var given []string
	for _, argument := range s.Options.APIServerArgs {
		// The address isn't known to who calls `up`.
		given = append(given, strings.ReplaceAll(argument, "{host_address}", s.HostAddress))
	}
	args.override(given)
	// These replace a flag that can't stand beside them.
	if args.has("authorization-config") {
		args.remove("authorization-mode")
	}
	return args.strings()
}

func controllerManagerArgs(s *State, dir layout) []string {
	return []string{
		"--kubeconfig=" + dir.kubeconfigOf("controller-manager"),
		"--authentication-kubeconfig=" + dir.kubeconfigOf("controller-manager"),
		"--authorization-kubeconfig=" + dir.kubeconfigOf("controller-manager"),
		"--secure-port=0", // serves nothing: no port to find
		"--leader-elect=false",
		"--use-service-account-credentials=true",
		"--service-account-private-key-file=" + s.Files.ServiceAccountKey,
		"--root-ca-file=" + s.Files.CA,
		"--cluster-signing-cert-file=" + s.Files.CA,
		"--cluster-signing-key-file=" + s.Files.CAKey,
		"--kube-api-qps=200", "--kube-api-burst=400",
	}
}

func schedulerArgs(dir layout) []string {
	return []string{
		"--kubeconfig=" + dir.kubeconfigOf("scheduler"),
		"--authentication-kubeconfig=" + dir.kubeconfigOf("scheduler"),
		"--authorization-kubeconfig=" + dir.kubeconfigOf("scheduler"),
		"--secure-port=0",
		"--leader-elect=false",
		"--kube-api-qps=200", "--kube-api-burst=400",
	}
}

// flagList keeps flags in order, each with its values.
type flagList struct{ flags []flagValues }

type flagValues struct {
	name   string
	values []string
}

func (l *flagList) set(name, value string) {
	l.remove(name)
	l.flags = append(l.flags, flagValues{name, []string{value}})
}

func (l *flagList) has(name string) bool {
	for _, flag := range l.flags {
		if flag.name == name {
			return true
		}
	}
	return false
}

func (l *flagList) remove(name string) {
	kept := l.flags[:0]
	for _, flag := range l.flags {
		if flag.name != name {
			kept = append(kept, flag)
		}
	}
	l.flags = kept
}

// override applies name=value arguments: all values of one name together replace ours. "name-"
// removes a flag, "name" alone is name=true.
func (l *flagList) override(arguments []string) {
	given := map[string]bool{}
	for _, argument := range arguments {
		name, value, found := strings.Cut(strings.TrimLeft(argument, "-"), "=")
		switch {
		case !found && strings.HasSuffix(name, "-"):
			l.remove(strings.TrimSuffix(name, "-"))
			continue
		case !found:
			value = "true"
		}
		if !given[name] {
			given[name] = true
			l.set(name, value)
			continue
		}
		last := &l.flags[l.index(name)]
		last.values = append(last.values, value)
	}
}

func (l *flagList) index(name string) int {
	for i, flag := range l.flags {
		if flag.name == name {
			return i
		}
	}
	return -1
}

func (l *flagList) strings() []string {
	var all []string
	for _, flag := range l.flags {
		for _, value := range flag.values {
			all = append(all, "--"+flag.name+"="+value)
		}
	}
	return all
}

// client asks the API server a few things. It is plain HTTP: what is asked here is too
// little for a Kubernetes client, and must work in a binary without one.
type client struct {
	server string
	http   http.Client
}

func newClient(s *State) (*client, error) {
	admin, err := readPair(s.Files.AdminCert, s.Files.AdminKey)
	if err != nil {
		return nil, err
	}
	return newClientAs(s, admin)
}

func newClientAs(s *State, who credentials) (*client, error) {
	pair, err := tls.X509KeyPair(who.certPEM, who.keyPEM)
	if err != nil {
		return nil, err
	}
	ca, err := os.ReadFile(s.Files.CA)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	return &client{s.Server, http.Client{
		Timeout: 5 * time.Second,
		Transport: &http.Transport{
			TLSClientConfig:   &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}},
			ForceAttemptHTTP2: true,
			Proxy:             nil, // never through the machine's proxy
		},
	}}, nil
}

func (c *client) get(path string) ([]byte, error) {
	response, err := c.http.Get(c.server + path)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return body, fmt.Errorf("%s: %s", path, response.Status)
	}
	return body, nil
}

func (c *client) ready() error {
	_, err := c.get("/readyz")
	return err
}

// hasDefaultAccount is true once the controllers work: pods and tokens need this account.
func (c *client) hasDefaultAccount() error {
	_, err := c.get("/api/v1/namespaces/default/serviceaccounts/default")
	return err
}

// nodeReady answers nil when pods can be put on the node.
func (c *client) nodeReady(name string) error {
	body, err := c.get("/api/v1/nodes/" + name)
	if err != nil {
		return err
	}
	var node struct {
		Spec struct {
			Taints []struct{ Key string }
		}
		Status struct {
			Conditions []struct{ Type, Status, Message string }
		}
	}
	if err := json.Unmarshal(body, &node); err != nil {
		return err
	}
	for _, condition := range node.Status.Conditions {
		if condition.Type == "Ready" && condition.Status != "True" {
			return fmt.Errorf("the node isn't ready: %s", condition.Message)
		}
	}
	if len(node.Status.Conditions) == 0 {
		return fmt.Errorf("the node has no status yet")
	}
	for _, taint := range node.Spec.Taints {
		return fmt.Errorf("the node is tainted: %s", taint.Key)
	}
	return nil
}

func (c *client) version() string {
	body, err := c.get("/version")
	if err != nil {
		return ""
	}
	var version struct{ GitVersion string }
	_ = json.Unmarshal(body, &version)
	return version.GitVersion
}
