package main

// The cluster's certificates, made anew for each start. Three authorities, as in a real cluster: one
// for clients and servers, one for the aggregator's front proxy (X-Remote-User is believed only
// behind it), and a key pair that signs service account tokens.

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Files are the certificates and keys in PEM; tests use the authorities' keys to make clients of
// their own. Keys are readable by their owner only.
type Files struct {
	CA    string `json:"ca"`
	CAKey string `json:"ca_key"`
	// Admin is the kubeconfig's user: CN kubernetes-admin, O system:masters.
	AdminCert string `json:"admin_cert"`
	AdminKey  string `json:"admin_key"`
	// FrontProxyCA signs clients that may say X-Remote-User (any common name).
	FrontProxyCA    string `json:"front_proxy_ca"`
	FrontProxyCAKey string `json:"front_proxy_ca_key"`
	// FrontProxyCert is what the API server itself shows to APIServices.
	FrontProxyCert string `json:"front_proxy_cert"`
	FrontProxyKey  string `json:"front_proxy_key"`
	APIServerCert  string `json:"apiserver_cert"`
	APIServerKey   string `json:"apiserver_key"`
	// KubeletClient is who the API server is to kubelets.
	KubeletClientCert string `json:"kubelet_client_cert"`
	KubeletClientKey  string `json:"kubelet_client_key"`
	KubeletServerCert string `json:"kubelet_server_cert"`
	KubeletServerKey  string `json:"kubelet_server_key"`
	// ServiceAccountKey signs service account tokens (RSA); ServiceAccountPub verifies them.
	ServiceAccountKey string `json:"service_account_key"`
	ServiceAccountPub string `json:"service_account_pub"`
}

// credentials is a client certificate with its key, to be written into a kubeconfig.
type credentials struct{ certPEM, keyPEM []byte }

// identities are the components' kubeconfigs: file name → who they are.
var identities = map[string]pkix.Name{
	"controller-manager": {CommonName: "system:kube-controller-manager"},
	"scheduler":          {CommonName: "system:kube-scheduler"},
	"kube-proxy":         {CommonName: "system:kube-proxy"},
}

type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	certPEM     []byte
}

// makeCertificates writes everything below dir. addresses are the API server's own beyond loopback;
// nodeName and nodeAddress are the kubelet's. The credentials are by the name of who has them.
func makeCertificates(dir string, addresses []string, nodeName, nodeAddress string) (Files, map[string]credentials, error) {
	path := func(name string) string { return filepath.Join(dir, name) }
	files := Files{
		CA: path("ca.crt"), CAKey: path("ca.key"),
		AdminCert: path("admin.crt"), AdminKey: path("admin.key"),
		FrontProxyCA: path("front-proxy-ca.crt"), FrontProxyCAKey: path("front-proxy-ca.key"),
		FrontProxyCert: path("front-proxy-client.crt"), FrontProxyKey: path("front-proxy-client.key"),
		APIServerCert: path("apiserver.crt"), APIServerKey: path("apiserver.key"),
		KubeletClientCert: path("apiserver-kubelet-client.crt"), KubeletClientKey: path("apiserver-kubelet-client.key"),
		KubeletServerCert: path("kubelet.crt"), KubeletServerKey: path("kubelet.key"),
		ServiceAccountKey: path("sa.key"), ServiceAccountPub: path("sa.pub"),
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return files, nil, err
	}

	ca, err := newAuthority("mk8s-devcluster-ca", files.CA, files.CAKey)
	if err != nil {
		return files, nil, err
	}
	frontProxyCA, err := newAuthority("mk8s-devcluster-front-proxy-ca", files.FrontProxyCA, files.FrontProxyCAKey)
	if err != nil {
		return files, nil, err
	}

	serverNames := append([]string{
		"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc",
		"kubernetes.default.svc.cluster.local", "127.0.0.1", "::1",
	}, addresses...)
	leaves := []struct {
		authority *authority
		subject   pkix.Name
		names     []string
		cert, key string
	}{
		{ca, pkix.Name{CommonName: "kubernetes-admin", Organization: []string{"system:masters"}}, nil, files.AdminCert, files.AdminKey},
		{ca, pkix.Name{CommonName: "kube-apiserver"}, serverNames, files.APIServerCert, files.APIServerKey},
		{ca, pkix.Name{CommonName: "kube-apiserver-kubelet-client", Organization: []string{"system:masters"}}, nil, files.KubeletClientCert, files.KubeletClientKey},
		{ca, pkix.Name{CommonName: "system:node:" + nodeName, Organization: []string{"system:nodes"}}, []string{nodeName, "localhost", "127.0.0.1", nodeAddress}, files.KubeletServerCert, files.KubeletServerKey},
		{frontProxyCA, pkix.Name{CommonName: "front-proxy-client"}, nil, files.FrontProxyCert, files.FrontProxyKey},
	}
	for _, leaf := range leaves {
		made, err := leaf.authority.issue(leaf.subject, leaf.names)
		if err != nil {
			return files, nil, err
		}
		if err := writePair(leaf.cert, leaf.key, made); err != nil {
			return files, nil, err
		}
	}

	clients := map[string]credentials{}
	for name, subject := range identities {
		if clients[name], err = ca.issue(subject, nil); err != nil {
			return files, nil, err
		}
	}
	node := pkix.Name{CommonName: "system:node:" + nodeName, Organization: []string{"system:nodes"}}
	if clients["kubelet"], err = ca.issue(node, nil); err != nil {
		return files, nil, err
	}
	admin, err := readPair(files.AdminCert, files.AdminKey)
	if err != nil {
		return files, nil, err
	}
	clients["admin"] = admin
	return files, clients, writeServiceAccountKey(files)
}

