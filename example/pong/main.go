// SPDX-License-Identifier: MIT

// Command pong makes the interface pong0 and answers every IPv4 ping that is sent through it.
//
//	pong & ip addr add 10.9.0.1/24 dev pong0; ping 10.9.0.77
package main

import (
	"encoding/binary"
	"log"

	"github.com/mytun/mytun"
)

func main() {
	tun, err := mytun.Open(mytun.Config{Name: "pong0"})
	if err != nil {
		log.Fatal(err)
	}
	defer tun.Close()
	if err := tun.Up(); err != nil {
		log.Fatal(err)
	}
	q, pkts := tun.Queue(0), make([]mytun.Packet, 64)
	for {
		n, err := q.ReadBatch(pkts) // waits for at least one packet
		if err != nil {
			log.Fatal(err)
		}
		for _, p := range pkts[:n] {
			if b := p.Data; len(b) >= 28 && b[0] == 0x45 && b[9] == 1 && b[20] == 8 {
				for i := 12; i < 16; i++ { // source and destination
					b[i], b[i+4] = b[i+4], b[i]
				}
				b[20] = 0 // echo request becomes echo reply, and the checksum follows
				sum := uint32(binary.BigEndian.Uint16(b[22:])) + 0x0800
				binary.BigEndian.PutUint16(b[22:], uint16(sum+sum>>16))
				if _, err := q.Write(b); err != nil {
					log.Fatal(err)
				}
			}
		}
		q.Release(pkts[:n])
	}
}
