package main

// Images of our own. Nothing can be pulled where tests run, so an image is made from files at hand:
// one layer, written as an OCI archive, which containerd imports.

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"sort"
	"strconv"
	"strings"
)

// imageSpec is what an image is made of.
type imageSpec struct {
	Name       string
	Files      []imageFile
	Links      []imageLink
	Entrypoint []string
	Command    []string
	Env        []string
	User       string
	WorkingDir string
	// Busybox is a static busybox to put at /bin, with a link for each of its programs.
	Busybox string
}

type imageFile struct {
	Source      string
	Destination string
	// Mode is the file's permission bits, the source's own if 0.
	Mode os.FileMode
}

type imageLink struct{ Path, Target string }

// restUntilTerminated is a command that does nothing and ends at once when asked to: the first
// process of a container ignores SIGTERM unless it has a handler.
var restUntilTerminated = []string{"/bin/sh", "-c", "trap 'exit 0' TERM INT; while :; do sleep 3600 & wait $!; done"}

// parseImageFile reads PATH:DEST[:MODE], the mode in octal.
func parseImageFile(text string) (imageFile, error) {
	parts := strings.Split(text, ":")
	if len(parts) < 2 || len(parts) > 3 || parts[0] == "" || !path.IsAbs(parts[1]) {
		return imageFile{}, fmt.Errorf("--file %q: use PATH:DEST or PATH:DEST:MODE, DEST absolute, MODE octal as in 0755", text)
	}
	file := imageFile{Source: parts[0], Destination: path.Clean(parts[1])}
	if len(parts) == 3 {
		mode, err := strconv.ParseUint(parts[2], 8, 12)
		if err != nil {
			return imageFile{}, fmt.Errorf("--file %q: the mode %q isn't octal, as 0755 is", text, parts[2])
		}
		file.Mode = os.FileMode(mode)
	}
	return file, nil
}

// parseImageLink reads PATH:TARGET.
func parseImageLink(text string) (imageLink, error) {
	at, target, found := strings.Cut(text, ":")
	if !found || !path.IsAbs(at) || target == "" {
		return imageLink{}, fmt.Errorf("--symlink %q: use PATH:TARGET, PATH absolute", text)
	}
	return imageLink{path.Clean(at), target}, nil
}

// normalName gives a reference the tag that containerd would look for.
func normalName(name string) (string, error) {
	last := name[strings.LastIndex(name, "/")+1:]
	if name == "" || name != strings.ToLower(name) || strings.ContainsAny(name, " @") {
		return "", fmt.Errorf("--name %q: use a reference such as localhost/mk8s/agent:dev", name)
	}
	if !strings.Contains(name, "/") {
		return "", fmt.Errorf("--name %q: put a host before it, as in localhost/mk8s/%s; kubelet would take it for a public image", name, name)
	}
	if !strings.Contains(last, ":") {
		return name + ":latest", nil
	}
	return name, nil
}

// withBusybox adds busybox and a link for each of its programs.
func (s *imageSpec) withBusybox() error {
	if s.Busybox == "" {
		return nil
	}
	if !static(s.Busybox) {
		return fmt.Errorf("%s isn't a static program; run: apt-get install -y busybox-static", s.Busybox)
	}
	list, err := exec.Command(s.Busybox, "--list").Output()
	if err != nil {
		return fmt.Errorf("%s --list: %w", s.Busybox, err)
	}
	s.Files = append(s.Files, imageFile{Source: s.Busybox, Destination: "/bin/busybox", Mode: 0o755})
	for _, applet := range strings.Fields(string(list)) {
		if applet != "busybox" {
			s.Links = append(s.Links, imageLink{"/bin/" + applet, "busybox"})
		}
	}
	return nil
}

// static tells whether a program needs no loader, and so runs in an image that holds nothing else.
func static(program string) bool {
	file, err := elf.Open(program)
	if err != nil {
		return false
	}
	defer file.Close()
	for _, header := range file.Progs {
		if header.Type == elf.PT_INTERP {
			return false
		}
	}
	return true
}

