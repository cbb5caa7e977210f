package main

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func readArchive(t *testing.T, from io.Reader) (map[string][]byte, map[string]*tar.Header) {
	t.Helper()
	contents, headers := map[string][]byte{}, map[string]*tar.Header{}
	for archive := tar.NewReader(from); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return contents, headers
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		contents[header.Name], headers[header.Name] = content, header
	}
}

func TestAnImageIsAnOCIArchive(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "program")
	if err := os.WriteFile(program, []byte("content"), 0o644); err != nil {
		t.Fatal(err)
	}
	spec := imageSpec{
		Name: "localhost/mk8s/test:dev", Files: []imageFile{{program, "/usr/bin/program", 0o755}},
		Links: []imageLink{{"/bin/p", "../usr/bin/program"}}, Entrypoint: []string{"/usr/bin/program"}, Command: []string{"serve"},
		Env: []string{"A=b"}, User: "65532",
	}
	output := filepath.Join(dir, "image.tar")
	if err := buildImage(spec, output); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(output)
	if err != nil {
		t.Fatal(err)
	}
	blobs, _ := readArchive(t, bytes.NewReader(raw))
	if string(blobs["oci-layout"]) != `{"imageLayoutVersion":"1.0.0"}` {
		t.Errorf("oci-layout: %s", blobs["oci-layout"])
	}

	var index struct{ Manifests []descriptor }
	parseJSON(t, blobs["index.json"], &index)
	if index.Manifests[0].Annotations["io.containerd.image.name"] != "localhost/mk8s/test:dev" {
		t.Errorf("named %v", index.Manifests[0].Annotations)
	}
	blob := func(d descriptor) []byte {
		content := blobs[layerPath(d.Digest)]
		if digest(content) != d.Digest || int64(len(content)) != d.Size {
			t.Errorf("%s isn't its content", d.Digest)
		}
		return content
	}
	var manifest struct {
		Config descriptor
		Layers []descriptor
	}
	parseJSON(t, blob(index.Manifests[0]), &manifest)
	var config struct {
		Config struct {
			Entrypoint, Cmd, Env []string
			User                 string
		}
		Rootfs struct {
			DiffIDs []string `json:"diff_ids"`
		}
	}
	parseJSON(t, blob(manifest.Config), &config)
	if config.Config.User != "65532" || config.Config.Cmd[0] != "serve" || config.Rootfs.DiffIDs[0] != manifest.Layers[0].Digest {
		t.Errorf("config: %+v", config)
	}

	contents, headers := readArchive(t, bytes.NewReader(blob(manifest.Layers[0])))
	if string(contents["usr/bin/program"]) != "content" || headers["usr/bin/program"].Mode != 0o755 {
		t.Error("the program is missing or has another mode")
	}
	if headers["bin/p"].Linkname != "../usr/bin/program" || headers["usr/bin/"] == nil || headers["tmp/"].Mode != 0o1777 {
		t.Errorf("layer: %v", headers)
	}

	if err := buildImage(spec, output); err != nil {
		t.Fatal(err)
	}
	if again, err := os.ReadFile(output); err != nil || !bytes.Equal(raw, again) {
		t.Error("the same files made another archive")
	}
	if left, _ := filepath.Glob(output + ".*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func parseJSON(t *testing.T, raw []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(raw, into); err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
}

func TestBusyboxImageHasItsPrograms(t *testing.T) {
	busybox, err := lookUp("busybox")
	if err != nil || !static(busybox) {
		t.Skip("no static busybox")
	}
	spec := imageSpec{Name: "localhost/x", Busybox: busybox}
	if err := spec.withBusybox(); err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, link := range spec.Links {
		found[link.Path] = true
	}
	for _, program := range []string{"/bin/sh", "/bin/tar", "/bin/sleep", "/bin/wget"} {
		if !found[program] {
			t.Errorf("no %s", program)
		}
	}
}

func TestTheRestingCommandEndsWhenAskedTo(t *testing.T) {
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("no sh")
	}
	log := filepath.Join(t.TempDir(), "log")
	resting, err := testFamily.start(command{name: "resting", path: shell, args: []string{"-c", "echo up; " + restUntilTerminated[2]}, log: log})
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if text, _ := os.ReadFile(log); strings.Contains(string(text), "up") {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	resting.stop(5 * time.Second)
	if resting.status.ExitStatus() != 0 {
		t.Errorf("ended by %v", resting.status)
	}
}

func TestImageArguments(t *testing.T) {
	if file, err := parseImageFile("a:/b/../c:0755"); err != nil || file != (imageFile{"a", "/c", 0o755}) {
		t.Errorf("%+v, %v", file, err)
	}
	if file, err := parseImageFile("a:/b"); err != nil || file != (imageFile{"a", "/b", 0}) {
		t.Errorf("%+v, %v", file, err)
	}
	for _, bad := range []string{"", "a", "a:b", ":/b", "a:/b:rwx", "a:/b:0755:x"} {
		if _, err := parseImageFile(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
	for name, wanted := range map[string]string{"localhost/a": "localhost/a:latest", "localhost:5000/a:b": "localhost:5000/a:b"} {
		if got, err := normalName(name); err != nil || got != wanted {
			t.Errorf("%q: %q, %v", name, got, err)
		}
	}
	for _, bad := range []string{"", "busybox", "localhost/A", "localhost/a@sha256:0"} {
		if _, err := normalName(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}
