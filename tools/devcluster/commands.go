package main

// The command line: flags, help and what is printed.

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
)

const help = `devcluster runs real Kubernetes clusters on this machine, for development and tests.

  devcluster up --name dev --detach          a control plane (API server, etcd, controllers), ready in seconds
  devcluster up --name node --node --detach  the same with a node that runs pods (root, Debian packages)
  export KUBECONFIG=$(devcluster kubeconfig --name dev)
  devcluster kubectl get namespaces
  devcluster down --name dev

Commands:
  up           start a cluster, or find it running
  down         end a cluster and remove everything of it
  status       what runs, where, with which process ids (-o json for programs)
  kubeconfig   print the path of a cluster's kubeconfig
  image        make images from files, and load them into a cluster's node
  kubectl      the kubectl of the same version
  kube-apiserver, kube-controller-manager, kube-scheduler, kubelet, kube-proxy, etcd
               the programs themselves

devcluster COMMAND --help tells more. Clusters are kept in MK8S_DEVCLUSTER_DIR, or else in
$XDG_STATE_HOME/mk8s-devcluster (~/.local/state/mk8s-devcluster). With KUBEBUILDER_ASSETS set to a
directory that holds kube-apiserver and etcd, those are run in place of the ones in this program.
`

// errUsage was already explained.
var errUsage = errors.New("usage")

type subcommand struct {
	run   func(arguments []string) error
	usage string
}

var subcommands map[string]subcommand

func init() {
	subcommands = map[string]subcommand{
		"up":          {upCommand, upHelp},
		"down":        {downCommand, downHelp},
		"status":      {statusCommand, statusHelp},
		"kubeconfig":  {kubeconfigCommand, kubeconfigHelp},
		"image":       {imageCommand, imageHelp},
		"image build": {imageBuildCommand, imageBuildHelp},
		"image load":  {imageLoadCommand, imageLoadHelp},
	}
}

// runCommand answers with the exit code.
func runCommand(arguments []string) int {
	if len(arguments) == 0 || arguments[0] == "help" || arguments[0] == "-h" || arguments[0] == "--help" {
		fmt.Print(help)
		return 0
	}
	name, rest := arguments[0], arguments[1:]
	if name == "supervise" && len(rest) == 1 { // for `up` alone
		return exitCode(runSupervisor(rest[0]))
	}
	command, ok := subcommands[name]
	if !ok {
		fmt.Fprintf(os.Stderr, "error: devcluster has no command %q; see: devcluster --help\n", name)
		return 2
	}
	return exitCode(command.run(rest))
}

func exitCode(err error) int {
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, errUsage):
		return 2
	}
	fmt.Fprintln(os.Stderr, "error:", err)
	return 1
}

// newFlags makes a flag set with --dir, which all commands share.
func newFlags(name string) (*flag.FlagSet, *string) {
	flags := flag.NewFlagSet("devcluster "+name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	return flags, flags.String("dir", "", "directory of clusters")
}

// parse explains what is wrong in one line, and shows the command's help when asked to.
func parse(flags *flag.FlagSet, arguments []string, positional string) error {
	err := flags.Parse(arguments)
	name := strings.TrimPrefix(flags.Name(), "devcluster ")
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Print(subcommands[name].usage)
		return err
	case err != nil:
		fmt.Fprintf(os.Stderr, "error: %v; see: %s --help\n", err, flags.Name())
		return errUsage
	case positional == "" && flags.NArg() > 0:
		fmt.Fprintf(os.Stderr, "error: unexpected argument %q; see: %s --help\n", flags.Arg(0), flags.Name())
		return errUsage
	case positional != "" && flags.NArg() != 1:
		fmt.Fprintf(os.Stderr, "error: give one %s; see: %s --help\n", positional, flags.Name())
		return errUsage
	}
	return nil
}

func repeated(flags *flag.FlagSet, name, usage string, values *[]string) {
	flags.Func(name, usage, func(value string) error {
		*values = append(*values, value)
		return nil
	})
}

const upHelp = `devcluster up [flags]: start a cluster, or find it running

It makes certificates, finds free ports, starts everything and waits until it works. Progress is
printed to stderr; the path of state.json, which says everything about the cluster, to stdout.
Without --detach the cluster lives until Ctrl-C.

  --name NAME              the cluster's name (default "dev")
  --node                   with a node: containerd, kubelet, kube-proxy, scheduler (root only)
  --detach                 return when it is ready; end it by devcluster down
  --apiserver-arg K=V      a flag of kube-apiserver, in place of devcluster's own; repeatable.
                           K- removes a flag. Example:
                             --apiserver-arg oidc-issuer-url=https://{host_address}:8443
                           where {host_address} becomes the host's address, see below
  --authentication-config FILE
                           whose tokens the API server believes: an AuthenticationConfiguration, for
                           example of an OpenID Connect issuer; read again when it changes
  --audit-log FILE         where the API server's audit log goes (default: in the cluster's directory)
  --audit-policy FILE      what is logged (default: every request of users and workloads, once, at
                           the end, level Metadata)
  --kubeconfig-out FILE    copy the kubeconfig there
  --image FILE             load an image archive into the node; repeatable (see devcluster image)
  --dir DIR                keep clusters there (default: MK8S_DEVCLUSTER_DIR or the state directory)

Nothing of a cluster leaves this machine. With a node, the control plane and the node have a network
of their own: the host and pods reach each other at the addresses in state.json (host_address).
`

