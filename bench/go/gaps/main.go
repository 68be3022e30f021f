// gaps: how long a goroutine that allocates is kept from it; see bench/gaps.c.
package main

import (
	"flag"
	"fmt"
	"runtime"
	"sort"
	"time"
)

type Node struct {
	left, right *Node
	pay         [4]uint64
}

var root *Node

func tree(d int) *Node {
	n := &Node{}
	if d > 0 {
		n.left, n.right = tree(d-1), tree(d-1)
	}
	return n
}

//go:noinline
func batch(ring *[64]*Node) {
	for i := 0; i < 1000; i++ {
		ring[i%64] = &Node{}
	}
}

func main() {
	depth := flag.Int("depth", 23, "of the tree")
	secs := flag.Int("secs", 8, "seconds of allocating")
	flag.Parse()
	gaps := make([]uint32, 64<<20)
	for i := range gaps {
		gaps[i] = 0
	}
	root = tree(*depth)
	runtime.GC()
	ring := new([64]*Node)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	num := 0
	start := time.Now()
	last, end := start, start.Add(time.Duration(*secs)*time.Second)
	for last.Before(end) && num < len(gaps) {
		batch(ring)
		now := time.Now()
		gaps[num] = uint32(now.Sub(last))
		num++
		last = now
	}
	runtime.ReadMemStats(&after)
	elapsed := last.Sub(start).Seconds()
	gaps = gaps[:num]
	sort.Slice(gaps, func(i, j int) bool { return gaps[i] < gaps[j] })
	q := func(p float64) float64 { return float64(gaps[int(p*float64(num))]) / 1e3 }
	fmt.Printf("RESULT gaps n=%d p50=%.1fus p99=%.1fus p99.9=%.1fus p99.99=%.1fus max=%.1fus Mallocs/s=%.1f\n",
		num, q(.5), q(.99), q(.999), q(.9999), float64(gaps[num-1])/1e3, float64(num)*1000/1e6/elapsed)
	fmt.Printf("RESULT run gcs=%d pause_total=%.3fms\n", after.NumGC-before.NumGC,
		float64(after.PauseTotalNs-before.PauseTotalNs)/1e6)
	runtime.KeepAlive(root)
}
