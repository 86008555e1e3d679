// SPDX-License-Identifier: MIT

package uapi

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"unsafe"
)

const header = "../../kmod/uapi/mytun.h"

// names of the header and what stands here for them.
var constants = map[string]uint64{
	"MYTUN_ABI_VERSION":       ABIVersion,
	"MYTUN_RING_SIZE_MIN":     RingSizeMin,
	"MYTUN_RING_SIZE_MAX":     RingSizeMax,
	"MYTUN_RX_SIZE_DEFAULT":   RxSizeDefault,
	"MYTUN_TX_SIZE_DEFAULT":   TxSizeDefault,
	"MYTUN_ROOM_MAX":          RoomMax,
	"MYTUN_PACKET_MAX":        PacketMax,
	"MYTUN_QUEUES_MAX":        QueuesMax,
	"MYTUN_RINGS_F_EVENT_IDX": RingsFEventIdx,
	"MYTUN_RINGS_F_HASH":      RingsFHash,
	"MYTUN_RINGS_F_ALL":       RingsFAll,
	"MYTUN_END_F_FAULT":       EndFFault,
	"MYTUN_END_F_DETACHED":    EndFDetached,
	"MYTUN_REC_ALIGN":         RecAlign,
	"MYTUN_REC_BUSY":          RecBusy,
	"MYTUN_REC_F_SKIP":        RecFSkip,
	"MYTUN_IOC_MAGIC":         IocMagic,
	"MYTUN_IOC_RINGS":         IocRings,
	"MYTUN_IOC_DOORBELL":      IocDoorbell,
	"MYTUN_IOC_DETACH":        IocDetach,
	"MYTUN_IOC_INFO":          IocInfo,

	"MYTUN_MODE_F_BACKPRESSURE": ModeFBackpressure,
	"MYTUN_MODE_F_RECORDS":      ModeFRecords,
	"MYTUN_MODE_F_ALL":          ModeFAll,
	"MYTUN_INJECT_SOFTIRQ":      InjectSoftirq,
	"MYTUN_INJECT_THREAD":       InjectThread,
	"MYTUN_INJECT_DIRECT":       InjectDirect,
	"MYTUN_DOORBELL_TX":         DoorbellTx,
	"MYTUN_DOORBELL_RX":         DoorbellRx,
	"MYTUN_IOC_SET_MODE":        IocSetMode,
	"MYTUN_IOC_GET_MODE":        IocGetMode,
	"MYTUN_IOC_EVENTFDS":        IocEventfds,
}

var structs = map[string]reflect.Type{
	"mytun_rings": reflect.TypeFor[Rings](),
	"mytun_end":   reflect.TypeFor[End](),
	"mytun_rec":   reflect.TypeFor[Rec](),
	"mytun_info":  reflect.TypeFor[Info](),
	"mytun_mode":  reflect.TypeFor[Mode](),

	"mytun_eventfds": reflect.TypeFor[Eventfds](),
}

