// ns per allocation by size, noscan/scan, 1 and 2 goroutines; ring keeps a small live window (-live)
package main

import (
	"flag"
	"fmt"
	"runtime"
	"sort"
	"strings"
	"sync"
	"time"
)

type S16 struct {
	p *byte
	a [1]uint64
}
type S64 struct {
	p *byte
	a [7]uint64
}
type S256 struct {
	p *byte
	a [31]uint64
}
type S1024 struct {
	p *byte
	a [127]uint64
}
type S32768 struct {
	p *byte
	a [4095]uint64
}
type N16 struct{ a [2]uint64 }
type N64 struct{ a [8]uint64 }
type N256 struct{ a [32]uint64 }
type N1024 struct{ a [128]uint64 }
type N32768 struct{ a [4096]uint64 }

//go:noinline
func loop[T any](n int, sink *[16]*T) {
	for i := 0; i < n; i++ {
		sink[i&15] = new(T)
	}
}

var reps = 3
var only = ""

// -only is a list of pieces between commas; one must occur in the label.
func wanted(label string) bool {
	if only == "" {
		return true
	}
	for _, piece := range strings.Split(only, ",") {
		if piece != "" && strings.Contains(label, piece) {
			return true
		}
	}
	return false
}

func run[T any](name string, bytes int, thr int) {
	if !wanted(fmt.Sprintf("%s size=%d", name, bytes)) {
		return
	}
	per := 40_000_000
	if bytes > 64 {
		per = 12_000_000
	}
	if bytes >= 1024 {
		per = 4_000_000
	}
	if bytes >= 32768 {
		per = 150_000
	}
	var rs []float64
	for r := 0; r < reps; r++ {
		runtime.GC()
		var wg sync.WaitGroup
		t0 := time.Now()
		for g := 0; g < thr; g++ {
			wg.Add(1)
			go func() {
				defer wg.Done()
				var s [16]*T
				loop(per/thr, &s)
				runtime.KeepAlive(&s)
			}()
		}
		wg.Wait()
		rs = append(rs, float64(time.Since(t0).Nanoseconds())*float64(thr)/float64(per))
	}
	sort.Float64s(rs)
	fmt.Printf("RESULT alloc %s size=%d threads=%d ns/alloc/thread=%.1f (min %.1f max %.1f)\n", name, bytes, thr, rs[reps/2], rs[0], rs[reps-1])
}

func main() {
	thr := flag.Int("t", 1, "goroutines")
	flag.IntVar(&reps, "reps", 3, "repetitions of each row; the median is printed")
	flag.StringVar(&only, "only", "", "rows whose label has one of these, \"size=16,size=64\"")
	flag.Parse()
	t := *thr
	run[N16]("noscan", 16, t)
	run[N64]("noscan", 64, t)
	run[N256]("noscan", 256, t)
	run[N1024]("noscan", 1024, t)
	run[N32768]("noscan", 32768, t)
	run[S16]("scan", 16, t)
	run[S64]("scan", 64, t)
	run[S256]("scan", 256, t)
	run[S1024]("scan", 1024, t)
	run[S32768]("scan", 32768, t)
	var ms runtime.MemStats
	runtime.ReadMemStats(&ms)
	fmt.Printf("gcs=%d pause=%.1fms sys=%dMiB\n", ms.NumGC, float64(ms.PauseTotalNs)/1e6, ms.Sys>>20)
}
