package main

// Names for pods: SERVICE.NAMESPACE.svc.cluster.local, and HOST.SERVICE.… for pods of a headless
// Service that have a hostname (StatefulSets). Every question is answered from the API server at the
// time it is asked; nothing is cached and nothing is forwarded, so every other name doesn't exist.

import (
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

const (
	clusterDomain = ".svc.cluster.local."
	dnsTTL        = 1  // seconds: tests replace what is behind a name
	dnsAnswers    = 20 // as many as fit into the 512 bytes of a UDP answer
)

// serveDNS listens on UDP and returns; it ends with the program.
func serveDNS(address string, api *client) error {
	socket, err := net.ListenPacket("udp", address)
	if err != nil {
		return fmt.Errorf("DNS for pods: %w", err)
	}
	go func() {
		for {
			question := make([]byte, 1500)
			size, from, err := socket.ReadFrom(question)
			if err != nil {
				return
			}
			go func() {
				if answer, err := answerDNS(question[:size], api.addressesOf); err == nil {
					_, _ = socket.WriteTo(answer, from)
				}
			}()
		}
	}()
	return nil
}

// answerDNS answers one question. lookup says which addresses a Service has, and whether there is
// such a Service at all.
func answerDNS(message []byte, lookup func(host, service, namespace string) ([]net.IP, bool, error)) ([]byte, error) {
	var parser dnsmessage.Parser
	header, err := parser.Start(message)
	if err != nil {
		return nil, err
	}
	question, err := parser.Question()
	if err != nil {
		return nil, err
	}
	answer := dnsmessage.Header{ID: header.ID, Response: true, Authoritative: true, RecursionDesired: header.RecursionDesired, RecursionAvailable: true}
	var found []net.IP
	if host, service, namespace, ok := serviceName(question.Name.String()); ok {
		addresses, exists, err := lookup(host, service, namespace)
		switch {
		case err != nil:
			answer.RCode = dnsmessage.RCodeServerFailure
		case !exists:
			answer.RCode = dnsmessage.RCodeNameError
		case question.Type == dnsmessage.TypeA:
			found = addresses
		}
	} else {
		answer.RCode = dnsmessage.RCodeNameError
	}

	builder := dnsmessage.NewBuilder(nil, answer)
	builder.EnableCompression()
	if err := builder.StartQuestions(); err != nil {
		return nil, err
	}
	if err := builder.Question(question); err != nil {
		return nil, err
	}
	if err := builder.StartAnswers(); err != nil {
		return nil, err
	}
	for _, address := range found[:min(len(found), dnsAnswers)] {
		name := dnsmessage.ResourceHeader{Name: question.Name, Class: dnsmessage.ClassINET, TTL: dnsTTL}
		if four := address.To4(); four != nil {
			if err := builder.AResource(name, dnsmessage.AResource{A: [4]byte(four)}); err != nil {
				return nil, err
			}
		}
	}
	return builder.Finish()
}

// serviceName takes a name of the cluster apart.
func serviceName(name string) (host, service, namespace string, ok bool) {
	rest, ok := strings.CutSuffix(strings.ToLower(name), clusterDomain)
	if !ok {
		return "", "", "", false
	}
	labels := strings.Split(rest, ".")
	switch len(labels) {
	case 2:
		return "", labels[0], labels[1], true
	case 3:
		return labels[0], labels[1], labels[2], true
	}
	return "", "", "", false
}

func (c *client) addressesOf(host, service, namespace string) ([]net.IP, bool, error) {
	inNamespace := "/namespaces/" + url.PathEscape(namespace)
	var services struct {
		Items []struct{ Spec struct{ ClusterIP string } }
	}
	if err := c.list("/api/v1"+inNamespace+"/services?fieldSelector="+url.QueryEscape("metadata.name="+service), &services); err != nil {
		return nil, false, err
	}
	if len(services.Items) == 0 {
		return nil, false, nil
	}
	if address := net.ParseIP(services.Items[0].Spec.ClusterIP); address != nil && host == "" {
		return []net.IP{address}, true, nil
	}

	var slices struct {
		Items []struct {
			Endpoints []struct {
				Addresses  []string
				Hostname   string
				Conditions struct{ Ready *bool }
			}
		}
	}
	if err := c.list("/apis/discovery.k8s.io/v1"+inNamespace+"/endpointslices?labelSelector="+url.QueryEscape("kubernetes.io/service-name="+service), &slices); err != nil {
		return nil, false, err
	}
	var found []net.IP
	for _, slice := range slices.Items {
		for _, endpoint := range slice.Endpoints {
			if ready := endpoint.Conditions.Ready; ready != nil && !*ready || host != "" && endpoint.Hostname != host {
				continue
			}
			for _, address := range endpoint.Addresses {
				if parsed := net.ParseIP(address); parsed != nil {
					found = append(found, parsed)
				}
			}
		}
	}
	return found, host == "" || len(found) > 0, nil
}

func (c *client) list(path string, into any) error {
	body, err := c.get(path)
	if err != nil {
		return err
	}
	return json.Unmarshal(body, into)
}
