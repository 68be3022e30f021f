// values.go does what values.c does and prints the same; see there. To build with Go 1.19 or newer:
//
//	GO111MODULE=off go build -o values values.go
package main

import (
	"bufio"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"unicode/utf8"
)

const every = 1000

// ---------------------------------------------------------------- kinds of operations

const (
	sliceMake = iota
	sliceAppend
	sliceAppendArray
	sliceAppendSlice
	sliceSub
	sliceCopy
	sliceClear
	sliceGet
	sliceSet
	sliceShare
	sliceGrow
	stringMake
	stringCat
	stringSub
	stringCompare
	stringIndex
	stringAffix
	stringCut
	stringTrim
	stringFromInt
	stringToInt
	stringFromBytes
	stringToBytes
	stringFromRune
	stringFromRunes
	stringToRunes
	stringRange
	stringValid
	stringJoin
	stringBuild
	mapMake
	mapPut
	mapGet
	mapDelete
	mapAdd
	mapClear
	mapIterate
	mapIterateDelete
	mapIteratePut
	mapBulk
	mapReserve
	mapNil
	anyBox
	anyEqual
	anyType
	anyKey
	numKinds
)

var kindNames = [numKinds]string{
	"slice.make", "slice.append", "slice.append_array", "slice.append_slice", "slice.sub",
	"slice.copy", "slice.clear", "slice.get", "slice.set", "slice.share", "slice.grow",
	"string.make", "string.cat", "string.sub", "string.compare", "string.index", "string.affix",
	"string.cut", "string.trim", "string.from_int", "string.to_int", "string.from_bytes",
	"string.to_bytes", "string.from_rune", "string.from_runes", "string.to_runes", "string.range",
	"string.valid", "string.join", "string.build", "map.make", "map.put", "map.get", "map.delete",
	"map.add", "map.clear", "map.iterate", "map.iterate_delete", "map.iterate_put", "map.bulk",
	"map.reserve", "map.nil", "any.box", "any.equal", "any.type", "any.key",
}

var numOfKind [numKinds]uint64
var numOfSize [16]uint64
var numEmptied uint64

// ---------------------------------------------------------------- draws

var randState uint64

func draw64() uint64 { // xorshift64*
	randState ^= randState >> 12
	randState ^= randState << 25
	randState ^= randState >> 27
	return randState * 0x2545F4914F6CDD1D
}

func draw(n int) int { return int((draw64() >> 33) % uint64(n)) }

func drawSmall(bits int) int {
	b := draw(bits + 1)
	return draw(1 << b)
}

// ---------------------------------------------------------------- notes

var out = bufio.NewWriterSize(os.Stdout, 1<<16)
var results uint64 = 14695981039346656037
var isVerbose bool

func mix(h, v uint64) uint64 {
	h = (h ^ v) * 1099511628211
	return h ^ h>>29
}

