module github.com/mytun/mytun/example/vpn

go 1.25.0

require (
	github.com/mytun/mytun v0.0.0
	github.com/vishvananda/netlink v1.3.1
	golang.org/x/crypto v0.55.0
	golang.org/x/net v0.58.0
	golang.org/x/sys v0.47.0
)

require github.com/vishvananda/netns v0.0.5

replace github.com/mytun/mytun => ../..
