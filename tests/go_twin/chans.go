// chans.go does what chans.c does and prints the same; see there. To build with Go 1.19 or newer:
//
//	GO111MODULE=off go build -o chans chans.go
package main

import (
	"bufio"
	"context"
	"fmt"
	"math"
	"os"
	"reflect"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

const (
	networkKind = iota
	exchangeKind
	wideKind
	aloneKind
	locksKind
	queueKind
	turnsKind
	onceKind
	phasesKind
	treeKind
	ringKind
	serviceKind
	contextsKind
	cancelKind
	sieveKind
	goexitKind
	numKinds
)

var kindNames = [numKinds]string{"network", "exchange", "wide", "alone", "locks", "queue",
	"turns", "once",
	"phases", "tree", "ring", "service", "contexts", "cancel", "sieve", "goexit"}
var numOfKind [numKinds]uint64

// ---------------------------------------------------------------- draws and notes

const factor uint64 = 0x9E3779B97F4A7C15
const fnvBegin uint64 = 14695981039346656037

func mix(h, v uint64) uint64 {
	h = (h ^ v) * 1099511628211
	return h ^ h>>29
}

type dice struct{ state uint64 }

func newDice(seed uint64) *dice { return &dice{mix(seed, factor) | 1} }
func (d *dice) next() uint64 { // xorshift64*
	d.state ^= d.state >> 12
	d.state ^= d.state << 25
	d.state ^= d.state >> 27
	return d.state * 0x2545F4914F6CDD1D
}
func (d *dice) draw(n int) int { return int((d.next() >> 33) % uint64(n)) }

var first *dice

func draw(n int) int { return first.draw(n) }
func drawSmall(bits int) int {
	b := draw(bits + 1)
	return draw(1 << b)
}
func drawCap() int {
	isBuffered := draw(2)
	c := draw(9)
	if isBuffered != 0 {
		return c
	}
	return 0
}

var outcome, ops uint64
var out = bufio.NewWriterSize(os.Stdout, 1<<16)
var isVerbose bool

func note(v uint64) {
	outcome = mix(outcome, v)
	if isVerbose {
		fmt.Fprintf(out, " %d", v)
	}
}
func noteBool(b bool) {
	if b {
		note(1)
	} else {
		note(0)
	}
}
func notePanic() {
	outcome = mix(outcome, 0x70616E6963)
	if isVerbose {
		fmt.Fprintf(out, " panic")
	}
}

// Runs f; if it panics, that is noted.
func try(f func()) {
	defer func() {
		if recover() != nil {
			notePanic()
		}
	}()
	f()
}

func stir(d *dice) {
	if d.draw(16) == 0 {
		runtime.Gosched()
	}
}

type item struct{ v uint64 }

func pack(v uint64) *item { return &item{v} }

// ---------------------------------------------------------------- network

type node struct {
	num, numIn int
	in         [4]chan *item
	out        [2]chan *item
	word       uint64
	result     []uint64
	group      *sync.WaitGroup
	d          *dice
}

func (n *node) source() {
	for i := 0; i < n.num; i++ {
		stir(n.d)
		n.out[0] <- pack(mix(n.word, uint64(i)))
	}
	close(n.out[0])
}
func (n *node) mapper() {
	for x := range n.in[0] {
		stir(n.d)
		n.out[0] <- pack(mix(x.v, n.word))
	}
	if n.group != nil {
		n.group.Done()
	} else {
		close(n.out[0])
	}
}
func (n *node) closer() {
	n.group.Wait()
	close(n.out[0])
}
func (n *node) filter() {
	for x := range n.in[0] {
		stir(n.d)
		if x.v%3 != n.word%3 {
			n.out[0] <- x
		}
	}
	close(n.out[0])
}
func (n *node) split() {
	for x := range n.in[0] {
		stir(n.d)
		n.out[x.v>>(n.word%64)&1] <- x
	}
	close(n.out[0])
	close(n.out[1])
}
func (n *node) tee() {
	for x := range n.in[0] {
		stir(n.d)
		select {
		case n.out[0] <- x:
			n.out[1] <- x
		case n.out[1] <- x:
			n.out[0] <- x
		}
	}
	close(n.out[0])
	close(n.out[1])
}
func (n *node) merge() {
	in := n.in
	for numOpen := n.numIn; numOpen > 0; {
		var x *item
		var ok bool
		i := 0
		select {
		case x, ok = <-in[0]:
		case x, ok = <-in[1]:
			i = 1
		case x, ok = <-in[2]:
			i = 2
		case x, ok = <-in[3]:
			i = 3
		}
		stir(n.d)
		if ok {
			n.out[0] <- x
		} else {
			in[i] = nil
			numOpen--
		}
	}
	close(n.out[0])
}
func (n *node) zip() {
	var hasX, hasY bool
	var x, y *item
	for {
		stir(n.d)
		x, hasX = <-n.in[0]
		y, hasY = <-n.in[1]
		if !hasX || !hasY {
			break
		}
		n.out[0] <- pack(mix(x.v, y.v))
	}
	for range n.in[0] {
	}
	for range n.in[1] {
	}
	close(n.out[0])
}
func (n *node) take() {
	i := 0
	for x := range n.in[0] {
		stir(n.d)
		if i < n.num {
			n.out[0] <- x
		}
		i++
	}
	close(n.out[0])
}
func (n *node) groups() {
	h := n.word
	i := 0
	for x := range n.in[0] {
		stir(n.d)
		h = mix(h, x.v)
		i++
		if i%3 == 0 {
			n.out[0] <- pack(h)
		}
	}
	n.out[0] <- pack(h)
	close(n.out[0])
}
func (n *node) relay() {
	var queue []*item
	in := n.in[0]
	for in != nil || len(queue) > 0 {
		from, to := in, n.out[0]
		var next *item
		stir(n.d)
		if len(queue) == 5 {
			from = nil
		}
		if len(queue) == 0 {
			to = nil
		} else {
			next = queue[0]
		}
		select {
		case x, ok := <-from:
			if ok {
				queue = append(queue, x)
			} else {
				in = nil
			}
		case to <- next:
			queue = queue[1:]
		}
	}
	close(n.out[0])
}
func (n *node) sink() {
	n.result[2] = fnvBegin
	for x := range n.in[0] {
		stir(n.d)
		n.result[0]++
		n.result[1] += mix(x.v, n.word) * factor
		n.result[2] = mix(n.result[2], x.v)
	}
}

type stream struct {
	c                   chan *item
	isOrdered, isLinear bool
	maxLen              int
}

const maxStreams = 12

func start(n node, run func(n *node), all *sync.WaitGroup) {
	n.d = newDice(first.next())
	all.Add(1)
	go func() {
		run(&n)
		all.Done()
	}()
}

func network() {
	var s [maxStreams]stream
	num := 1 + draw(4)
	steps := draw(9)
	var all sync.WaitGroup
	for i := 0; i < num; i++ {
		n := node{num: drawSmall(7)}
		n.word = first.next()
		n.out[0] = make(chan *item, drawCap())
		s[i] = stream{n.out[0], true, true, n.num}
		ops += uint64(n.num)
		start(n, (*node).source, &all)
	}
	for ; steps > 0; steps-- {
		at := draw(num)
		way := draw(13)
		count := 2 + draw(3)
		from, last := &s[at], &s[num-1]
		n := node{numIn: 1}
		n.in[0] = from.c
		n.word = first.next()
		n.out[0] = make(chan *item, drawCap())
		ops += uint64(from.maxLen)
		if way <= 1 {
			start(n, (*node).filter, &all)
		} else if way <= 3 && num < maxStreams {
			n.out[1] = make(chan *item, drawCap())
			from.isLinear = false
			s[num] = *from
			s[num].c = n.out[1]
			num++
			if way == 2 {
				start(n, (*node).split, &all)
			} else {
				start(n, (*node).tee, &all)
			}
		} else if way <= 6 && num > 1 {
			if count > num {
				count = num
			}
			from = &s[num-count]
			for i := 0; i < count; i++ {
				t := &s[num-count+i]
				n.in[i] = t.c
				from.isLinear = from.isLinear && t.isLinear
				if i > 0 {
					from.maxLen += t.maxLen
				}
			}
			n.numIn = count
			from.isOrdered = false
			num -= count - 1
			start(n, (*node).merge, &all)
		} else if way == 7 {
			n.group = &sync.WaitGroup{}
			n.group.Add(count)
			for i := 0; i < count; i++ {
				start(n, (*node).mapper, &all)
			}
			start(n, (*node).closer, &all)
			from.isOrdered = false
		} else if way <= 9 && at < num-1 && from.isOrdered && from.isLinear &&
			last.isOrdered && last.isLinear {
			n.in[1] = last.c
			num--
			start(n, (*node).zip, &all)
		} else if way == 10 && from.isOrdered {
			n.num = draw(100)
			start(n, (*node).take, &all)
		} else if way == 11 && from.isOrdered {
			start(n, (*node).groups, &all)
			from.maxLen++
		} else if way == 12 {
			start(n, (*node).relay, &all)
		} else {
			start(n, (*node).mapper, &all)
		}
		from.c = n.out[0]
	}
	result := make([]uint64, 3*maxStreams)
	for i := 0; i < num; i++ {
		n := node{numIn: 1, result: result[3*i : 3*i+3]}
		n.in[0] = s[i].c
		start(n, (*node).sink, &all)
	}
	all.Wait()
	for i := 0; i < num; i++ {
		note(result[3*i])
		note(result[3*i+1])
		if s[i].isOrdered {
			note(result[3*i+2])
		}
	}
}

// ---------------------------------------------------------------- exchange

func exchange() {
	num := 1 + draw(4)
	to := make(chan *item, drawCap())
	var in [4]chan *item
	var all sync.WaitGroup
	var h [4]uint64
	var count uint64
	all.Add(num + 1)
	for i := 0; i < num; i++ {
		in[i] = make(chan *item, drawCap())
		n := drawSmall(8)
		d := newDice(first.next())
		ops += 2 * uint64(n)
		go func(c chan *item, number uint64) {
			for i := 0; i < n; i++ {
				x := pack(number<<32 | uint64(i))
				stir(d)
				if d.draw(6) > 1 {
					c <- x
					continue
				}
				for sent := false; !sent; {
					select {
					case c <- x:
						sent = true
					default:
						runtime.Gosched()
					}
				}
			}
			close(c)
			all.Done()
		}(in[i], uint64(i))
	}
	hub := newDice(first.next())
	go func() {
		var queue []*item
		for numOpen := num; numOpen > 0 || len(queue) > 0; {
			c := to
			var next, x *item
			var ok bool
			if len(queue) > 0 {
				next = queue[0]
			} else {
				c = nil
			}
			stir(hub)
			i := 0
			select {
			case x, ok = <-in[0]:
			case x, ok = <-in[1]:
				i = 1
			case x, ok = <-in[2]:
				i = 2
			case x, ok = <-in[3]:
				i = 3
			case c <- next:
				i = 4
			}
			if i == 4 {
				queue = queue[1:]
			} else if ok {
				queue = append(queue, x)
			} else {
				in[i] = nil
				numOpen--
			}
		}
		close(to)
		all.Done()
	}()
	for d := newDice(first.next()); ; count++ {
		var x *item
		var ok bool
		if d.draw(6) > 1 {
			x, ok = <-to
		} else {
			for got := false; !got; {
				select {
				case x, ok = <-to:
					got = true
				default:
					runtime.Gosched()
				}
			}
		}
		if !ok {
			break
		}
		h[x.v>>32] = mix(h[x.v>>32], x.v)
	}
	all.Wait()
	note(count)
	for _, v := range h {
		note(v)
	}
}

// ---------------------------------------------------------------- wide

const maxWide = 64

func wide() {
	num := 1 + draw(maxWide)
	numLive := 0
	left := make([]int, num)
	x := make([]*item, num)
	c := make([]chan *item, num)
	cases := make([]reflect.SelectCase, num)
	result := make([]uint64, num)
	var all sync.WaitGroup
	all.Add(num)
	for i := 0; i < num; i++ {
		n := draw(12)
		takes := draw(2) != 0
		c[i] = make(chan *item, drawCap())
		d := newDice(first.next())
		x[i] = pack(uint64(i))
		left[i] = -1
		if takes {
			left[i] = n
		}
		ops += 2 * uint64(n)
		cases[i].Dir = reflect.SelectRecv
		if takes {
			cases[i].Dir = reflect.SelectSend
			cases[i].Send = reflect.ValueOf(x[i])
		}
		if left[i] == 0 {
			cases[i].Send = reflect.Value{}
		} else {
			cases[i].Chan = reflect.ValueOf(c[i])
			numLive++
		}
		go func(i int, c chan *item) {
			defer all.Done()
			for k := 0; k < n; k++ {
				stir(d)
				if takes {
					result[i] = mix(result[i], (<-c).v)
				} else {
					c <- pack(uint64(k))
				}
			}
			if !takes {
				close(c)
			}
		}(i, c[i])
	}
	for numLive > 0 {
		i, v, ok := reflect.Select(cases)
		if left[i] > 0 {
			x[i] = pack(x[i].v + 1)
			cases[i].Send = reflect.ValueOf(x[i])
			left[i]--
		} else if ok {
			result[i] = mix(result[i], v.Interface().(*item).v)
		} else {
			left[i] = 0
		}
		if left[i] == 0 {
			cases[i].Chan = reflect.Value{}
			cases[i].Send = reflect.Value{}
			numLive--
		}
	}
	all.Wait()
	for _, h := range result {
		note(h)
	}
}

// ---------------------------------------------------------------- alone

type known struct {
	c        chan uint64
	len, cap int
	isClosed bool
}

func (k *known) canSend() bool { return k.c != nil && !k.isClosed && k.len < k.cap }
func (k *known) canRecv() bool { return k.c != nil && (k.len > 0 || k.isClosed) }
func (k *known) noteRecv(v uint64, ok bool) {
	if ok {
		k.len--
	}
	note(v)
	noteBool(ok)
}

func aloneSelect(k *[4]known) {
	var to, from [4]chan uint64
	var value [4]uint64
	numReady := 0
	for i := range k {
		way := draw(3)
		value[i] = first.next()
		isReady := k[i].canRecv()
		if way == 0 {
			isReady = k[i].canSend()
		}
		if way == 2 || (way == 0 && k[i].isClosed) || (isReady && numReady > 0) {
			continue
		}
		if way == 0 {
			to[i] = k[i].c
		} else {
			from[i] = k[i].c
		}
		if isReady {
			numReady++
		}
	}
	waits := draw(2)
	at := -1
	var v uint64
	var ok, isSend bool
	if waits != 0 && numReady > 0 {
		select {
		case to[0] <- value[0]:
			at, isSend = 0, true
		case to[1] <- value[1]:
			at, isSend = 1, true
		case to[2] <- value[2]:
			at, isSend = 2, true
		case to[3] <- value[3]:
			at, isSend = 3, true
		case v, ok = <-from[0]:
			at = 0
		case v, ok = <-from[1]:
			at = 1
		case v, ok = <-from[2]:
			at = 2
		case v, ok = <-from[3]:
			at = 3
		}
	} else {
		select {
		case to[0] <- value[0]:
			at, isSend = 0, true
		case to[1] <- value[1]:
			at, isSend = 1, true
		case to[2] <- value[2]:
			at, isSend = 2, true
		case to[3] <- value[3]:
			at, isSend = 3, true
		case v, ok = <-from[0]:
			at = 0
		case v, ok = <-from[1]:
			at = 1
		case v, ok = <-from[2]:
			at = 2
		case v, ok = <-from[3]:
			at = 3
		default:
		}
	}
	note(uint64(at + 1))
	if at < 0 {
		return
	}
	if isSend {
		k[at].len++
	} else {
		k[at].noteRecv(v, ok)
	}
}

type aloneLocks struct {
	m        sync.Mutex
	rw       sync.RWMutex
	isLocked bool
	readers  int
}

func (l *aloneLocks) step() {
	ok := false
	switch draw(5) {
	case 0:
		ok = l.m.TryLock()
		l.isLocked = l.isLocked || ok
	case 1:
		if l.isLocked {
			l.m.Unlock()
		}
		l.isLocked = false
	case 2:
		ok = l.rw.TryLock()
		if ok {
			l.readers = -1
		}
	case 3:
		ok = l.rw.TryRLock()
		if ok {
			l.readers++
		}
	case 4:
		if l.readers < 0 {
			l.rw.Unlock()
			l.readers = 0
		} else if l.readers > 0 {
			l.rw.RUnlock()
			l.readers--
		}
	}
	noteBool(ok)
}

func alone() {
	var k [4]known
	var locks aloneLocks
	num := 20 + draw(200)
	ops += uint64(num)
	for ; num > 0; num-- {
		c := &k[draw(4)]
		way := draw(12)
		v := first.next()
		switch way {
		case 0:
			if draw(3) == 0 {
				*c = known{}
			}
			if draw(3) == 0 {
				n := draw(5)
				*c = known{make(chan uint64, n), 0, n, false}
			}
		case 1, 2:
			try(func() {
				select {
				case c.c <- v:
					c.len++
					note(1)
				default:
					note(0)
				}
			})
		case 3, 4:
			select {
			case v, ok := <-c.c:
				note(1)
				c.noteRecv(v, ok)
			default:
				note(0)
			}
		case 5:
			if c.isClosed || c.canSend() {
				try(func() {
					c.c <- v
					c.len++
				})
			}
		case 6:
			if c.canRecv() {
				v, ok := <-c.c
				c.noteRecv(v, ok)
			}
		case 7:
			if draw(3) == 0 {
				try(func() {
					close(c.c)
					c.isClosed = true
				})
			}
		case 8:
			if c.isClosed {
				for v := range c.c {
					c.noteRecv(v, true)
				}
			}
		case 9:
			locks.step()
		default:
			aloneSelect(&k)
		}
		note(uint64(len(c.c)))
		note(uint64(cap(c.c)))
	}
}

// ---------------------------------------------------------------- locks

const (
	maxParts = 8
	numCells = 4
)

func locks() {
	var lock [numCells]sync.Mutex
	var rw [numCells]sync.RWMutex
	var cell, a, b [numCells]uint64
	var all sync.WaitGroup
	var inside int32
	var numWrong uint64
	parts := 1 + draw(maxParts)
	num := drawSmall(7)
	maxInside := 1 + draw(3)
	permits := make(chan bool, maxInside)
	ops += uint64(parts * num)
	all.Add(parts)
	for i := 0; i < parts; i++ {
		d := newDice(first.next())
		s := newDice(first.next())
		go func() {
			for i := 0; i < num; i++ {
				way := d.draw(6)
				at := d.draw(numCells)
				v := d.next()
				stir(s)
				switch way {
				case 0:
					lock[at].Lock()
					cell[at] += v
					lock[at].Unlock()
				case 1:
					for !lock[at].TryLock() {
						runtime.Gosched()
					}
					cell[at] += v
					stir(s)
					lock[at].Unlock()
				case 2:
					rw[at].Lock()
					a[at] += v
					stir(s)
					b[at] += v
					rw[at].Unlock()
				case 3, 4:
					rw[at].RLock()
					v = a[at]
					stir(s)
					if v != b[at] {
						atomic.AddUint64(&numWrong, 1)
					}
					rw[at].RUnlock()
				default:
					permits <- true
					if atomic.AddInt32(&inside, 1) > int32(maxInside) {
						atomic.AddUint64(&numWrong, 1)
					}
					stir(s)
					atomic.AddInt32(&inside, -1)
					<-permits
				}
			}
			all.Done()
		}()
	}
	all.Wait()
	for i := range cell {
		note(cell[i])
		note(a[i])
		note(b[i])
	}
	note(numWrong)
}

// ---------------------------------------------------------------- queue

func queue() {
	var lock sync.Mutex
	notFull := sync.NewCond(&lock)
	notEmpty := sync.NewCond(&lock)
	var all, producing sync.WaitGroup
	var ring []*item
	isOver := false
	var count, sum, numWrong uint64
	producers := 1 + draw(4)
	consumers := 1 + draw(4)
	max := 1 + draw(8)
	num := drawSmall(7)
	wakesAll := draw(2) == 0
	wake := func(c *sync.Cond) {
		if wakesAll {
			c.Broadcast()
		} else {
			c.Signal()
		}
	}
	produce := func(number uint64, d *dice) {
		for i := 0; i < num; i++ {
			x := pack(mix(number, uint64(i)))
			stir(d)
			lock.Lock()
			for len(ring) == max {
				notFull.Wait()
			}
			ring = append(ring, x)
			if len(ring) > max {
				numWrong++
			}
			wake(notEmpty)
			lock.Unlock()
		}
		producing.Done()
		all.Done()
	}
	consume := func(d *dice) {
		for {
			stir(d)
			lock.Lock()
			for len(ring) == 0 && !isOver {
				notEmpty.Wait()
			}
			if len(ring) == 0 {
				break
			}
			sum += ring[len(ring)-1].v
			ring = ring[:len(ring)-1]
			count++
			wake(notFull)
			lock.Unlock()
		}
		lock.Unlock()
		all.Done()
	}
	ops += uint64(2 * producers * num)
	producing.Add(producers)
	all.Add(producers + consumers)
	for i := 0; i < producers+consumers; i++ {
		d := newDice(first.next())
		if i < producers {
			go produce(uint64(i), d)
		} else {
			go consume(d)
		}
	}
	producing.Wait()
	lock.Lock()
	isOver = true
	notEmpty.Broadcast()
	lock.Unlock()
	all.Wait()
	note(count)
	note(sum)
	note(numWrong)
}

// ---------------------------------------------------------------- turns

func turns() {
	var lock sync.Mutex
	changed := sync.NewCond(&lock)
	var all sync.WaitGroup
	var log uint64
	turn := 0
	parts := 1 + draw(maxParts)
	num := drawSmall(5)
	ops += uint64(parts * num)
	all.Add(parts)
	for i := 0; i < parts; i++ {
		d := newDice(first.next())
		go func(number int) {
			for i := 0; i < num; i++ {
				stir(d)
				lock.Lock()
				for turn%parts != number {
					changed.Wait()
				}
				turn++
				log = mix(log, uint64(number*1000+i))
				changed.Broadcast()
				lock.Unlock()
			}
			all.Done()
		}(i)
	}
	all.Wait()
	note(log)
	note(uint64(turn))
}

// ---------------------------------------------------------------- once

func once() {
	var do [numCells]sync.Once
	var count, value [numCells]uint64
	var sum uint64
	var all sync.WaitGroup
	parts := 1 + draw(maxParts)
	num := 1 + drawSmall(4)
	ops += uint64(parts * num)
	all.Add(parts)
	for i := 0; i < parts; i++ {
		d := newDice(first.next())
		s := newDice(first.next())
		go func() {
			for i := 0; i < num; i++ {
				at := d.draw(numCells)
				stir(s)
				do[at].Do(func() {
					stir(s)
					count[at]++
					value[at] = 1000 + uint64(at)
				})
				atomic.AddUint64(&sum, value[at])
			}
			all.Done()
		}()
	}
	all.Wait()
	for _, n := range count {
		note(n)
	}
	note(sum)
}

// ---------------------------------------------------------------- phases

func phases() {
	num := 1 + draw(20)
	rounds := drawSmall(5)
	old := make([]uint64, num)
	var all sync.WaitGroup
	for i := range old {
		old[i] = first.next()
	}
	ops += uint64(num * rounds)
	for ; rounds > 0; rounds-- {
		next := make([]uint64, num)
		all.Add(num)
		for i := range old {
			d := newDice(first.next())
			go func(old []uint64, at int) {
				stir(d)
				next[at] = mix(old[at], mix(old[(at+1)%num], old[(at+num-1)%num]))
				all.Done()
			}(old, i)
		}
		all.Wait()
		old = next
	}
	for _, v := range old {
		note(v)
	}
}

// ---------------------------------------------------------------- tree

func treeRun(up chan uint64, seed uint64, depth int) {
	d := newDice(seed)
	sum := seed
	if depth > 0 {
		from := make(chan uint64, d.draw(2))
		children := 1 + d.draw(3)
		for i := 0; i < children; i++ {
			go treeRun(from, d.next(), depth-1)
		}
		for i := 0; i < children; i++ {
			sum += <-from * factor
		}
	}
	stir(d)
	up <- sum
}

func tree() {
	up := make(chan uint64)
	seed := first.next()
	depth := draw(7)
	ops += 1 << depth
	go treeRun(up, seed, depth)
	note(<-up)
}

// ---------------------------------------------------------------- ring

func ring() {
	num := 1 + draw(40)
	rounds := drawSmall(5)
	tokens := 1 + draw(3)
	begin := make(chan *item, 4)
	c := begin
	var all sync.WaitGroup
	ops += uint64(num * rounds * tokens)
	all.Add(num)
	for i := 0; i < num; i++ {
		next := make(chan *item, drawCap())
		d := newDice(first.next())
		go func(in, out chan *item, number uint64) {
			for x := range in {
				stir(d)
				out <- pack(mix(x.v, number))
			}
			close(out)
			all.Done()
		}(c, next, uint64(i))
		c = next
	}
	for i := 0; i < tokens; i++ {
		begin <- pack(uint64(i))
	}
	for i := 0; i < rounds*tokens; i++ {
		begin <- <-c
	}
	close(begin)
	for x := range c {
		note(x.v)
	}
	all.Wait()
}

// ---------------------------------------------------------------- service

type request struct {
	text   string
	answer chan string
}

func service() {
	c := make(chan request, drawCap())
	servers := 1 + draw(4)
	clients := 1 + draw(maxParts)
	result := make([]uint64, clients)
	var asked, over sync.WaitGroup
	asked.Add(clients)
	over.Add(servers)
	for i := 0; i < servers+clients; i++ {
		num := drawSmall(6)
		d := newDice(first.next())
		if i >= clients {
			go func() {
				for r := range c {
					stir(d)
					r.answer <- r.text + "/" + r.text
				}
				over.Done()
			}()
			continue
		}
		ops += 4 * uint64(num)
		go func(number int) {
			answer := make(chan string, d.draw(2))
			h := fnvBegin
			for i := 0; i < num; i++ {
				stir(d)
				c <- request{fmt.Sprintf("%d:%d", number, i*i), answer}
				s := <-answer
				for k := 0; k < len(s); k++ {
					h = mix(h, uint64(s[k]))
				}
			}
			result[number] = h
			asked.Done()
		}(i)
	}
	asked.Wait()
	close(c)
	over.Wait()
	for _, h := range result {
		note(h)
	}
}

// ---------------------------------------------------------------- contexts

const (
	maxCtxs = 16
	numKeys = 3
)

type ctxKey int

func noteCtx(ctx context.Context) {
	switch ctx.Err() {
	case nil:
		note(0)
	case context.Canceled:
		note(1)
	case context.DeadlineExceeded:
		note(2)
	default:
		note(3)
	}
	_, hasDeadline := ctx.Deadline()
	noteBool(ctx.Done() != nil)
	noteBool(hasDeadline)
}

func contexts() {
	var ctx [maxCtxs]context.Context
	var cancel [maxCtxs]context.CancelFunc
	ctx[0] = context.Background()
	num := 1
	steps := draw(40)
	var waiting, numEnded uint64
	var all sync.WaitGroup
	ops += 4 * uint64(steps)
	for ; steps > 0; steps-- {
		at := draw(num)
		way := draw(8)
		key := draw(numKeys)
		v := first.next()
		if way <= 4 && num < maxCtxs {
			switch way {
			case 0, 1:
				ctx[num], cancel[num] = context.WithCancel(ctx[at])
			case 2:
				ctx[num] = context.WithValue(ctx[at], ctxKey(key), pack(v))
			case 3:
				ctx[num], cancel[num] = context.WithTimeout(ctx[at], time.Hour)
			case 4:
				var d time.Duration
				if key == 0 {
					d = -time.Second
				}
				ctx[num], cancel[num] = context.WithTimeout(ctx[at], d)
				<-ctx[num].Done()
			}
			if way != 2 && draw(2) == 0 {
				waiting++
				all.Add(1)
				go func(ctx context.Context) {
					<-ctx.Done()
					if ctx.Err() != nil {
						atomic.AddUint64(&numEnded, 1)
					}
					all.Done()
				}(ctx[num])
			}
			num++
		} else if way <= 6 {
			if cancel[at] != nil {
				cancel[at]()
			}
		} else if x, ok := ctx[at].Value(ctxKey(key)).(*item); ok {
			note(x.v)
		} else {
			note(0)
		}
		for i := 0; i < num; i++ {
			noteCtx(ctx[i])
		}
	}
	for i := 0; i < num; i++ {
		if cancel[i] != nil {
			cancel[i]()
		}
	}
	all.Wait()
	for i := 0; i < num; i++ {
		noteCtx(ctx[i])
	}
	noteBool(numEnded == waiting)
}

// ---------------------------------------------------------------- cancel

func cancel() {
	parts := 1 + draw(maxParts)
	ctx, end := context.WithCancel(context.Background())
	defer end()
	var all sync.WaitGroup
	var from [maxParts]chan *item
	all.Add(parts)
	for i := 0; i < parts; i++ {
		from[i] = make(chan *item, drawCap())
		tag := first.next()
		own := ctx
		if draw(2) != 0 {
			var endOwn context.CancelFunc
			own, endOwn = context.WithCancel(ctx)
			defer endOwn()
		}
		d := newDice(first.next())
		go func(c chan *item) {
			defer all.Done()
			for i := uint64(0); ; i++ {
				stir(d)
				select {
				case c <- pack(tag + i):
				case <-own.Done():
					return
				}
			}
		}(from[i])
	}
	for num := drawSmall(8); num > 0; num-- {
		x := <-from[draw(parts)]
		note(x.v)
		ops++
	}
	end()
	all.Wait()
}

// ---------------------------------------------------------------- sieve

func sieve() {
	ctx, end := context.WithCancel(context.Background())
	defer end()
	var all sync.WaitGroup
	run := func(in, out chan uint64, prime uint64) {
		defer all.Done()
		var v uint64 = 1
		for {
			if in == nil {
				v++
			} else {
				select {
				case v = <-in:
				case <-ctx.Done():
					return
				}
				if v%prime == 0 {
					continue
				}
			}
			select {
			case out <- v:
			case <-ctx.Done():
				return
			}
		}
	}
	num := draw(12)
	c := make(chan uint64, drawCap())
	all.Add(1)
	go run(nil, c, 0)
	ops += uint64(num * num)
	for ; num > 0; num-- {
		prime := <-c
		note(prime)
		next := make(chan uint64, drawCap())
		all.Add(1)
		go run(c, next, prime)
		c = next
	}
	end()
	all.Wait()
}

// ---------------------------------------------------------------- goexit

func goexitDeep(c chan uint64, v uint64, depth int) {
	if depth > 0 {
		goexitDeep(c, v, depth-1)
	} else {
		c <- v
		runtime.Goexit()
	}
	c <- 0
}

func goexit() {
	c := make(chan uint64, drawCap())
	parts := draw(30)
	var sum uint64
	ops += uint64(parts)
	for i := 0; i < parts; i++ {
		v := first.next()
		depth := draw(20)
		go func() {
			goexitDeep(c, v, depth)
			c <- 0
		}()
	}
	for i := 0; i < parts; i++ {
		sum += <-c
	}
	note(sum)
}

// ---------------------------------------------------------------- all

var programs = [numKinds]func(){network, exchange, wide, alone, locks, queue, turns, once, phases, tree, ring,
	service, contexts, cancel, sieve, goexit}

func number(text string) uint64 {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		fmt.Fprintln(os.Stderr, "chans:", err)
		os.Exit(2)
	}
	return n
}

func main() {
	args := os.Args[1:]
	if len(args) != 2 && !(len(args) == 4 && args[2] == "-v") {
		fmt.Fprintln(os.Stderr, "usage: chans SEED OPS [-v FROM]")
		os.Exit(2)
	}
	first = newDice(number(args[0]))
	maxOps := number(args[1])
	var from uint64 = math.MaxUint64
	if len(args) == 4 {
		from = number(args[3])
	}
	for i := uint64(1); ops < maxOps; i++ {
		k := draw(numKinds + 3)
		procs := 1 + draw(4)
		if k >= numKinds {
			k = networkKind
		}
		numOfKind[k]++
		outcome = fnvBegin
		ops += 10
		isVerbose = i >= from
		runtime.GOMAXPROCS(procs)
		if isVerbose {
			fmt.Fprintf(out, "%d %s", i, kindNames[k])
		}
		programs[k]()
		if isVerbose {
			fmt.Fprintf(out, " | %016x\n", outcome)
		} else {
			fmt.Fprintf(out, "%d %s %016x\n", i, kindNames[k], outcome)
		}
	}
	out.Flush()
	for k, n := range numOfKind {
		fmt.Fprintln(os.Stderr, "kind", kindNames[k], n)
	}
}
