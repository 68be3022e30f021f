// mark throughput: time runtime.GC() over several live graphs (all live, no garbage)
package main

import (
	"fmt"
	"runtime"
	"sort"
	"time"
)

type N64 struct {
	a, b *N64
	p    [6]uint64
}
type T16 struct{ l, r *T16 }
type B1K struct {
	p [128]*N64
}

var rng uint64 = 88172645463325252

func rnd() uint64 { rng ^= rng << 13; rng ^= rng >> 7; rng ^= rng << 17; return rng }
func tree(d int) *T16 {
	if d == 0 {
		return &T16{}
	}
	return &T16{tree(d - 1), tree(d - 1)}
}

func meas(name string, objs int, bytes int) {
	runtime.GC()
	var v []float64
	for i := 0; i < 5; i++ {
		var m0, m1 runtime.MemStats
		runtime.ReadMemStats(&m0)
		t := time.Now()
		runtime.GC()
		v = append(v, float64(time.Since(t).Microseconds())/1e3)
		runtime.ReadMemStats(&m1)
		_ = m1
	}
	sort.Float64s(v)
	fmt.Printf("RESULT mark %-34s objs=%.1fM %4d MiB GC()=%.2fms (min %.2f max %.2f) %.2f ns/obj %.2f GB/s P=%d\n", name, float64(objs)/1e6, bytes>>20, v[2], v[0], v[4], v[2]*1e6/float64(objs), float64(bytes)/v[2]/1e6, runtime.GOMAXPROCS(0))
}

var k1 []*N64
var k2 *N64
var k3 *T16
var k4 []*B1K

func main() {
	n := 3 << 20
	// 1: chains of 8, in allocation order
	k1 = make([]*N64, n/8)
	for i := range k1 {
		for j := 0; j < 8; j++ {
			k1[i] = &N64{a: k1[i]}
		}
	}
	meas("64B chains of 8, alloc order", n, n*64)
	// 2: random: every node gets 2 random targets
	flat := make([]*N64, 0, n)
	for _, h := range k1 {
		for x := h; x != nil; x = x.a {
			flat = append(flat, x)
		}
	}
	for i := range flat {
		flat[i].b = flat[rnd()%uint64(n)]
	}
	for i := len(flat) - 1; i > 0; i-- {
		j := rnd() % uint64(i+1)
		flat[i], flat[j] = flat[j], flat[i]
	}
	for i := 0; i < len(flat); i++ { // ternary tree over a random permutation: a=child link, b=random
		if 2*i+1 < len(flat) {
			flat[i].a = flat[2*i+1]
		} else {
			flat[i].a = nil
		}
		if 2*i+2 < len(flat) {
			flat[i].b = flat[2*i+2]
		}
	}
	k2 = flat[0]
	k1, flat = nil, nil
	meas("64B tree in random order", n, n*64)
	// 3: random-order linked list (serial)
	m := 1 << 19
	f := make([]*N64, m)
	k2 = nil
	for i := range f {
		f[i] = &N64{}
	}
	for i := len(f) - 1; i > 0; i-- {
		j := rnd() % uint64(i+1)
		f[i], f[j] = f[j], f[i]
	}
	for i := 0; i+1 < len(f); i++ {
		f[i].a = f[i+1]
	}
	k2 = f[0]
	f = nil
	meas("64B linked list, random order", m, m*64)
	k2 = nil
	k3 = tree(21)
	meas("16B binary tree depth 21", 1<<22, 16<<22)
	k3 = nil
	k4 = make([]*B1K, 1<<17)
	var pool [1 << 16]*N64
	for i := range pool {
		pool[i] = &N64{}
	}
	for i := range k4 {
		k4[i] = &B1K{}
		for j := range k4[i].p {
			k4[i].p[j] = pool[rnd()&0xffff]
		}
	}
	meas("1KiB all-pointer objs (->64Ki targets)", 1<<17, 1<<27)
	runtime.KeepAlive(k4)
	var ms runtime.MemStats
	runtime.ReadMemStats(&ms)
	fmt.Printf("gcs=%d pause=%.1fms sys=%dMiB\n", ms.NumGC, float64(ms.PauseTotalNs)/1e6, ms.Sys>>20)
}
