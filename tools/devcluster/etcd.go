//go:build !assets

package main

// etcd, embedded: the API server's streamed watch lists need 3.6, which distributions don't carry
// yet. The flags are the subset of etcd's own that devcluster uses, so that a real etcd binary
// (KUBEBUILDER_ASSETS) takes the same ones.

import (
	"flag"
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"syscall"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
)

func runEtcd(arguments []string) error {
	flags := flag.NewFlagSet("etcd", flag.ExitOnError)
	config := embed.NewConfig()
	flags.StringVar(&config.Dir, "data-dir", "", "where the data are")
	clients := flags.String("listen-client-urls", "", "for the API server")
	flags.String("advertise-client-urls", "", "the same")
	peers := flags.String("listen-peer-urls", "", "for other members; there are none")
	flags.BoolVar(&config.UnsafeNoFsync, "unsafe-no-fsync", false, "don't wait for the disk")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	clientURL, err := url.Parse(*clients)
	if err != nil {
		return err
	}
	peerURL, err := url.Parse(*peers)
	if err != nil {
		return err
	}
	config.ListenClientUrls, config.AdvertiseClientUrls = []url.URL{*clientURL}, []url.URL{*clientURL}
	config.ListenPeerUrls, config.AdvertisePeerUrls = []url.URL{*peerURL}, []url.URL{*peerURL}
	config.InitialCluster = config.InitialClusterFromName(config.Name)
	config.LogLevel = "warn"
	// Zero here would mean a warning for every request.
	config.WarningUnaryRequestDuration, config.WarningApplyDuration = 2*time.Second, 2*time.Second
	config.QuotaBackendBytes = 8 << 30

	server, err := embed.StartEtcd(config)
	if err != nil {
		return err
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	select {
	case err := <-server.Err():
		return fmt.Errorf("etcd ended: %w", err)
	case <-signals:
		server.Close()
		return nil
	}
}
