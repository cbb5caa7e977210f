//go:build !assets

package main

// The Kubernetes programs themselves, in this one binary. Each is what its own main() in
// k8s.io/kubernetes/cmd is, picked by the first argument: one link, one file, one version.

import (
	"context"
	"fmt"
	"os"
	_ "time/tzdata" // CronJobs name time zones, and a container may bring none

	"github.com/spf13/cobra"
	_ "k8s.io/client-go/plugin/pkg/client/auth" // kubectl's exec and OIDC credentials
	"k8s.io/component-base/cli"
	"k8s.io/component-base/logs"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	kubectlutil "k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

// components are built only when asked for: each constructor registers flags and feature gates.
var components = map[string]func() *cobra.Command{
	"kube-apiserver":          apiserver.NewAPIServerCommand,
	"kube-controller-manager": controllermanager.NewControllerManagerCommand,
	"kube-scheduler":          func() *cobra.Command { return scheduler.NewSchedulerCommand() },
	"kubelet":                 func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) },
	"kube-proxy":              proxy.NewProxyCommand,
}

// embedded says that this binary carries Kubernetes; see components_assets.go for the other one.
const embedded = true

// runComponent becomes the named program, with the rest of the arguments as its own. It returns
// only when there is no such program.
func runComponent(arguments []string) {
	if len(arguments) == 0 {
		return
	}
	name := arguments[0]
	switch name {
	case "kubectl":
		runKubectl(arguments)
	case "etcd":
		if err := runEtcd(arguments[1:]); err != nil {
			fmt.Fprintln(os.Stderr, "error:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	component, ok := components[name]
	if !ok {
		return
	}
	// Both cobra and pflag's global set read os.Args; the programs expect their own name first.
	os.Args = arguments
	os.Exit(cli.Run(component()))
}

func runKubectl(arguments []string) {
	os.Args = arguments
	// As kubectl's own main: verbosity must be known while the command is being built.
	_, _ = logs.GlogSetter(kubectl.GetLogVerbosity(os.Args))
	if err := cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()); err != nil {
		kubectlutil.CheckErr(err)
	}
	os.Exit(0)
}
