// release: does memory go back to the system? Builds 1.1 GB of 64-byte nodes, drops all but the first 100 MB and
// looks at the resident set: at once after runtime.GC and debug.FreeOSMemory, or idle for -idle SECONDS.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"time"
)

type Node struct {
	next *Node
	pay  [7]uint64
}

const chain = 8
const perChain = 8 + chain*64
const mib = float64(1 << 20)

var kept, dropped []*Node

func build(bytes int) []*Node {
	t := make([]*Node, bytes/perChain)
	for i := range t {
		for j := 0; j < chain; j++ {
			n := &Node{next: t[i]}
			n.pay[0] = uint64(j)
			t[i] = n
		}
	}
	return t
}
func count(t []*Node) int {
	num := 0
	for _, n := range t {
		for ; n != nil; n = n.next {
			num++
		}
	}
	return num
}
func rss() float64 {
	var total, resident int
	b, _ := os.ReadFile("/proc/self/statm")
	fmt.Sscanf(string(b), "%d %d", &total, &resident)
	return float64(resident * os.Getpagesize())
}

func main() {
	idle := flag.Int("idle", 0, "wait this long and print the RSS each second")
	early := flag.Bool("early", false, "end the wait when the RSS is within the bound")
	keep := flag.Int("keep", 100, "MB kept")
	drop := flag.Int("drop", 1000, "MB dropped")
	flag.Parse()
	kept = build(*keep * 1000000)
	dropped = build(*drop * 1000000)
	live := float64(len(kept) * perChain)
	bound := 1.15*live + 16*mib
	full := rss()
	fmt.Printf("built %d nodes, rss=%.1fMiB\n", count(kept)+count(dropped), full/mib)
	dropped = nil
	within, now, mode := -1, 0.0, "now"
	if *idle == 0 {
		t0 := time.Now()
		runtime.GC()
		debug.FreeOSMemory()
		fmt.Printf("collected and given back in %.1fms\n", float64(time.Since(t0).Microseconds())/1e3)
		if now = rss(); now <= bound {
			within = 0
		}
	} else {
		mode = "idle"
	}
	for s := 1; s <= *idle; s++ {
		time.Sleep(time.Second)
		now = rss()
		fmt.Printf("idle %ds rss=%.1fMiB\n", s, now/mib)
		if now > bound {
			within = -1
		} else if within < 0 {
			within = s
			if *early {
				break
			}
		}
	}
	if count(kept) != len(kept)*chain {
		fmt.Println("FAILED")
		os.Exit(1)
	}
	var ms runtime.MemStats
	runtime.ReadMemStats(&ms)
	fmt.Printf("RESULT release mode=%s live=%.1fMiB rss=%.1fMiB bound=%.1fMiB within=%ds full=%.1fMiB gcs=%d\n",
		mode, live/mib, now/mib, bound/mib, within, full/mib, ms.NumGC)
	runtime.KeepAlive(kept)
}
