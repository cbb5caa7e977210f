module mk8s.io/mk8s/bench/go-proxy

go 1.24