func newAuthority(commonName, certPath, keyPath string) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := certificateTemplate(pkix.Name{CommonName: commonName})
	template.IsCA = true
	template.BasicConstraintsValid = true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	made := &authority{certificate: certificate, key: key, certPEM: encodePEM("CERTIFICATE", der)}
	keyPEM, err := encodeKey(key)
	if err != nil {
		return nil, err
	}
	return made, writePair(certPath, keyPath, credentials{made.certPEM, keyPEM})
}

// issue makes a certificate: for a server when it has names, for a client always.
func (a *authority) issue(subject pkix.Name, names []string) (credentials, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return credentials{}, err
	}
	template := certificateTemplate(subject)
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	if len(names) > 0 {
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	for _, name := range names {
		if address := net.ParseIP(name); address != nil {
			template.IPAddresses = append(template.IPAddresses, address)
		} else if name != "" {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		return credentials{}, err
	}
	keyPEM, err := encodeKey(key)
	return credentials{encodePEM("CERTIFICATE", der), keyPEM}, err
}

// certificateTemplate is valid from an hour ago, for tests that move a clock.
func certificateTemplate(subject pkix.Name) *x509.Certificate {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		panic(err) // crypto/rand doesn't fail
	}
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      subject,
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().AddDate(10, 0, 0),
	}
}

func writeServiceAccountKey(files Files) error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	keyPEM, err := encodeKey(key)
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return err
	}
	return writePair(files.ServiceAccountPub, files.ServiceAccountKey, credentials{encodePEM("PUBLIC KEY", public), keyPEM})
}

func encodeKey(key crypto.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	return encodePEM("PRIVATE KEY", der), err
}

func encodePEM(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func writePair(certPath, keyPath string, made credentials) error {
	if err := os.WriteFile(certPath, made.certPEM, 0o644); err != nil {
		return err
	}
	return os.WriteFile(keyPath, made.keyPEM, 0o600)
}

func readPair(certPath, keyPath string) (credentials, error) {
	cert, err := os.ReadFile(certPath)
	if err != nil {
		return credentials{}, err
	}
	key, err := os.ReadFile(keyPath)
	return credentials{cert, key}, err
}

// kubeconfig is self-contained: it may be copied anywhere.
func kubeconfig(cluster, user, server string, caPEM []byte, who credentials) []byte {
	encode := base64.StdEncoding.EncodeToString
	return fmt.Appendf(nil, `apiVersion: v1
kind: Config
clusters:
- name: %[1]s
  cluster:
    server: %[3]s
    certificate-authority-data: %[4]s
users:
- name: %[2]s
  user:
    client-certificate-data: %[5]s
    client-key-data: %[6]s
contexts:
- name: %[1]s
  context:
    cluster: %[1]s
    user: %[2]s
current-context: %[1]s
`, cluster, user, server, encode(caPEM), encode(who.certPEM), encode(who.keyPEM))
}
