package main

// A real node: containerd, runc and the CNI plugins of the distribution, kubelet and kube-proxy of
// our own. All of it, and the control plane with it, lives in namespaces that the supervisor is the
// first process of: network (nothing gets out), PID (when the supervisor ends, however it ends,
// everything ends) and mount (the canonical directories are this cluster's own).

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	pauseImage   = "localhost/mk8s/pause:dev"
	busyboxImage = "localhost/mk8s/busybox:dev"

	containerdSocket = "/run/containerd/containerd.sock"
)

// prerequisites are the programs a node needs and the Debian packages they come in.
var prerequisites = []struct{ program, debian string }{
	{"containerd", "containerd"},
	{"ctr", "containerd"},
	{"runc", "runc"},
	{"iptables", "iptables"},
	{"conntrack", "conntrack"},
	{"socat", "socat"},
	{"busybox", "busybox-static"},
	{"mount", "mount"},
}

// checkNodePrerequisites answers with one line that says all that is missing.
func checkNodePrerequisites() error {
	if !embedded {
		return fmt.Errorf("--node: this devcluster was built without Kubernetes; unset KUBEBUILDER_ASSETS and run tools/devcluster/build.sh")
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("--node needs root (namespaces, mounts, cgroups); without it only a control plane can be had")
	}
	var missing []string
	add := func(name string) {
		for _, known := range missing {
			if known == name {
				return
			}
		}
		missing = append(missing, name)
	}
	for _, needed := range prerequisites {
		if _, err := lookUp(needed.program); err != nil {
			add(needed.debian)
		}
	}
	if cniDir() == "" {
		add("containernetworking-plugins")
	}
	if busybox, err := lookUp("busybox"); err == nil && !static(busybox) {
		add("busybox-static")
	}
	if len(missing) > 0 {
		return fmt.Errorf("--node needs programs that aren't here; run: apt-get install -y --no-install-recommends %s", strings.Join(missing, " "))
	}
	return nil
}

// lookUp finds a program also where administrators' programs are, which need not be in PATH.
func lookUp(program string) (string, error) {
	if path, err := exec.LookPath(program); err == nil {
		return path, nil
	}
	for _, dir := range []string{"/usr/local/sbin", "/usr/sbin", "/sbin"} {
		if path := filepath.Join(dir, program); isProgram(path) {
			return path, nil
		}
	}
	return "", fmt.Errorf("no program %s", program)
}

func cniDir() string {
	for _, dir := range []string{"/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni"} {
		if isProgram(filepath.Join(dir, "ptp")) && isProgram(filepath.Join(dir, "host-local")) {
			return dir
		}
	}
	return ""
}

// namespaces are those a cluster with a node gets of its own.
const namespaces = syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC

// ownDirectories are the places that kubelet, containerd and CNI insist on: in the node's mount
// namespace each is a directory of the cluster. An empty directory is made on the host if there is
// none, and stays: another cluster may have its own mounted there.
var ownDirectories = map[string]string{
	"/var/lib/kubelet":    "kubelet",
	"/var/lib/cni":        "cni-cache",
	"/var/log/pods":       "pod-logs",
	"/var/log/containers": "container-logs",
	"/run/containerd":     "containerd-run",
}

// kernelSettings are what kubelet would write to the machine's kernel unless it finds them set. It
// finds them set: the node sees these files in place of the kernel's.
var kernelSettings = map[string]string{
	"vm/overcommit_memory":      "1",
	"vm/panic_on_oom":           "0",
	"kernel/panic":              "10",
	"kernel/panic_on_oops":      "1",
	"kernel/keys/root_maxkeys":  "1000000",
	"kernel/keys/root_maxbytes": "25000000",
}

// enterNode makes the supervisor's new namespaces a node. hostProc still shows the host's processes
// afterwards.
func enterNode(dir layout, nodeName string) (hostProc *os.Root, err error) {
	if hostProc, err = os.OpenRoot("/proc"); err != nil {
		return nil, err
	}
	if err := syscall.Sethostname([]byte(nodeName)); err != nil {
		return nil, fmt.Errorf("hostname: %w", err)
	}
	// Private first: nothing mounted here shows on the host. Then shared among the node's own
	// namespaces, which volumes with mount propagation need.
	for _, propagation := range []uintptr{syscall.MS_PRIVATE, syscall.MS_SHARED} {
		if err := syscall.Mount("", "/", "", propagation|syscall.MS_REC, ""); err != nil {
			return nil, fmt.Errorf("mount propagation: %w", err)
		}
	}
	if err := syscall.Mount("proc", "/proc", "proc", syscall.MS_NOSUID|syscall.MS_NODEV|syscall.MS_NOEXEC, ""); err != nil {
		return nil, fmt.Errorf("mounting /proc: %w", err)
	}
	for place, name := range ownDirectories {
		own := filepath.Join(string(dir), name)
		for _, made := range []string{place, own} {
			if err := os.MkdirAll(made, 0o755); err != nil {
				return nil, err
			}
		}
		if err := syscall.Mount(own, place, "", syscall.MS_BIND, ""); err != nil {
			return nil, fmt.Errorf("mounting %s: %w", place, err)
		}
	}
	for setting, value := range kernelSettings {
		place := filepath.Join("/proc/sys", setting)
		if _, err := os.Stat(place); err != nil {
			continue // not in this kernel, and then kubelet doesn't miss it
		}
		own := filepath.Join(string(dir), "kernel", setting)
		if err := os.MkdirAll(filepath.Dir(own), 0o755); err != nil {
			return nil, err
		}
		if err := os.WriteFile(own, []byte(value+"\n"), 0o644); err != nil {
			return nil, err
		}
		if err := syscall.Mount(own, place, "", syscall.MS_BIND, ""); err != nil {
			return nil, fmt.Errorf("mounting %s: %w", place, err)
		}
	}
	return hostProc, nil
}

