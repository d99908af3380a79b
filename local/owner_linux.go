package local

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// ownerOf names which of some processes has the socket whose own end is address;
// "" if none has. The kernel gives its table page by page, and a socket can slip
// through while others come and go, so one look is not enough.
func ownerOf(address netip.AddrPort, pids map[int]string) string {
	const looks = 5
	for i := range looks {
		if name := lookForOwner(address, pids); name != "" {
			return name
		}
		time.Sleep(time.Duration(i) * time.Millisecond)
	}
	return ""
}

func lookForOwner(address netip.AddrPort, pids map[int]string) string {
	inode := inodeOf(address)
	if inode == "" {
		return ""
	}
	for pid, name := range pids {
		if hasSocket(pid, "socket:["+inode+"]") {
			return name
		}
	}
	return ""
}

// inodeOf looks the socket up in the kernel's table of TCP sockets over IPv4, see
// proc_net_tcp in the kernel's documentation: the address is in the machine's
// byte order, as hexadecimal digits.
func inodeOf(address netip.AddrPort) string {
	ip := address.Addr().Unmap()
	if !ip.Is4() {
		return ""
	}
	bytes := ip.As4()
	want := fmt.Sprintf("%08X:%04X", binary.NativeEndian.Uint32(bytes[:]), address.Port())
	f, err := os.Open("/proc/net/tcp")
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }() // nothing was written
	const local, inode = 1, 9        // columns
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) > inode && fields[local] == want && fields[inode] != "0" {
			return fields[inode]
		}
	}
	return ""
}

func hasSocket(pid int, socket string) bool {
	folder := fmt.Sprintf("/proc/%d/fd", pid)
	list, err := os.ReadDir(folder)
	if err != nil {
		return false
	}
	for _, entry := range list {
		if to, err := os.Readlink(filepath.Join(folder, entry.Name())); err == nil && to == socket {
			return true
		}
	}
	return false
}
