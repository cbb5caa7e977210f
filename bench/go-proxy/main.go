// The sidecar as one would write it in Go with the standard library alone: httputil.ReverseProxy between two TLS
// connections, HTTP/2 on both.
package main

import (
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
)

func main() {
	log.SetFlags(0)
	listen := flag.String("listen", "", "where to listen")
	certificate := flag.String("certificate", "", "our certificate, PEM")
	key := flag.String("key", "", "its key")
	upstream := flag.String("upstream", "", "the API server's URL")
	authorities := flag.String("authorities", "", "its authorities, PEM")
	placeholder := flag.String("placeholder", "", "the file with the token that clients have")
	token := flag.String("token", "", "the file with the token that the API server is shown")
	flag.Parse()

	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(read(*authorities)))
	target, err := url.Parse(*upstream)
	if err != nil {
		log.Fatal(err)
	}
	expected := []byte("Bearer " + strings.TrimSpace(read(*placeholder)))
	shown := "Bearer " + strings.TrimSpace(read(*token))
	proxy := &httputil.ReverseProxy{
		Rewrite: func(request *httputil.ProxyRequest) {
			request.SetURL(target)
			request.Out.Header.Set("Authorization", shown)
		},
		Transport: &http.Transport{
			TLSClientConfig:     &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS13},
			ForceAttemptHTTP2:   true,
			MaxIdleConnsPerHost: 100,
		},
		// Watches must not wait for a buffer to fill.
		FlushInterval: -1,
		ErrorLog:      log.New(io.Discard, "", 0),
	}
	handler := http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		if subtle.ConstantTimeCompare([]byte(request.Header.Get("Authorization")), expected) != 1 {
			http.Error(writer, "another token", http.StatusUnauthorized)
			return
		}
		proxy.ServeHTTP(writer, request)
	})
	server := &http.Server{
		Addr:      *listen,
		Handler:   handler,
		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS13},
		ErrorLog:  log.New(io.Discard, "", 0),
	}
	log.Fatal(server.ListenAndServeTLS(*certificate, *key))
}

func read(file string) string {
	content, err := os.ReadFile(file)
	if err != nil {
		log.Fatal(err)
	}
	return string(content)
}