// hostPID is the id on the host of a child of the supervisor (whose own id there is parent).
func hostPID(hostProc fs.FS, parent, pid int) (int, error) {
	entries, err := fs.ReadDir(hostProc, ".")
	if err != nil {
		return 0, err
	}
	for _, entry := range entries {
		candidate, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		status, err := fs.ReadFile(hostProc, entry.Name()+"/status")
		if err != nil {
			continue // ended meanwhile
		}
		if statusField(string(status), "PPid", 0) == parent && statusField(string(status), "NSpid", -1) == pid {
			return candidate, nil
		}
	}
	return 0, fmt.Errorf("process %d isn't there", pid)
}

// statusField is the number at index (from the end if negative) of a line of /proc/PID/status.
func statusField(status, name string, index int) int {
	for line := range strings.Lines(status) {
		rest, found := strings.CutPrefix(line, name+":")
		if !found {
			continue
		}
		fields := strings.Fields(rest)
		if index < 0 {
			index += len(fields)
		}
		if index >= 0 && index < len(fields) {
			if number, err := strconv.Atoi(fields[index]); err == nil {
				return number
			}
		}
	}
	return -1
}

// writeNodeConfig writes the configuration of containerd, CNI, kubelet and kube-proxy.
func writeNodeConfig(s *State, dir layout, a addresses) error {
	path := func(name string) string { return filepath.Join(string(dir), name) }
	snapshotter := "overlayfs"
	if !overlayWorks(path("overlay-check")) {
		snapshotter = "native" // a container on an overlay of its own, say: slower, but works
	}
	files := map[string]string{
		"containerd.toml": fmt.Sprintf(`version = 2
root = %q
state = "/run/containerd"
oom_score = 0

[grpc]
  address = %q

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = %q
  # Lowering an oom_score_adj needs CAP_SYS_RESOURCE, which a build machine may not give.
  restrict_oom_score_adj = true
  disable_apparmor = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = %q
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = %q
    conf_dir = %q
`, path("containerd"), containerdSocket, pauseImage, snapshotter, cniDir(), path("cni")),

		// ptp, not bridge: every packet between pods is routed, so what kube-proxy rewrote on the way
		// there is rewritten on the way back too.
		"cni/10-devcluster.conflist": fmt.Sprintf(`{
  "cniVersion": "0.4.0",
  "name": "devcluster",
  "plugins": [
    {
      "type": "ptp",
      "ipMasq": false,
      "ipam": {"type": "host-local", "ranges": [[{"subnet": %q}]], "routes": [{"dst": "0.0.0.0/0"}], "dataDir": %q}
    },
    {"type": "portmap", "capabilities": {"portMappings": true}}
  ]
}
`, a.podCIDR(), path("cni-ipam")),

		"kubelet.yaml": fmt.Sprintf(`apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: 0.0.0.0
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true}
  x509: {clientCAFile: %[1]q}
authorization: {mode: Webhook}
tlsCertFile: %[2]q
tlsPrivateKeyFile: %[3]q
containerRuntimeEndpoint: unix://%[4]s
cgroupDriver: cgroupfs
cgroupRoot: %[5]q
failCgroupV1: false
failSwapOn: false
oomScoreAdj: 0
resolvConf: ""
clusterDNS: [%[6]s]
clusterDomain: cluster.local
# The disk is the developer's, however full: nothing is evicted, no image is removed.
evictionHard: {memory.available: "0%%", nodefs.available: "0%%", nodefs.inodesFree: "0%%", imagefs.available: "0%%"}
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
imageMinimumGCAge: 24000h
maxPods: 500
# Logs of tests are read whole: rotate late.
containerLogMaxSize: 256Mi
containerLogMaxFiles: 2
kubeAPIQPS: 200
kubeAPIBurst: 400
eventRecordQPS: 0
registryPullQPS: 0
nodeStatusUpdateFrequency: 5s
syncFrequency: 10s
fileCheckFrequency: 20s
`, s.Files.CA, s.Files.KubeletServerCert, s.Files.KubeletServerKey, containerdSocket, cgroupRoot(a), a.node()),

		"kube-proxy.yaml": fmt.Sprintf(`apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: iptables
clientConnection: {kubeconfig: %q}
hostnameOverride: %s
bindAddress: %s
healthzBindAddress: ""
metricsBindAddress: 127.0.0.1:10249
clusterCIDR: %s
detectLocalMode: ClusterCIDR
oomScoreAdj: 0
iptables: {minSyncPeriod: 0s, syncPeriod: 30s}
# Connection tracking is the machine's own: leave its sizes and times alone.
conntrack: {maxPerCore: 0, min: 0, tcpCloseWaitTimeout: 0s, tcpEstablishedTimeout: 0s}
`, dir.kubeconfigOf("kube-proxy"), s.NodeName, a.node(), a.podCIDR()),
	}
	for name, content := range files {
		if err := os.MkdirAll(filepath.Dir(path(name)), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path(name), []byte(content), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func overlayWorks(dir string) bool {
	defer os.RemoveAll(dir)
	for _, name := range []string{"lower", "upper", "work", "merged"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			return false
		}
	}
	merged := filepath.Join(dir, "merged")
	options := fmt.Sprintf("lowerdir=%[1]s/lower,upperdir=%[1]s/upper,workdir=%[1]s/work", dir)
	if err := syscall.Mount("overlay", merged, "overlay", 0, options); err != nil {
		return false
	}
	return syscall.Unmount(merged, syscall.MNT_DETACH) == nil
}

func kubeletArgs(s *State, dir layout, a addresses) []string {
	return []string{
		"--config=" + filepath.Join(string(dir), "kubelet.yaml"),
		"--kubeconfig=" + dir.kubeconfigOf("kubelet"),
		"--hostname-override=" + s.NodeName,
		"--node-ip=" + a.node(),
		"--root-dir=/var/lib/kubelet",
	}
}

func kubeProxyArgs(dir layout) []string {
	return []string{"--config=" + filepath.Join(string(dir), "kube-proxy.yaml")}
}

// cgroupRoot is the cgroup of all pods of the cluster, told apart by number as addresses are.
func cgroupRoot(a addresses) string { return fmt.Sprintf("/mk8s-devcluster-%d", a.number) }

const cgroupMount = "/sys/fs/cgroup"

// cgroupHierarchies are the directories that hold a tree of cgroups each: one for cgroup v2, one for
// each controller for v1.
func cgroupHierarchies() []string {
	if _, err := os.Stat(filepath.Join(cgroupMount, "cgroup.controllers")); err == nil {
		return []string{cgroupMount}
	}
	entries, err := os.ReadDir(cgroupMount)
	if err != nil {
		return nil
	}
	var hierarchies []string
	for _, entry := range entries {
		path := filepath.Join(cgroupMount, entry.Name())
		if _, err := os.Stat(filepath.Join(path, "cgroup.procs")); err == nil && entry.Type()&os.ModeSymlink == 0 {
			hierarchies = append(hierarchies, path)
		}
	}
	return hierarchies
}

// makeCgroups makes the root that kubelet is told to use; it makes everything below by itself.
func makeCgroups(a addresses) error {
	removeCgroups(a, 0)
	for _, hierarchy := range cgroupHierarchies() {
		root := filepath.Join(hierarchy, cgroupRoot(a))
		if err := os.Mkdir(root, 0o755); err != nil && !os.IsExist(err) {
			return fmt.Errorf("making a cgroup: %w", err)
		}
		// A new cpuset of cgroup v1 may use nothing until told.
		for _, name := range []string{"cpuset.cpus", "cpuset.mems"} {
			if value, err := os.ReadFile(filepath.Join(hierarchy, name)); err == nil {
				_ = os.WriteFile(filepath.Join(root, name), value, 0)
			}
		}
	}
	return nil
}

// removeCgroups removes the cluster's cgroups once no process is left in them.
func removeCgroups(a addresses, wait time.Duration) {
	for deadline := time.Now().Add(wait); ; time.Sleep(50 * time.Millisecond) {
		left := false
		for _, hierarchy := range cgroupHierarchies() {
			root := filepath.Join(hierarchy, cgroupRoot(a))
			removeCgroupTree(root)
			if _, err := os.Stat(root); err == nil {
				left = true
			}
		}
		if !left || time.Now().After(deadline) {
			return
		}
	}
}

func removeCgroupTree(root string) {
	entries, err := os.ReadDir(root)
	if err != nil {
		return
	}
	for _, entry := range entries {
		if entry.IsDir() {
			removeCgroupTree(filepath.Join(root, entry.Name()))
		}
	}
	_ = os.Remove(root) // only an empty cgroup can be removed; its files don't count
}

// otherProcesses are those of the PID namespace that are neither the supervisor nor its children by
// name: containers and their shims.
func otherProcesses(known map[int]bool) []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var others []int
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err == nil && pid != 1 && !known[pid] {
			others = append(others, pid)
		}
	}
	return others
}