func upCommand(arguments []string) error {
	flags, dir := newFlags("up")
	request := upRequest{}
	o := &request.options
	flags.StringVar(&request.name, "name", "dev", "")
	flags.BoolVar(&o.Node, "node", false, "")
	flags.BoolVar(&request.detach, "detach", false, "")
	flags.StringVar(&o.AuthenticationConfig, "authentication-config", "", "")
	flags.StringVar(&o.AuditLog, "audit-log", "", "")
	flags.StringVar(&o.AuditPolicy, "audit-policy", "", "")
	flags.StringVar(&o.KubeconfigCopy, "kubeconfig-out", "", "")
	repeated(flags, "apiserver-arg", "", &o.APIServerArgs)
	repeated(flags, "image", "", &o.Images)
	if err := parse(flags, arguments, ""); err != nil {
		return err
	}
	base, err := baseDir(*dir)
	if err != nil {
		return err
	}
	request.base = base
	return up(request)
}

const downHelp = `devcluster down [--name NAME | --all]: end a cluster and remove everything of it

Ends exactly the processes that up started, and removes the cluster's directory, network, mounts and
cgroups. It may be repeated, and it also cleans up after a cluster whose supervisor was killed.

  --name NAME   the cluster's name (default "dev")
  --all         all clusters of the directory, whoever started them: a program that starts its own
                should keep them in a directory of their own (MK8S_DEVCLUSTER_DIR)
  --dir DIR     the directory of clusters
`

func downCommand(arguments []string) error {
	flags, dir := newFlags("down")
	name := flags.String("name", "dev", "")
	all := flags.Bool("all", false, "")
	if err := parse(flags, arguments, ""); err != nil {
		return err
	}
	base, err := baseDir(*dir)
	if err != nil {
		return err
	}
	if !*all {
		if err := checkName(*name); err != nil {
			return err
		}
		return down(base, *name)
	}
	states, err := allStates(base)
	if err != nil {
		return err
	}
	var failures []error
	for _, state := range states {
		failures = append(failures, down(base, state.Name))
	}
	return errors.Join(failures...)
}

const statusHelp = `devcluster status [--name NAME] [-o json]: what runs

Exit code 1 if a cluster was named and isn't running.

  --name NAME   one cluster only
  -o json       state.json as it is: an object with --name, else an array
  --dir DIR     the directory of clusters
`

func statusCommand(arguments []string) error {
	flags, dir := newFlags("status")
	name := flags.String("name", "", "")
	output := flags.String("o", "", "")
	if err := parse(flags, arguments, ""); err != nil {
		return err
	}
	if *output != "" && *output != "json" {
		fmt.Fprintf(os.Stderr, "error: -o %q: only json is known\n", *output)
		return errUsage
	}
	base, err := baseDir(*dir)
	if err != nil {
		return err
	}
	if *name != "" {
		state, err := namedState(base, *name)
		if err != nil {
			return err
		}
		if err := printStates([]*State{state}, state, *output); err != nil {
			return err
		}
		if !state.Supervisor.running() {
			return fmt.Errorf("cluster %q isn't running (%s); start it by: devcluster up --name %s", *name, state.Phase, *name)
		}
		return nil
	}
	states, err := allStates(base)
	if err != nil {
		return err
	}
	if states == nil {
		states = []*State{}
	}
	return printStates(states, states, *output)
}

