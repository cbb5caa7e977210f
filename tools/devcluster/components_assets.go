//go:build assets

package main

// devcluster without Kubernetes in it, for those who have its binaries already (KUBEBUILDER_ASSETS):
// it builds in seconds, and has no node.

const embedded = false

func runComponent([]string) {}
