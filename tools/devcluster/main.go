// Command devcluster runs real Kubernetes clusters on one machine: etcd, the API server and the
// controllers in this one binary, and, where asked for, a node that runs pods.
//
// The parts: commands.go is the command line; up.go starts and ends clusters; supervisor.go is the
// process that stays behind one; controlplane.go, node.go and etcd.go say what runs and how;
// network.go, certs.go and image.go make what they need; state.go is what is remembered.
package main

import "os"

func main() {
	runComponent(os.Args[1:]) // doesn't return for a Kubernetes program
	os.Exit(runCommand(os.Args[1:]))
}
