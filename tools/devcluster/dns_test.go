package main

import (
	"errors"
	"net"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

func ask(t *testing.T, name string, kind dnsmessage.Type) (dnsmessage.RCode, []string) {
	t.Helper()
	question := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: 7, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(name), Type: kind, Class: dnsmessage.ClassINET}},
	}
	packed, err := question.Pack()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := answerDNS(packed, func(host, service, namespace string) ([]net.IP, bool, error) {
		switch host + "/" + service + "/" + namespace {
		case "/web/default":
			return []net.IP{net.IPv4(10, 1, 2, 3), net.IPv4(10, 1, 2, 4)}, true, nil
		case "web-0/web/default":
			return []net.IP{net.IPv4(10, 1, 2, 3)}, true, nil
		case "/ill/default":
			return nil, false, errors.New("ill")
		}
		return nil, false, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var answer dnsmessage.Message
	if err := answer.Unpack(raw); err != nil {
		t.Fatal(err)
	}
	if answer.ID != 7 || !answer.Response || len(answer.Questions) != 1 {
		t.Errorf("%+v", answer)
	}
	var addresses []string
	for _, resource := range answer.Answers {
		address := resource.Body.(*dnsmessage.AResource).A
		addresses = append(addresses, net.IP(address[:]).String())
	}
	return answer.RCode, addresses
}

func TestServicesHaveNames(t *testing.T) {
	if code, addresses := ask(t, "Web.default.svc.cluster.local.", dnsmessage.TypeA); code != dnsmessage.RCodeSuccess || len(addresses) != 2 {
		t.Errorf("%v %v", code, addresses)
	}
	if code, addresses := ask(t, "web-0.web.default.svc.cluster.local.", dnsmessage.TypeA); code != dnsmessage.RCodeSuccess || len(addresses) != 1 {
		t.Errorf("%v %v", code, addresses)
	}
	// No IPv6, but the name exists: a resolver must go on with IPv4.
	if code, addresses := ask(t, "web.default.svc.cluster.local.", dnsmessage.TypeAAAA); code != dnsmessage.RCodeSuccess || len(addresses) != 0 {
		t.Errorf("%v %v", code, addresses)
	}
	if code, _ := ask(t, "ill.default.svc.cluster.local.", dnsmessage.TypeA); code != dnsmessage.RCodeServerFailure {
		t.Error(code)
	}
}

func TestEveryOtherNameDoesNotExist(t *testing.T) {
	for _, name := range []string{"other.default.svc.cluster.local.", "a.b.c.d.svc.cluster.local.", "example.com.", "svc.cluster.local."} {
		if code, _ := ask(t, name, dnsmessage.TypeA); code != dnsmessage.RCodeNameError {
			t.Errorf("%s: %v", name, code)
		}
	}
}

func TestNoiseIsNotAnswered(t *testing.T) {
	for _, noise := range [][]byte{nil, {1, 2, 3}, make([]byte, 12), make([]byte, 600)} {
		if _, err := answerDNS(noise, nil); err == nil {
			t.Errorf("%d bytes are answered", len(noise))
		}
	}
}
