package main

// Addresses. Each cluster on a machine has a number, and with it 10.(192+number).0.0/16 for itself:
//
//	10.x.0.0/20     Services
//	10.x.16.0/20    pods
//	10.x.255.0/30   the link between the host (.1) and the node's network namespace (.2)
//
// The node's namespace has no default route, and the host has a route for the whole /16 into it, so
// nothing that pods send, and nothing sent to them, can take the machine's own way out. Without a
// node the whole /16 is a black hole but for the host's address, which lies on loopback.

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
)

const clusterNumbers = 64

type addresses struct{ number int }

func (a addresses) at(format string) string { return fmt.Sprintf(format, 192+a.number) }

func (a addresses) clusterCIDR() string { return a.at("10.%d.0.0/16") }
func (a addresses) serviceCIDR() string { return a.at("10.%d.0.0/20") }

// service is the ClusterIP of kubernetes.default.
func (a addresses) service() string    { return a.at("10.%d.0.1") }
func (a addresses) podCIDR() string    { return a.at("10.%d.16.0/20") }
func (a addresses) podGateway() string { return a.at("10.%d.16.1") }
func (a addresses) host() string       { return a.at("10.%d.255.1") }
func (a addresses) node() string       { return a.at("10.%d.255.2") }

// hostLink is the host's end of the link.
func (a addresses) hostLink() string { return fmt.Sprintf("mk8s%d", a.number) }

const nodeLink = "uplink"

// reserveNumber takes a number that no cluster on this machine has. The reservation is a name in the
// kernel's abstract socket space: it lasts as long as a process holds the file, and no longer.
func reserveNumber() (int, *os.File, error) {
	taken, err := routedNetworks()
	if err != nil {
		return 0, nil, err
	}
	for number := range clusterNumbers {
		file, ok := reserve(number)
		if !ok {
			continue
		}
		if overlapsForeign(addresses{number}, taken) {
			file.Close()
			continue
		}
		return number, file, nil
	}
	return 0, nil, errors.New("no address range is free in 10.192.0.0/10: end a cluster by devcluster down --name N")
}

func reserve(number int) (*os.File, bool) {
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: fmt.Sprintf("@mk8s-devcluster/%d", number)})
	if err != nil {
		return nil, false
	}
	defer listener.Close()
	file, err := listener.File()
	return file, err == nil
}

type network struct {
	*net.IPNet
	link string
	ours bool
}

func routedNetworks() ([]network, error) {
	routes, err := netlink.RouteList(nil, netlink.FAMILY_V4)
	if err != nil {
		return nil, fmt.Errorf("reading the routes: %w", err)
	}
	names := map[int]string{}
	if links, err := netlink.LinkList(); err == nil {
		for _, link := range links {
			names[link.Attrs().Index] = link.Attrs().Name
		}
	}
	var networks []network
	for _, route := range routes {
		if route.Dst == nil {
			continue
		}
		if ones, _ := route.Dst.Mask.Size(); ones == 0 {
			continue // the default route overlaps everything and means nothing
		}
		name := names[route.LinkIndex]
		ours := strings.HasPrefix(name, "mk8s") || route.Type == syscall.RTN_BLACKHOLE
		networks = append(networks, network{route.Dst, name, ours})
	}
	return networks, nil
}

// overlapsForeign leaves ranges alone that this machine already uses (a VPN, say). What a cluster
// left behind that had the number before is no obstacle: it is removed.
func overlapsForeign(a addresses, taken []network) bool {
	_, mine, err := net.ParseCIDR(a.clusterCIDR())
	if err != nil {
		return true
	}
	for _, other := range taken {
		if !other.ours && (mine.Contains(other.IP) || other.Contains(mine.IP)) {
			return true
		}
	}
	return false
}