func printStates(states []*State, value any, output string) error {
	if output == "json" {
		encoder := json.NewEncoder(os.Stdout)
		encoder.SetIndent("", "  ")
		return encoder.Encode(value)
	}
	if len(states) == 0 {
		fmt.Println("no clusters; start one by: devcluster up --detach")
		return nil
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NAME\tPHASE\tVERSION\tSERVER\tNODE\tSUPERVISOR\tKUBECONFIG")
	for _, state := range states {
		phase, node := state.Phase, "-"
		if !state.Supervisor.running() && (phase == phaseStarting || phase == phaseReady) {
			phase = "killed"
		}
		if state.Node {
			node = state.NodeName
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%d\t%s\n", state.Name, phase, state.KubernetesVersion, state.Server, node, state.Supervisor.PID, state.Kubeconfig)
	}
	return table.Flush()
}

func namedState(base, name string) (*State, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	state, err := loadState(filepath.Join(base, name))
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("there is no cluster %q in %s; start it by: devcluster up --name %s", name, base, name)
	}
	return state, err
}

const kubeconfigHelp = `devcluster kubeconfig [--name NAME]: print the path of a cluster's kubeconfig

Its user is an administrator (a client certificate in the group system:masters).

  --name NAME   the cluster's name (default "dev")
  --dir DIR     the directory of clusters
`

func kubeconfigCommand(arguments []string) error {
	flags, dir := newFlags("kubeconfig")
	name := flags.String("name", "dev", "")
	if err := parse(flags, arguments, ""); err != nil {
		return err
	}
	base, err := baseDir(*dir)
	if err != nil {
		return err
	}
	state, err := namedState(base, *name)
	if err != nil {
		return err
	}
	fmt.Println(state.Kubeconfig)
	return nil
}

const imageHelp = `devcluster image build … | load …: images without a registry

Nothing is pulled: an image is made from files here and loaded into a node's containerd; pods name it
with imagePullPolicy: Never. Every node has localhost/mk8s/busybox:dev (a shell and its tools; its
command rests until told to end).

  devcluster image build --name localhost/mk8s/agent:dev --file target/agent:/agent:0755 --cmd /agent -o agent.tar
  devcluster image load --name NAME agent.tar
`

func imageCommand(arguments []string) error {
	if len(arguments) > 0 {
		if command, ok := subcommands["image "+arguments[0]]; ok {
			return command.run(arguments[1:])
		}
	}
	if len(arguments) == 0 || strings.HasPrefix(arguments[0], "-") || arguments[0] == "help" {
		fmt.Print(imageHelp)
		return nil
	}
	fmt.Fprintf(os.Stderr, "error: devcluster image has no command %q; see: devcluster image --help\n", arguments[0])
	return errUsage
}

const imageBuildHelp = `devcluster image build --name REF --file PATH:DEST[:MODE] … -o FILE: make an OCI archive

One layer of the files given; programs should be static. The same files give the same archive.

  --name REF               as pods will name it, such as localhost/mk8s/agent:dev
  --file PATH:DEST[:MODE]  a file of this machine and its place in the image; repeatable
  --symlink PATH:TARGET    a symbolic link in the image; repeatable
  --busybox                put a static busybox in too: a shell to exec into, tar for kubectl cp
  --entrypoint WORD        a word of the entrypoint; repeatable
  --cmd WORD               a word of the command; repeatable
  --env NAME=VALUE         repeatable
  --user UID[:GID]         who runs it (default root)
  --workdir DIR            where it runs
  -o FILE                  the archive to write
`

func imageBuildCommand(arguments []string) error {
	flags, _ := newFlags("image build")
	spec := imageSpec{}
	var files, links []string
	flags.StringVar(&spec.Name, "name", "", "")
	repeated(flags, "file", "", &files)
	repeated(flags, "symlink", "", &links)
	repeated(flags, "entrypoint", "", &spec.Entrypoint)
	repeated(flags, "cmd", "", &spec.Command)
	repeated(flags, "env", "", &spec.Env)
	flags.StringVar(&spec.User, "user", "", "")
	flags.StringVar(&spec.WorkingDir, "workdir", "", "")
	busybox := flags.Bool("busybox", false, "")
	output := flags.String("o", "", "")
	if err := parse(flags, arguments, ""); err != nil {
		return err
	}
	if spec.Name == "" || *output == "" {
		fmt.Fprintln(os.Stderr, "error: --name and -o are needed; see: devcluster image build --help")
		return errUsage
	}
	for _, text := range files {
		file, err := parseImageFile(text)
		if err != nil {
			return err
		}
		spec.Files = append(spec.Files, file)
	}
	for _, text := range links {
		link, err := parseImageLink(text)
		if err != nil {
			return err
		}
		spec.Links = append(spec.Links, link)
	}
	if *busybox {
		path, err := lookUp("busybox")
		if err != nil {
			return errors.New("no program busybox; run: apt-get install -y busybox-static")
		}
		spec.Busybox = path
	}
	return buildImage(spec, *output)
}

const imageLoadHelp = `devcluster image load --name CLUSTER FILE: load an image archive into a cluster's node

  --name CLUSTER   the cluster's name (default "dev")
  --dir DIR        the directory of clusters
`

func imageLoadCommand(arguments []string) error {
	flags, dir := newFlags("image load")
	name := flags.String("name", "dev", "")
	if err := parse(flags, arguments, "image archive"); err != nil {
		return err
	}
	base, err := baseDir(*dir)
	if err != nil {
		return err
	}
	state, err := namedState(base, *name)
	if err != nil {
		return err
	}
	return loadImage(state, flags.Arg(0))
}