func note(v int64) {
	results = mix(results, uint64(v))
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

func noteHash(v uint64) {
	results = mix(results, v)
	if isVerbose {
		fmt.Fprintf(out, " %016x", v)
	}
}

func notePanic() {
	results = mix(results, 0x70616E6963)
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

func hashString(s string) uint64 {
	var h uint64 = 14695981039346656037
	for i := 0; i < len(s); i++ {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return mix(h, uint64(len(s)))
}

func noteString(s string) {
	results = mix(results, hashString(s))
	if isVerbose {
		n := len(s)
		if n > 32 {
			n = 32
		}
		fmt.Fprintf(out, " %d:%x", len(s), s[:n])
	}
}

func showString(s string) {
	if isVerbose {
		n := len(s)
		if n > 80 {
			n = 80
		}
		fmt.Fprintf(out, " \"%x\"", s[:n])
	}
}

// ---------------------------------------------------------------- values to work with

const (
	numStrings = 8
	maxString  = 1200
	numAnys    = 8
)

var str [numStrings]string
var anys [numAnys]any

type text struct{ b []byte }

func (t *text) put(b uint32) { t.b = append(t.b, byte(b)) }

func drawCont() uint32 { return 0x80 | uint32(draw(64)) }

func (t *text) putRaw(r uint32) int {
	if r < 0x80 {
		t.put(r)
		return 1
	}
	if r < 0x800 {
		t.put(0xC0 | r>>6)
		t.put(0x80 | r&0x3F)
		return 2
	}
	if r < 0x10000 {
		t.put(0xE0 | r>>12)
		t.put(0x80 | r>>6&0x3F)
		t.put(0x80 | r&0x3F)
		return 3
	}
	t.put(0xF0 | r>>18)
	t.put(0x80 | r>>12&0x3F)
	t.put(0x80 | r>>6&0x3F)
	t.put(0x80 | r&0x3F)
	return 4
}

func drawValidRune() uint32 {
	switch draw(5) {
	case 0:
		return uint32(draw(0x80))
	case 1:
		return 0x80 + uint32(draw(0x780))
	case 2:
		return 0x800 + uint32(draw(0xD000))
	case 3:
		return 0xE000 + uint32(draw(0x2000))
	}
	return 0x10000 + uint32(draw(0x100000))
}

var runeEdges = []int32{0, 0x7F, 0x80, 0x7FF, 0x800, 0xD7FF, 0xD800, 0xDBFF, 0xDC00, 0xDFFF, 0xE000,
	0xFFFC, 0xFFFD, 0xFFFE, 0xFFFF, 0x10000, 0x10FFFF, 0x110000, 0x1FFFFF, math.MinInt32,
	math.MaxInt32, -1, -0x80}

func drawRune() int32 {
	switch draw(8) {
	case 0:
		return runeEdges[draw(len(runeEdges))]
	case 1:
		return 0xD800 + int32(draw(0x800))
	case 2:
		return int32(uint32(draw64()))
	}
	return int32(drawValidRune())
}

func (t *text) putInvalid() {
	switch draw(8) {
	case 0:
		r := 0x80 + uint32(draw(0x10FF80))
		n := t.putRaw(r)
		cut := 1 + draw(n-1)
		t.b = t.b[:len(t.b)-cut]
	case 1:
		b := 0xC0 | uint32(draw(2))
		t.put(b)
		t.put(drawCont())
	case 2:
		t.put(0xE0)
		b := 0x80 | uint32(draw(32))
		t.put(b)
		t.put(drawCont())
	case 3:
		t.put(0xF0)
		b := 0x80 | uint32(draw(16))
		t.put(b)
		t.put(drawCont())
		t.put(drawCont())
	case 4:
		r := 0xD800 + uint32(draw(0x800))
		t.putRaw(r)
	case 5:
		r := 0x110000 + uint32(draw(0xF0000))
		t.putRaw(r)
	case 6:
		b := 0xF5 + uint32(draw(11))
		t.put(b)
		n := draw(4)
		for i := 0; i < n; i++ {
			t.put(drawCont())
		}
	case 7:
		n := 1 + draw(3)
		for i := 0; i < n; i++ {
			t.put(drawCont())
		}
	}
}

var intEdges = []int64{0, 1, -1, 9, 10, 99, 100, -10, math.MaxInt64, math.MinInt64,
	math.MaxInt64 - 1, math.MinInt64 + 1}

func drawInt() int64 {
	switch draw(4) {
	case 0:
		return intEdges[draw(len(intEdges))]
	case 1:
		return int64(draw(2000)) - 1000
	}
	shift := draw(64)
	return int64(draw64()) >> shift
}

func (t *text) putNumber() {
	v := drawInt()
	form := draw(8)
	switch form {
	case 0:
		t.put('+')
	case 1:
		t.put('-')
	case 2:
		t.put(' ')
	}
	t.b = append(t.b, fmt.Sprintf("%d", v)...)
	if form == 3 {
		digit := '0' + uint32(draw(10))
		t.put(digit)
	}
	if form == 4 {
		const other = " _.:/-+x"
		t.put(uint32(other[draw(len(other))]))
	}
}

func drawText(bits int) *text {
	const spaces = " \t\n\v\f\rab \x85"
	t := &text{}
	form := draw(8)
	num := drawSmall(bits)
	switch form {
	case 0:
	case 1:
		for i := 0; i < num; i++ {
			t.put('a' + uint32(draw(2)))
		}
	case 2:
		for i := 0; i < num; i++ {
			t.put(uint32(spaces[draw(len(spaces))]))
		}
	case 3:
		t.putNumber()
	case 4:
		for i := 0; i < num; i++ {
			t.put(uint32(draw(256)))
		}
	case 5:
		for i := 0; i < num; i++ {
			t.putRaw(drawValidRune())
		}
	default:
		for i := 0; i < num; i++ {
			switch draw(4) {
			case 0:
				t.putInvalid()
			case 1:
				t.put('a' + uint32(draw(26)))
			default:
				t.putRaw(drawValidRune())
			}
		}
	}
	return t
}

func drawFreshString(bits int) string { return string(drawText(bits).b) }

func drawString() string {
	if draw(3) == 0 {
		return drawFreshString(4)
	}
	return str[draw(numStrings)]
}

func drawShortString() string {
	s := drawString()
	if len(s) > 60 {
		s = s[len(s)-60:]
	}
	return s
}

func setString(to int, s string) {
	if len(s) > maxString {
		s = s[len(s)/3 : len(s)/3+maxString/2]
	}
	str[to] = s
	noteString(s)
}

// ---------------------------------------------------------------- slices

func nextCap(c, needed int) int {
	if needed > 2*c {
		return needed
	}
	if c < 256 {
		return 2 * c
	}
	for c < needed {
		c += (c + 3*256) / 4
	}
	return c
}

type slicesOf[T any] struct {
	reg    [][]T
	maxLen int
	draw   func() T
	hash   func(T) uint64
}

func (l *slicesOf[T]) hashOf(s []T) uint64 {
	h := mix(uint64(len(s)), uint64(cap(s)))
	for _, v := range s {
		h = mix(h, l.hash(v))
	}
	return h
}

func (l *slicesOf[T]) hashAll(h uint64) uint64 {
	for _, s := range l.reg {
		h = mix(h, l.hashOf(s))
	}
	return h
}

func (l *slicesOf[T]) show(r int) {
	note(int64(len(l.reg[r])))
	note(int64(cap(l.reg[r])))
	noteHash(l.hashOf(l.reg[r]))
}

func (l *slicesOf[T]) bound(s []T, num int) []T {
	if len(s)+num > l.maxLen {
		return s[:len(s)/4]
	}
	return s
}

func cutCap[T any](s []T, c, needed int) []T {
	if needed > c {
		return s[:len(s):nextCap(c, needed)]
	}
	return s
}

func (l *slicesOf[T]) sub(r, to int) {
	s := l.reg[r]
	hi := draw(cap(s) + 1)
	isNear := draw(4)
	lim := hi
	if isNear != 0 && hi > 4 {
		lim = 4
	}
	lo := draw(lim + 1)
	max := hi + draw(cap(s)-hi+1)
	wild := draw(8)
	hasMax := draw(3)
	if wild == 0 {
		lo = draw(cap(s)+4) - 2
		hi = draw(cap(s)+4) - 2
		max = draw(cap(s)+4) - 2
	}
	try(func() {
		if hasMax != 0 {
			l.reg[to] = s[lo:hi]
		} else {
			l.reg[to] = s[lo:hi:max]
		}
	})
}

func (l *slicesOf[T]) op(k int) {
	r := draw(len(l.reg))
	to := draw(len(l.reg))
	other := draw(len(l.reg))
	s := l.reg[r]
	c := cap(s)
	switch k {
	case sliceMake:
		num := drawSmall(9)
		n := draw(num + 1)
		way := draw(16)
		if num > l.maxLen {
			num = l.maxLen
			n = num
		}
		if way == 0 {
			n = num + 1
		}
		if way == 1 {
			n = -1
		}
		try(func() { l.reg[to] = make([]T, n, num) })
	case sliceAppend:
		v := l.draw()
		s = l.bound(s, 1)
		n := len(s)
		s = append(s, v)
		l.reg[to] = cutCap(s, c, n+1)
	case sliceAppendArray:
		var array [8]T
		num := draw(9)
		for i := 0; i < num; i++ {
			array[i] = l.draw()
		}
		s = l.bound(s, num)
		n := len(s)
		s = append(s, array[:num]...)
		l.reg[to] = cutCap(s, c, n+num)
	case sliceAppendSlice:
		t := l.reg[other]
		i := draw(len(t) + 1)
		t = t[i/4:]
		if len(t) > l.maxLen/2 {
			t = t[:l.maxLen/2]
		}
		s = l.bound(s, len(t))
		n := len(s)
		s = append(s, t...)
		l.reg[to] = cutCap(s, c, n+len(t))
	case sliceSub:
		l.sub(r, to)
	case sliceCopy:
		t := l.reg[other]
		if draw(2) == 0 {
			t = l.reg[r]
		}
		s = s[draw(len(s)+1):]
		t = t[draw(len(t)+1):]
		note(int64(copy(s, t)))
		to = r
	case sliceClear:
		i := draw(len(s) + 1)
		num := draw(len(s) - i + 1)
		s = s[i : i+num]
		var zero T
		for i := range s {
			s[i] = zero
		}
		to = r
	case sliceGet:
		i := draw(len(s)+2) - 1
		try(func() { noteHash(l.hash(s[i])) })
	case sliceSet:
		i := draw(len(s)+2) - 1
		v := l.draw()
		try(func() { s[i] = v })
		to = r
	case sliceShare:
		l.reg[to] = s
	default: // sliceGrow
		num := drawSmall(7)
		s = l.bound(s, num)
		n := len(s)
		if n+num > c {
			s = append(s, make([]T, num)...)[:n]
		}
		l.reg[to] = cutCap(s, c, n+num)
	}
	l.show(to)
	l.show(other)
}

var ints = &slicesOf[int64]{make([][]int64, 8), 1000,
	func() int64 { return int64(draw64()) }, func(v int64) uint64 { return uint64(v) }}
var bytes = &slicesOf[byte]{make([][]byte, 8), 1000, drawByte,
	func(v byte) uint64 { return uint64(v) }}
var strs = &slicesOf[string]{make([][]string, 4), 60, drawShortString, hashString}
var runes = &slicesOf[rune]{make([][]rune, 4), 500, drawRune,
	func(v rune) uint64 { return uint64(uint32(v)) }}

func drawByte() byte { return byte(draw(256)) }

func sliceOp(k int) {
	kind := draw(10)
	if kind < 3 {
		ints.op(k)
	} else if kind < 6 {
		bytes.op(k)
	} else if kind < 8 {
		strs.op(k)
	} else {
		runes.op(k)
	}
}

// ---------------------------------------------------------------- strings

func drawAlike() (string, string) {
	a := drawString()
	b := drawString()
	way := draw(3)
	if way == 0 {
		n := len(a)
		if n > 1000 {
			n = 1000
		}
		t := []byte(a[:n])
		if n > 0 {
			at := draw(n)
			bit := draw(16)
			if bit < 8 {
				t[at] ^= 1 << bit
			}
		}
		b = string(t)
	} else if way == 1 {
		hi := draw(len(a) + 1)
		lo := draw(hi + 1)
		b = a[lo:hi]
	}
	showString(a)
	showString(b)
	return a, b
}

func stringOp(k int) {
	to := draw(numStrings)
	switch k {
	case stringMake:
		bits := 5
		if draw(16) == 0 {
			bits = 7
		}
		setString(to, drawFreshString(bits))
		noteHash(hashString(str[to])) // as a text of C
	case stringCat:
		var part [6]string
		num := draw(7)
		for i := 0; i < num; i++ {
			part[i] = drawString()
		}
		setString(to, part[0]+part[1]+part[2]+part[3]+part[4]+part[5])
	case stringSub:
		s := drawString()
		i := draw(len(s)+2) - 1
		hi := draw(len(s) + 1)
		lo := draw(hi + 1)
		wild := draw(8)
		try(func() { note(int64(s[i])) })
		if wild == 0 {
			lo = draw(len(s)+4) - 2
			hi = draw(len(s)+4) - 2
		}
		try(func() { setString(to, s[lo:hi]) })
	case stringCompare:
		a, b := drawAlike()
		note(int64(strings.Compare(a, b)))
		note(int64(strings.Compare(b, a)))
		noteBool(a == b)
		noteBool(a == b) // the hashes
	case stringIndex:
		s, part := drawAlike()
		num := draw(6)
		if num < 4 && num < len(part) {
			part = part[:num]
		}
		b := drawByte()
		note(int64(strings.Index(s, part)))
		note(int64(strings.LastIndex(s, part)))
		note(int64(strings.IndexByte(s, b)))
		if len(part) > 0 {
			note(int64(strings.IndexByte(s, part[0])))
		} else {
			note(-1)
		}
	case stringAffix:
		s, part := drawAlike()
		num := draw(len(part) + 1)
		way := draw(3)
		if way == 0 {
			part = part[:num]
		}
		if way == 1 {
			part = part[num:]
		}
		noteBool(strings.HasPrefix(s, part))
		noteBool(strings.HasSuffix(s, part))
	case stringCut:
		s, sep := drawAlike()
		num := draw(5)
		other := draw(numStrings)
		if num < len(sep) {
			sep = sep[:num]
		}
		before, after, ok := strings.Cut(s, sep)
		noteBool(ok)
		setString(to, before)
		setString(other, after)
	case stringTrim:
		s := drawString()
		hasSpaces := draw(4)
		t := drawText(3)
		if hasSpaces != 0 {
			s = string(t.b) + s + string(t.b)
		}
		setString(to, strings.Trim(s, " \t\n\v\f\r"))
	case stringFromInt:
		v := drawInt()
		base := 2 + draw(35)
		if draw(3) == 0 {
			base = 10
		}
		setString(to, strconv.FormatInt(v, base))
	case stringToInt:
		s := drawString()
		if draw(4) != 0 {
			t := &text{}
			t.putNumber()
			s = string(t.b)
		}
		showString(s)
		v, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			v = 0
		}
		noteBool(err == nil)
		note(v)
	case stringFromBytes:
		setString(to, string(bytes.reg[draw(len(bytes.reg))]))
	case stringToBytes:
		s := drawString()
		to := draw(len(bytes.reg))
		bytes.reg[to] = []byte(s)[:len(s):len(s)]
		bytes.show(to)
	case stringFromRune:
		r := drawRune()
		var b [utf8.UTFMax]byte
		n := utf8.EncodeRune(b[:], r)
		noteHash(hashString(string(b[:n])))
		s := string(r)
		noteString(s)
		setString(to, str[to]+s)
	case stringFromRunes:
		setString(to, string(runes.reg[draw(len(runes.reg))]))
	case stringToRunes:
		s := drawString()
		to := draw(len(runes.reg))
		r := []rune(s)
		runes.reg[to] = r[:len(r):len(r)]
		runes.show(to)
	case stringRange:
		s := drawString()
		var h uint64
		showString(s)
		for i, r := range s {
			_, n := utf8.DecodeRuneInString(s[i:])
			h = mix(h, uint64(i))
			h = mix(h, uint64(uint32(r)))
			h = mix(h, uint64(n))
		}
		noteHash(h)
		s = s[draw(len(s)+1):]
		r, n := utf8.DecodeRuneInString(s)
		if len(s) == 0 {
			r = 0
		}
		note(int64(n))
		note(int64(r))
	case stringValid:
		s := drawString()
		showString(s)
		noteBool(utf8.ValidString(s))
		note(int64(utf8.RuneCountInString(s)))
	case stringJoin:
		list := strs.reg[draw(len(strs.reg))]
		sep := drawShortString()
		if len(list) > 8 && draw(2) == 0 {
			list = list[:8]
		}
		setString(to, strings.Join(list, sep))
	default:
		stringBuildOp(to)
	}
}

func stringBuildOp(to int) {
	var b strings.Builder
	var first string
	num := drawSmall(6)
	half := draw(num + 1)
	for i := 0; i < num; i++ {
		if i == half {
			first = b.String()
		}
		switch draw(10) {
		case 0, 1, 2:
			b.WriteByte(drawByte())
		case 3, 4, 5:
			b.WriteRune(drawRune())
		case 6:
			b.Grow(draw(100))
		case 7:
			v := drawInt()
			fmt.Fprintf(&b, "%d,%016x", v, uint64(v))
		default:
			b.WriteString(drawShortString())
		}
	}
	s := b.String()
	noteString(s)
	noteString(first)
	setString(to, s)
}

// ---------------------------------------------------------------- values of any type

var doubleEdges = []float64{0, math.Copysign(0, -1), 1, -1.5, 1e300,
	math.Inf(1), math.Inf(-1), math.NaN()}

func drawDouble() float64 {
	if draw(2) == 0 {
		return doubleEdges[draw(len(doubleEdges))]
	}
	return float64(draw(64)-32) * 0.5
}

func bitsOf(d float64) uint64 {
	if d == 0 {
		return 0
	}
	if d != d {
		return 0x7FF8000000000001
	}
	return math.Float64bits(d)
}

func hashAny(a any) uint64 {
	switch v := a.(type) {
	case int64:
		return mix(1, uint64(v))
	case uint8:
		return mix(2, uint64(v))
	case string:
		return mix(3, hashString(v))
	case float64:
		return mix(4, bitsOf(v))
	}
	return 5
}

func drawAny() any {
	switch draw(9) {
	case 0:
		return nil
	case 1, 2:
		return drawInt()
	case 3, 4:
		return uint8(draw(256))
	case 5, 6:
		return drawShortString()
	}
	return drawDouble()
}

func boxAgain(a any) any {
	switch v := a.(type) {
	case int64:
		return v
	case uint8:
		return v
	case string:
		return string([]byte(v))
	case float64:
		return v
	}
	return a
}

func anyEqualOp() {
	a := anys[draw(numAnys)]
	b := anys[draw(numAnys)]
	c := boxAgain(a)
	d := a
	noteBool(a == b)
	noteBool(b == a)
	noteBool(a == d)
	noteBool(a == c)
}

func anyTypeOp() {
	a := anys[draw(numAnys)]
	i, ok := a.(int64)
	if !ok {
		i = -2
	}
	note(i)
	b, ok := a.(uint8)
	if ok {
		note(int64(b))
	} else {
		note(-2)
	}
	s, ok := a.(string)
	if ok {
		note(int64(len(s)))
	} else {
		note(-2)
	}
	_, ok = a.(float64)
	noteBool(ok)
	try(func() {
		switch draw(4) {
		case 0:
			note(a.(int64))
		case 1:
			note(int64(a.(uint8)))
		case 2:
			noteString(a.(string))
		default:
			noteHash(bitsOf(a.(float64)))
		}
	})
}

// ---------------------------------------------------------------- keys

const (
	universe        = 8192
	otherKey        = universe + 1
	nanKey          = universe + 3
	factor          = 0x9E3779B97F4A7C15
	factorInverse   = 0xF1DE83E19937733D
	factor32        = 0x9E3779B1
	factor32Inverse = 0x0E8B2F51
)

func u64Key(i int) uint64 {
	n := uint64(i)
	switch i & 3 {
	case 0:
		return n
	case 1:
		return n << 40
	case 2:
		return n * factor
	}
	return ^n
}

func u64Index(k uint64) int {
	if k < universe {
		return int(k)
	}
	if ^k < universe {
		return int(^k)
	}
	if k<<24 == 0 {
		return int(k >> 40)
	}
	return int(k * factorInverse)
}

func u32Key(i int) uint32 {
	if i&1 != 0 {
		return uint32(i) * factor32
	}
	return uint32(i)
}

func u32Index(k uint32) int {
	if k&1 != 0 {
		return int(k * factor32Inverse)
	}
	return int(k)
}

func strKey(i int) string {
	if i == 0 {
		return ""
	}
	h := uint64(i) * factor
	b := make([]byte, 0, 96)
	b = append(strconv.AppendInt(b, int64(i), 10), ':')
	for rest := int(h>>40) % 70; rest > 0; rest-- {
		b = append(b, byte(h>>(rest&31)))
	}
	return string(b)
}

func strIndex(s string) int {
	n := 0
	i := 0
	for ; i < len(s) && i < 5 && s[i] >= '0' && s[i] <= '9'; i++ {
		n = n*10 + int(s[i]) - '0'
	}
	if len(s) > 0 && (i == 0 || n >= universe) {
		return otherKey
	}
	return n
}

func anyKeyOf(i int) any {
	switch i & 3 {
	case 0:
		return strKey(i)
	case 1:
		if i < 1024 {
			return uint8(i >> 2)
		}
		return int64(i)
	case 2:
		return int64(uint64(i) * factor)
	}
	if i == 3 {
		return 0.0
	}
	if i == 7 {
		return math.Inf(1)
	}
	return float64(i) * 0.5
}

func anyIndex(k any) int {
	switch v := k.(type) {
	case string:
		return strIndex(v)
	case uint8:
		return int(v)<<2 | 1
	case int64:
		n := uint64(v)
		if n >= universe || n&3 != 1 {
			n *= factorInverse
		}
		if n < universe {
			return int(n)
		}
	case float64:
		d := v * 2
		if d == 0 {
			return 3
		}
		if math.IsInf(d, 1) {
			return 7
		}
		if d != d {
			return nanKey
		}
		if d > 0 && d < universe && d == float64(int(d)) {
			return int(d)
		}
	}
	return otherKey
}

func drawKey() int { return drawSmall(13) }

func drawSize() int {
	size := 0
	way := draw(20)
	switch {
	case way == 0:
		size = 3000 + draw(5000)
	case way == 1:
		size = 896 << draw(3)
	case way <= 3:
		size = draw(1000)
	case way <= 7:
		size = 8 << draw(8)
	case way <= 12:
		size = draw(64)
	case way <= 16:
		size = draw(300)
	}
	off := draw(3)
	if way != 0 && size > 0 {
		size += off - 1
	}
	return size
}

func noteSize(n int) {
	i := 0
	for n>>i != 0 {
		i++
	}
	if i > 15 {
		i = 15
	}
	numOfSize[i]++
	note(int64(n))
}

func entryHash(key uint64, value int64) uint64 {
	return mix(mix(14695981039346656037, key), uint64(value)) * factor
}

// ---------------------------------------------------------------- maps

// What is done with an entry that was come to.
type action int

const (
	goOn action = iota
	deleteIt
	addOne
)

// The maps of one type: registers from 0 to num() - 1, and one more that is always nil. Keys are
// named by their numbers. For any it is written twice: in Go 1.19 that is no comparable type.
type maps interface {
	num() int
	isAlone() bool // no register has another one's map
	make(r int)
	makeFor(r, num int)
	drop(r int)
	share(r, from int)
	isNil(r int) bool
	hashOf(i int) uint64
	get(r, i int) (int64, bool)
	set(r, i int, v int64)
	add(r, i int, v int64)
	del(r, i int) bool
	len(r int) int
	clear(r int)
	each(r int, f func(hash uint64, i int, v int64) action)
}

type mapsOf[K comparable, V int64 | uint32] struct {
	reg   []map[K]V
	key   func(int) K
	index func(K) int
	hash  func(K) uint64
}

func (l *mapsOf[K, V]) num() int            { return len(l.reg) - 1 }
func (l *mapsOf[K, V]) isAlone() bool       { return false }
func (l *mapsOf[K, V]) make(r int)          { l.reg[r] = map[K]V{} }
func (l *mapsOf[K, V]) makeFor(r, num int)  { l.reg[r] = make(map[K]V, num) }
func (l *mapsOf[K, V]) drop(r int)          { l.reg[r] = nil }
func (l *mapsOf[K, V]) share(r, from int)   { l.reg[r] = l.reg[from] }
func (l *mapsOf[K, V]) isNil(r int) bool    { return l.reg[r] == nil }
func (l *mapsOf[K, V]) hashOf(i int) uint64 { return l.hash(l.key(i)) }
func (l *mapsOf[K, V]) get(r, i int) (int64, bool) {
	v, ok := l.reg[r][l.key(i)]
	return int64(v), ok
}
func (l *mapsOf[K, V]) set(r, i int, v int64) { l.reg[r][l.key(i)] = V(v) }
func (l *mapsOf[K, V]) add(r, i int, v int64) { l.reg[r][l.key(i)] += V(v) }
func (l *mapsOf[K, V]) del(r, i int) bool {
	k := l.key(i)
	_, ok := l.reg[r][k]
	delete(l.reg[r], k)
	return ok
}
func (l *mapsOf[K, V]) len(r int) int { return len(l.reg[r]) }
func (l *mapsOf[K, V]) clear(r int) {
	// Not the loop that Go 1.19 makes one call of: who goes through the map may see entries after it.
	keys := make([]K, 0, len(l.reg[r]))
	for k := range l.reg[r] {
		keys = append(keys, k)
	}
	for _, k := range keys {
		delete(l.reg[r], k)
	}
}
func (l *mapsOf[K, V]) each(r int, f func(uint64, int, int64) action) {
	m := l.reg[r]
	for k, v := range m {
		switch f(l.hash(k), l.index(k), int64(v)) {
		case deleteIt:
			delete(m, k)
		case addOne:
			m[k] = v + 1
		}
	}
}

type anyMaps struct{ reg []map[any]int64 }

func (l *anyMaps) num() int            { return len(l.reg) - 1 }
func (l *anyMaps) isAlone() bool       { return true }
func (l *anyMaps) make(r int)          { l.reg[r] = map[any]int64{} }
func (l *anyMaps) makeFor(r, num int)  { l.reg[r] = make(map[any]int64, num) }
func (l *anyMaps) drop(r int)          { l.reg[r] = nil }
func (l *anyMaps) share(r, from int)   { l.reg[r] = l.reg[from] }
func (l *anyMaps) isNil(r int) bool    { return l.reg[r] == nil }
func (l *anyMaps) hashOf(i int) uint64 { return hashAny(anyKeyOf(i)) }
func (l *anyMaps) get(r, i int) (int64, bool) {
	v, ok := l.reg[r][anyKeyOf(i)]
	return v, ok
}
func (l *anyMaps) set(r, i int, v int64) { l.reg[r][anyKeyOf(i)] = v }
func (l *anyMaps) add(r, i int, v int64) { l.reg[r][anyKeyOf(i)] += v }
func (l *anyMaps) del(r, i int) bool     { return l.delKey(r, anyKeyOf(i)) }
func (l *anyMaps) delKey(r int, k any) bool {
	_, ok := l.reg[r][k]
	delete(l.reg[r], k)
	return ok
}
func (l *anyMaps) len(r int) int { return len(l.reg[r]) }
func (l *anyMaps) clear(r int) {
	if l.reg[r] != nil {
		l.reg[r] = map[any]int64{} // a NaN cannot be deleted
	}
}
func (l *anyMaps) each(r int, f func(uint64, int, int64) action) {
	m := l.reg[r]
	for k, v := range m {
		switch f(hashAny(k), anyIndex(k), v) {
		case deleteIt:
			delete(m, k)
		case addOne:
			m[k] = v + 1
		}
	}
}

func u64Hash(k uint64) uint64 { return k }
func u32Hash(k uint32) uint64 { return uint64(k) }

var u64Maps = &mapsOf[uint64, int64]{make([]map[uint64]int64, 4+1), u64Key, u64Index, u64Hash}
var u32Maps = &mapsOf[uint32, uint32]{make([]map[uint32]uint32, 2+1), u32Key, u32Index, u32Hash}
var strMaps = &mapsOf[string, int64]{make([]map[string]int64, 4+1), strKey, strIndex, hashString}
var theAnyMaps = &anyMaps{make([]map[any]int64, 2+1)}

func digest(l maps, r int) uint64 {
	sum := uint64(l.len(r))
	l.each(r, func(hash uint64, i int, v int64) action {
		sum += entryHash(hash, v)
		return goOn
	})
	return sum
}

func hashMaps(h uint64, l maps) uint64 {
	for i := 0; i < l.num(); i++ {
		h = mix(h, digest(l, i))
	}
	return h
}

func noteValue(v int64, ok bool) {
	if !ok {
		v = -7
	}
	note(v)
}

func iterateDelete(l maps, r int) {
	way := draw(4)
	var sum uint64
	if l.isAlone() && way == 3 {
		way = 2
	}
	l.each(r, func(hash uint64, i int, v int64) action {
		if i == nanKey {
			if way != 3 {
				sum += entryHash(hash, v)
			}
			return goOn
		}
		if way == 3 {
			l.clear(r)
			sum++
		} else if way == 2 {
			sum += entryHash(hash, v)
			if hash%3 == 0 {
				return deleteIt
			}
		} else if i%2 == 0 {
			sum += entryHash(hash, v)
			l.del(r, i+1)
		}
		return goOn
	})
	noteHash(sum)
}

func change(l maps, r, num int) {
	for i := 0; i < num; i++ {
		if i%2 == 1 {
			l.set(r, i, int64(i))
		} else if _, ok := l.get(r, i); ok {
			l.add(r, i, 5)
		}
	}
}

func iteratePut(l maps, r int) {
	way := draw(4)
	num := draw(2000)
	isChanged := false
	var sum uint64
	if l.isNil(r) {
		notePanic()
		return
	}
	l.each(r, func(hash uint64, i int, v int64) action {
		then := goOn
		if i == nanKey {
			sum += entryHash(hash, v)
			return goOn
		}
		if way == 0 {
			return addOne
		}
		if i%2 != 0 {
			return goOn
		}
		if way == 1 {
			l.add(r, i+1, 1)
			then = addOne
		} else if way == 2 {
			l.del(r, i+1)
			l.set(r, i+1, int64(i))
		} else if !isChanged {
			isChanged = true
			change(l, r, num)
			if hash == l.hashOf(i) {
				v, _ = l.get(r, i)
			}
		}
		sum += entryHash(hash, v)
		return then
	})
	noteHash(sum)
}

func bulk(l maps, r int) {
	size := drawSize()
	first := drawKey()
	n := l.len(r)
	tries := universe
	if n >= size {
		tries = 4*n + 64
	}
	i := 0
	v := draw(1000)
	if l.isNil(r) {
		notePanic()
		return
	}
	note(int64(size))
	if n < size {
		for ; i < tries && l.len(r) < size; i++ {
			l.set(r, (first+i)%universe, int64(v+i))
		}
	} else {
		for ; i < tries && l.len(r) > size; i++ {
			l.del(r, (first+i)%universe)
		}
	}
	note(int64(i))
	if n >= 1792 && l.len(r) == 0 {
		numEmptied++
	}
}

func nilMap(l maps, i int) {
	none := l.num()
	noteValue(l.get(none, i))
	_, ok := l.get(none, i)
	noteBool(ok)
	noteBool(l.del(none, i))
	noteSize(l.len(none))
	noteHash(digest(l, none))
	l.clear(none)
	try(func() { l.set(none, i, 1) })
}

func mapsOp(l maps, k int) {
	r := draw(l.num())
	i := drawKey()
	switch k {
	case mapMake:
		way := draw(8)
		if way < 3 && !l.isAlone() {
			l.share(r, draw(l.num()))
		} else if way == 3 {
			l.drop(r)
		} else if way == 4 {
			l.makeFor(r, i)
		} else {
			l.make(r)
		}
	case mapPut:
		v := drawInt()
		try(func() { l.set(r, i, v) })
	case mapGet:
		noteValue(l.get(r, i))
		_, ok := l.get(r, i+1)
		noteBool(ok)
	case mapDelete:
		noteBool(l.del(r, i))
	case mapAdd:
		v := draw(100)
		try(func() {
			l.add(r, i, int64(v))
			noteValue(l.get(r, i))
		})
	case mapClear:
		if draw(4) == 0 {
			l.clear(r)
		}
	case mapIterate:
		noteHash(digest(l, r))
	case mapIterateDelete:
		iterateDelete(l, r)
	case mapIteratePut:
		iteratePut(l, r)
	case mapBulk:
		bulk(l, r)
	case mapReserve: // nothing that Go has
	default:
		nilMap(l, i)
	}
	noteSize(l.len(r))
}

func anyAsKey() {
	k := anys[draw(numAnys)]
	r := draw(theAnyMaps.num())
	way := draw(4)
	v := drawInt()
	m := theAnyMaps.reg[r]
	switch way {
	case 0:
		noteBool(theAnyMaps.delKey(r, k))
	case 1:
		v, ok := m[k]
		noteValue(v, ok)
	case 2:
		try(func() { m[k] = v })
	default:
		try(func() {
			n := m[k] + 1 // of a NaN it is a new entry
			m[k] = n
			note(n)
		})
	}
	noteSize(len(m))
}

func mapOp(k int) {
	kind := draw(12)
	if kind < 4 {
		mapsOp(u64Maps, k)
	} else if kind < 6 {
		mapsOp(u32Maps, k)
	} else if kind < 10 {
		mapsOp(strMaps, k)
	} else {
		mapsOp(theAnyMaps, k)
	}
}

// ---------------------------------------------------------------- all

func hashAll() uint64 {
	var h uint64 = 14695981039346656037
	h = ints.hashAll(h)
	h = bytes.hashAll(h)
	h = strs.hashAll(h)
	h = runes.hashAll(h)
	for _, s := range str {
		h = mix(h, hashString(s))
	}
	for _, a := range anys {
		h = mix(h, hashAny(a))
	}
	h = hashMaps(h, u64Maps)
	h = hashMaps(h, u32Maps)
	h = hashMaps(h, strMaps)
	return hashMaps(h, theAnyMaps)
}

func step(k int) {
	numOfKind[k]++
	switch {
	case k <= sliceGrow:
		sliceOp(k)
	case k <= stringBuild:
		stringOp(k)
	case k <= mapNil:
		mapOp(k)
	case k == anyBox:
		to := draw(numAnys)
		anys[to] = drawAny()
		noteHash(hashAny(anys[to]))
	case k == anyEqual:
		anyEqualOp()
	case k == anyType:
		anyTypeOp()
	default:
		anyAsKey()
	}
}

func number(text string) uint64 {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		fmt.Fprintln(os.Stderr, "values:", err)
		os.Exit(2)
	}
	return n
}

func main() {
	args := os.Args[1:]
	if len(args) != 2 && !(len(args) == 4 && args[2] == "-v") {
		fmt.Fprintln(os.Stderr, "usage: values SEED OPS [-v FROM]")
		os.Exit(2)
	}
	seed := number(args[0])
	ops := number(args[1])
	var from uint64 = math.MaxUint64
	if len(args) == 4 {
		from = number(args[3])
	}
	randState = mix(seed, factor) | 1
	for _, l := range []maps{u64Maps, u32Maps, strMaps, theAnyMaps} {
		for i := 0; i < l.num(); i++ {
			l.make(i)
		}
	}
	for i := uint64(1); i <= ops; i++ {
		k := draw(numKinds)
		isVerbose = i >= from
		if isVerbose {
			fmt.Fprintf(out, "%d %s", i, kindNames[k])
		}
		step(k)
		if isVerbose || i%every == 0 || i == ops {
			sep := ""
			if isVerbose {
				sep = " | "
			}
			fmt.Fprintf(out, "%s%d %016x %016x\n", sep, i, results, hashAll())
		}
	}
	out.Flush()
	for k, n := range numOfKind {
		fmt.Fprintln(os.Stderr, "kind", kindNames[k], n)
	}
	for i, n := range numOfSize {
		fmt.Fprintln(os.Stderr, "size", 1<<i>>1, n)
	}
	fmt.Fprintln(os.Stderr, "emptied", numEmptied)
}