// connectNode makes the link from the host into the node's network namespace, which is that of pid.
func connectNode(a addresses, pid int) error {
	disconnect(a)
	link := &netlink.Veth{
		LinkAttrs:     netlink.LinkAttrs{Name: a.hostLink()},
		PeerName:      nodeLink,
		PeerNamespace: netlink.NsPid(pid),
	}
	if err := netlink.LinkAdd(link); err != nil {
		return fmt.Errorf("making the link %s: %w", a.hostLink(), err)
	}
	if err := configure(a.hostLink(), a.host()+"/30"); err != nil {
		return err
	}
	return route(a.clusterCIDR(), a.hostLink(), a.node(), "")
}

// connectLoopback gives a cluster without a node its address on the host. It needs root; without,
// tests take another address of the machine.
func connectLoopback(a addresses) error {
	disconnect(a)
	if err := configure("lo", a.host()+"/32"); err != nil {
		return err
	}
	_, destination, err := net.ParseCIDR(a.clusterCIDR())
	if err != nil {
		return err
	}
	return netlink.RouteReplace(&netlink.Route{Dst: destination, Type: syscall.RTN_BLACKHOLE})
}

// disconnect removes what either of the two made; it is fine if there is nothing.
func disconnect(a addresses) {
	if link, err := netlink.LinkByName(a.hostLink()); err == nil {
		_ = netlink.LinkDel(link)
	}
	if loopback, err := netlink.LinkByName("lo"); err == nil {
		if address, err := netlink.ParseAddr(a.host() + "/32"); err == nil {
			_ = netlink.AddrDel(loopback, address)
		}
	}
	if _, destination, err := net.ParseCIDR(a.clusterCIDR()); err == nil {
		_ = netlink.RouteDel(&netlink.Route{Dst: destination, Type: syscall.RTN_BLACKHOLE})
	}
}

// configureNode is the namespace's side of the link. Services get a route to a bridge without ports:
// kube-proxy rewrites their addresses only after a route was found, and a Service that doesn't exist
// must lead nowhere.
func configureNode(a addresses) error {
	if err := configure("lo", ""); err != nil {
		return err
	}
	if err := configure(nodeLink, a.node()+"/30"); err != nil {
		return err
	}
	const nowhere = "services"
	if err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: nowhere}}); err != nil {
		return fmt.Errorf("making the link %s: %w", nowhere, err)
	}
	if err := configure(nowhere, ""); err != nil {
		return err
	}
	if err := route(a.serviceCIDR(), nowhere, "", a.node()); err != nil {
		return err
	}
	return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0)
}

func configure(name, address string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("link %s: %w", name, err)
	}
	if address != "" {
		parsed, err := netlink.ParseAddr(address)
		if err != nil {
			return err
		}
		if err := netlink.AddrReplace(link, parsed); err != nil {
			return fmt.Errorf("address %s on %s: %w", address, name, err)
		}
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("link %s: %w", name, err)
	}
	return nil
}

func route(destination, through, gateway, source string) error {
	link, err := netlink.LinkByName(through)
	if err != nil {
		return fmt.Errorf("link %s: %w", through, err)
	}
	_, network, err := net.ParseCIDR(destination)
	if err != nil {
		return err
	}
	added := &netlink.Route{Dst: network, LinkIndex: link.Attrs().Index, Gw: net.ParseIP(gateway), Src: net.ParseIP(source)}
	if gateway == "" {
		added.Scope = netlink.SCOPE_LINK
	}
	if err := netlink.RouteReplace(added); err != nil {
		return fmt.Errorf("route to %s: %w", destination, err)
	}
	return nil
}

// anyHostAddress is an address of this machine that isn't loopback; what is sent to it from here
// doesn't leave the machine.
func anyHostAddress() string {
	found, err := net.InterfaceAddrs()
	if err != nil {
		return ""
	}
	for _, address := range found {
		if network, ok := address.(*net.IPNet); ok && network.IP.To4() != nil && network.IP.IsGlobalUnicast() {
			return network.IP.String()
		}
	}
	return ""
}

// freePort is one that nobody has now. Somebody may take it before it is used; whoever starts the
// program that wants it tries again with another.
func freePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port, nil
}

// dialable tells whether something accepts connections there.
func dialable(address string) bool {
	connection, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		return false
	}
	connection.Close()
	return true
}