type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int64             `json:"size"`
	Platform    map[string]string `json:"platform,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// buildImage writes the archive. The same input gives the same bytes: no times, sorted entries.
func buildImage(spec imageSpec, output string) error {
	name, err := normalName(spec.Name)
	if err != nil {
		return err
	}
	if err := spec.withBusybox(); err != nil {
		return err
	}
	next := output + ".next"
	defer os.Remove(next)

	layer := next + ".layer"
	defer os.Remove(layer)
	layerDigest, layerSize, err := writeLayer(spec, layer)
	if err != nil {
		return err
	}
	platform := map[string]string{"architecture": runtime.GOARCH, "os": "linux"}
	config, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH,
		"os":           "linux",
		"config": map[string]any{
			"Entrypoint": spec.Entrypoint,
			"Cmd":        spec.Command,
			"Env":        append([]string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}, spec.Env...),
			"User":       spec.User,
			"WorkingDir": spec.WorkingDir,
		},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{layerDigest}},
	})
	if err != nil {
		return err
	}
	manifest, err := json.Marshal(map[string]any{
		"schemaVersion": 2,
		"mediaType":     "application/vnd.oci.image.manifest.v1+json",
		"config":        descriptor{MediaType: "application/vnd.oci.image.config.v1+json", Digest: digest(config), Size: int64(len(config))},
		"layers":        []descriptor{{MediaType: "application/vnd.oci.image.layer.v1.tar", Digest: layerDigest, Size: layerSize}},
	})
	if err != nil {
		return err
	}
	index, err := json.Marshal(map[string]any{
		"schemaVersion": 2,
		"mediaType":     "application/vnd.oci.image.index.v1+json",
		"manifests": []descriptor{{
			MediaType: "application/vnd.oci.image.manifest.v1+json", Digest: digest(manifest), Size: int64(len(manifest)), Platform: platform,
			Annotations: map[string]string{
				"io.containerd.image.name":          name,
				"org.opencontainers.image.ref.name": name[strings.LastIndex(name, ":")+1:],
			},
		}},
	})
	if err != nil {
		return err
	}

	file, err := os.Create(next)
	if err != nil {
		return err
	}
	defer file.Close()
	archive := tar.NewWriter(file)
	blobs := map[string][]byte{
		"oci-layout":           []byte(`{"imageLayoutVersion":"1.0.0"}`),
		"index.json":           index,
		blobPath(manifest):     manifest,
		blobPath(config):       config,
		layerPath(layerDigest): nil,
	}
	names := make([]string, 0, len(blobs))
	for name := range blobs {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		if content := blobs[name]; content != nil {
			err = appendFile(archive, name, 0o644, int64(len(content)), bytes.NewReader(content))
		} else {
			err = appendFrom(archive, name, layer, 0o644)
		}
		if err != nil {
			return err
		}
	}
	if err := archive.Close(); err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	return os.Rename(next, output)
}

func digest(content []byte) string {
	sum := sha256.Sum256(content)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func blobPath(content []byte) string { return layerPath(digest(content)) }

func layerPath(digest string) string { return "blobs/sha256/" + strings.TrimPrefix(digest, "sha256:") }

// writeLayer writes the root file system: the files, the links, and the directories above them.
func writeLayer(spec imageSpec, output string) (string, int64, error) {
	file, err := os.Create(output)
	if err != nil {
		return "", 0, err
	}
	defer file.Close()
	sum := sha256.New()
	layer := tar.NewWriter(io.MultiWriter(file, sum))

	directories := map[string]os.FileMode{"/tmp": 0o1777, "/etc": 0o755}
	addAbove := func(destination string) {
		for above := path.Dir(destination); above != "/"; above = path.Dir(above) {
			if _, known := directories[above]; !known {
				directories[above] = 0o755
			}
		}
	}
	for _, f := range spec.Files {
		addAbove(f.Destination)
	}
	for _, l := range spec.Links {
		addAbove(l.Path)
	}
	names := make([]string, 0, len(directories))
	for name := range directories {
		names = append(names, name)
	}
	sort.Strings(names) // a directory sorts before what is in it
	for _, name := range names {
		header := &tar.Header{Typeflag: tar.TypeDir, Name: inLayer(name) + "/", Mode: int64(directories[name])}
		if err := layer.WriteHeader(header); err != nil {
			return "", 0, err
		}
	}
	for _, f := range spec.Files {
		mode := f.Mode
		if mode == 0 {
			info, err := os.Stat(f.Source)
			if err != nil {
				return "", 0, err
			}
			mode = info.Mode().Perm()
		}
		if err := appendFrom(layer, inLayer(f.Destination), f.Source, mode); err != nil {
			return "", 0, err
		}
	}
	for _, l := range spec.Links {
		header := &tar.Header{Typeflag: tar.TypeSymlink, Name: inLayer(l.Path), Linkname: l.Target, Mode: 0o777}
		if err := layer.WriteHeader(header); err != nil {
			return "", 0, err
		}
	}
	if err := layer.Close(); err != nil {
		return "", 0, err
	}
	info, err := file.Stat()
	if err != nil {
		return "", 0, err
	}
	return "sha256:" + hex.EncodeToString(sum.Sum(nil)), info.Size(), file.Close()
}

func inLayer(name string) string { return strings.TrimPrefix(name, "/") }

func appendFrom(archive *tar.Writer, name, source string, mode os.FileMode) error {
	file, err := os.Open(source)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s isn't a file: an image takes files one by one", source)
	}
	return appendFile(archive, name, mode, info.Size(), file)
}

func appendFile(archive *tar.Writer, name string, mode os.FileMode, size int64, content io.Reader) error {
	header := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: int64(mode), Size: size}
	if err := archive.WriteHeader(header); err != nil {
		return err
	}
	_, err := io.Copy(archive, content)
	return err
}

// ownImages are those that every node has, by the names of their archives.
var ownImages = map[string]string{"pause.tar": pauseImage, "busybox.tar": busyboxImage}

func buildOwnImages(dir string) error {
	busybox, err := lookUp("busybox")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for file, name := range ownImages {
		if err := buildImage(imageSpec{Name: name, Busybox: busybox, Command: restUntilTerminated}, filepath.Join(dir, file)); err != nil {
			return err
		}
	}
	return nil
}

// importArgs are ctr's arguments to load an archive into the containerd behind socket.
func importArgs(socket, archive string) []string {
	return []string{"--address", socket, "--namespace", "k8s.io", "images", "import", archive}
}

// loadImage loads an archive into a running cluster, from the host.
func loadImage(s *State, archive string) error {
	if !s.Node {
		return fmt.Errorf("cluster %q has no node to load images into; start it with --node", s.Name)
	}
	if _, err := os.Stat(archive); err != nil {
		return fmt.Errorf("%w; make one by: devcluster image build", err)
	}
	ctr, err := lookUp("ctr")
	if err != nil {
		return fmt.Errorf("no program ctr; run: apt-get install -y containerd")
	}
	output, err := exec.Command(ctr, importArgs(s.ContainerdAddress, archive)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("loading %s: %s", archive, strings.TrimSpace(string(output)))
	}
	return nil
}
