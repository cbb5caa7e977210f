package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestTheUsersFlagsReplaceOurs(t *testing.T) {
	list := flagList{}
	list.set("authorization-mode", "Node,RBAC")
	list.set("bind-address", "127.0.0.1")
	list.set("v", "0")
	list.override([]string{
		"authorization-mode=RBAC", "oidc-issuer-url=https://127.0.0.1/a=b",
		"--api-audiences=x", "api-audiences=y", "profiling", "v-", "absent-",
	})
	wanted := []string{
		"--bind-address=127.0.0.1", "--authorization-mode=RBAC", "--oidc-issuer-url=https://127.0.0.1/a=b",
		"--api-audiences=x", "--api-audiences=y", "--profiling=true",
	}
	if got := list.strings(); !slices.Equal(got, wanted) {
		t.Errorf("got  %q\nwant %q", got, wanted)
	}
}

func TestAnAuthorizationConfigTakesTheModesPlace(t *testing.T) {
	state := newState(upRequest{name: "one", options: Options{APIServerArgs: []string{"authorization-config=/f"}}}, t.TempDir(), 0)
	for _, argument := range apiServerArgs(state, layout(state.Dir), "127.0.0.1", 1, 2) {
		if strings.HasPrefix(argument, "--authorization-mode") {
			t.Error(argument)
		}
	}
}

func TestAnAuthenticationConfigIsPassedOn(t *testing.T) {
	state := newState(upRequest{name: "one", options: Options{AuthenticationConfig: "/f"}}, t.TempDir(), 0)
	if args := apiServerArgs(state, layout(state.Dir), "127.0.0.1", 1, 2); !slices.Contains(args, "--authentication-config=/f") {
		t.Error(args)
	}
}

func TestTheHostsAddressCanBeNamedBeforeItIsKnown(t *testing.T) {
	state := newState(upRequest{name: "one", options: Options{Node: true, APIServerArgs: []string{"oidc-issuer-url=https://{host_address}:1"}}}, t.TempDir(), 3)
	if args := apiServerArgs(state, layout(state.Dir), "127.0.0.1", 1, 2); !slices.Contains(args, "--oidc-issuer-url=https://10.195.255.1:1") {
		t.Error(args)
	}
}

func TestBinariesInPlaceOfTheEmbeddedOnes(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("KUBEBUILDER_ASSETS", dir)
	if assetsDir() != "" {
		t.Error("an empty directory is taken")
	}
	for _, name := range []string{"kube-apiserver", "etcd"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if assetsDir() != dir {
		t.Error("a directory with both programs isn't taken")
	}
	own := programs{self: "/self", binaryDir: dir, layout: layout(dir)}
	if c, ok := own.command("etcd", []string{"--x"}); !ok || c.path != filepath.Join(dir, "etcd") || !slices.Equal(c.args, []string{"--x"}) {
		t.Errorf("%+v", c)
	}
	if _, ok := own.command("kube-controller-manager", nil); ok {
		t.Error("there is no such binary")
	}
	builtIn := programs{self: "/self", layout: layout(dir)}
	if c, ok := builtIn.command("etcd", []string{"--x"}); ok != embedded || c.path != "/self" || !slices.Equal(c.args, []string{"etcd", "--x"}) {
		t.Errorf("%+v", c)
	}
}

func TestKubeconfigIsOneThatOpensslBelieves(t *testing.T) {
	dir := t.TempDir()
	files, clients, err := makeCertificates(dir, []string{"10.192.0.1"}, "one-node", "10.192.255.2")
	if err != nil {
		t.Fatal(err)
	}
	for _, who := range []string{"admin", "controller-manager", "scheduler", "kubelet", "kube-proxy"} {
		if len(clients[who].certPEM) == 0 || len(clients[who].keyPEM) == 0 {
			t.Errorf("%s has no certificate", who)
		}
	}
	for _, key := range []string{files.CAKey, files.FrontProxyCAKey, files.AdminKey, files.ServiceAccountKey} {
		if info, err := os.Stat(key); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", key, info.Mode(), err)
		}
	}
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("no openssl")
	}
	for _, arguments := range [][]string{
		{"verify", "-CAfile", files.CA, "-verify_ip", "10.192.0.1", "-purpose", "sslserver", files.APIServerCert},
		{"verify", "-CAfile", files.CA, "-verify_hostname", "kubernetes.default.svc", files.APIServerCert},
		{"verify", "-CAfile", files.CA, "-verify_hostname", "one-node", files.KubeletServerCert},
		{"verify", "-CAfile", files.CA, "-purpose", "sslclient", files.AdminCert},
		{"verify", "-CAfile", files.FrontProxyCA, "-purpose", "sslclient", files.FrontProxyCert},
	} {
		if output, err := exec.Command(openssl, arguments...).CombinedOutput(); err != nil {
			t.Errorf("openssl %q: %s", arguments, output)
		}
	}
	text := string(kubeconfig("c", "admin", "https://127.0.0.1:1", clients["admin"].certPEM, clients["admin"]))
	if !strings.Contains(text, "server: https://127.0.0.1:1\n") || !strings.Contains(text, "current-context: c\n") {
		t.Error(text)
	}
}