func readHeader(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(header)
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("not in the module's own tree:", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// goName is the Go name of a field of the header: rx_size is RxSize.
func goName(c string) string {
	if c == "abi_version" {
		return "ABIVersion"
	}
	var name string
	for part := range strings.SplitSeq(c, "_") {
		name += strings.ToUpper(part[:1]) + part[1:]
	}
	return name
}

// TestHeaderHasNothingElse reads the header's text: every constant and every
// field of it is here, in its order.
func TestHeaderHasNothingElse(t *testing.T) {
	text := readHeader(t)
	for _, m := range regexp.MustCompile(`(?m)^#define (MYTUN_\w+)[ \t]`).FindAllStringSubmatch(text, -1) {
		if _, ok := constants[m[1]]; !ok {
			t.Errorf("%s is not in this package, or not in its test", m[1])
		}
	}
	for _, m := range regexp.MustCompile(`(?ms)^struct (\w+) \{(.*?)^\};`).FindAllStringSubmatch(text, -1) {
		typ, ok := structs[m[1]]
		if !ok {
			t.Errorf("struct %s is not in this package, or not in its test", m[1])
			continue
		}
		fields := regexp.MustCompile(`(?m)^\t__([us])(\d+) (\w+)(?:\[(\d+)\])?;`).FindAllStringSubmatch(m[2], -1)
		if len(fields) != typ.NumField() {
			t.Errorf("struct %s has %d fields in C and %d in Go", m[1], len(fields), typ.NumField())
			continue
		}
		for i, f := range fields {
			kind := map[string]string{"u": "uint", "s": "int"}[f[1]]
			want := fmt.Sprintf("%s %s%s", goName(f[3]), kind, f[2])
			if f[4] != "" {
				want = fmt.Sprintf("%s [%s]%s%s", goName(f[3]), f[4], kind, f[2])
			}
			if got := typ.Field(i).Name + " " + typ.Field(i).Type.String(); got != want {
				t.Errorf("field %d of struct %s is %q, want %q", i, m[1], got, want)
			}
		}
	}
}

// TestCompilerAgrees has a C compiler say what it makes of the header.
func TestCompilerAgrees(t *testing.T) {
	readHeader(t)
	cc, err := exec.LookPath("cc")
	if err != nil {
		t.Skip("no C compiler:", err)
	}
	want := map[string]uint64{}
	var program strings.Builder
	program.WriteString("#include <stdio.h>\n#include <stddef.h>\n#include \"mytun.h\"\nint main(void)\n{\n")
	add := func(name, expr string, value uint64) {
		want[name] = value
		fmt.Fprintf(&program, "\tprintf(\"%s %%llu\\n\", (unsigned long long)(%s));\n", name, expr)
	}
	for name, value := range constants {
		add(name, name, value)
	}
	for name, typ := range structs {
		add("sizeof_"+name, "sizeof(struct "+name+")", uint64(typ.Size()))
		for i := range typ.NumField() {
			field := typ.Field(i)
			c := cName(field.Name)
			add(name+"."+c, fmt.Sprintf("offsetof(struct %s, %s)", name, c), uint64(field.Offset))
			add(name+"."+c+".size", fmt.Sprintf("sizeof(((struct %s *)0)->%s)", name, c), uint64(field.Type.Size()))
		}
	}
	events := []uint32{0, 1, 16, 4096, 1<<31 - 1, 1 << 31, 1<<32 - 16, 1<<32 - 1}
	for _, event := range events {
		for _, pos := range events {
			for _, old := range events {
				var yes uint64
				if NeedEvent(event, pos, old) {
					yes = 1
				}
				add(fmt.Sprintf("need_event(%d,%d,%d)", event, pos, old), fmt.Sprintf("mytun_need_event(%dU, %dU, %dU)", event, pos, old), yes)
			}
		}
	}
	program.WriteString("\treturn 0;\n}\n")

	dir := t.TempDir()
	source, binary := filepath.Join(dir, "uapi.c"), filepath.Join(dir, "uapi")
	if err := os.WriteFile(source, []byte(program.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(cc, "-Wall", "-Werror", "-I", filepath.Dir(header), "-o", binary, source).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := exec.Command(binary).Output()
	if err != nil {
		t.Fatal(err)
	}
	var n int
	for line := range strings.Lines(string(out)) {
		var name string
		var value uint64
		if _, err := fmt.Sscan(line, &name, &value); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if want[name] != value {
			t.Errorf("%s is %#x in C and %#x in Go", name, value, want[name])
		}
		n++
	}
	if n != len(want) {
		t.Errorf("compared %d of %d values", n, len(want))
	}
}

// cName undoes goName.
func cName(name string) string {
	name = strings.Replace(name, "ABIVersion", "AbiVersion", 1)
	return strings.ToLower(regexp.MustCompile(`([a-z])([A-Z])`).ReplaceAllString(name, "${1}_$2"))
}

func TestRecSize(t *testing.T) {
	if RecSize != unsafe.Sizeof(Rec{}) || RecSize%RecAlign != 0 {
		t.Errorf("RecSize is %d, a Rec has %d bytes", RecSize, unsafe.Sizeof(Rec{}))
	}
}

// NeedEvent says for each event in [old, pos) yes and for no other.
func TestNeedEvent(t *testing.T) {
	for _, base := range []uint32{0, 100, 1<<31 - 8, 1<<32 - 8} {
		for old := uint32(0); old < 16; old++ {
			for pos := old; pos < 16; pos++ {
				for event := uint32(0); event < 16; event++ {
					want := old <= event && event < pos
					if got := NeedEvent(base+event, base+pos, base+old); got != want {
						t.Errorf("from %#x: event %d, [%d, %d): %v", base, event, old, pos, got)
					}
				}
			}
		}
	}
}
