// SPDX-License-Identifier: MIT

//go:build cgo && linux

package csrc

// #include "libmytun.h"
import "C"

import (
	"unsafe"

	"github.com/mytun/mytun/internal/uapi"
)

// zero has one element, so that an index which is a constant other than 0 does not
// compile.
var zero [1]struct{}

// The structures of internal/uapi are handed to C as they are: these lines do not
// compile where the two sides differ in a size, an offset or an ioctl's number.
var (
	_ = zero[unsafe.Sizeof(uapi.Rings{})-unsafe.Sizeof(C.struct_mytun_rings{})]
	_ = zero[unsafe.Sizeof(uapi.Info{})-unsafe.Sizeof(C.struct_mytun_info{})]
	_ = zero[unsafe.Sizeof(uapi.Mode{})-unsafe.Sizeof(C.struct_mytun_mode{})]
	_ = zero[unsafe.Sizeof(uapi.End{})-unsafe.Sizeof(C.struct_mytun_end{})]
	_ = zero[unsafe.Sizeof(uapi.Rec{})-unsafe.Sizeof(C.struct_mytun_rec{})]

	_ = zero[unsafe.Offsetof(uapi.Rings{}.RxHeadroom)-unsafe.Offsetof(C.struct_mytun_rings{}.rx_headroom)]
	_ = zero[unsafe.Offsetof(uapi.Rings{}.RxProd)-unsafe.Offsetof(C.struct_mytun_rings{}.rx_prod)]
	_ = zero[unsafe.Offsetof(uapi.Rings{}.TxData)-unsafe.Offsetof(C.struct_mytun_rings{}.tx_data)]
	_ = zero[unsafe.Offsetof(uapi.Rings{}.MapSize)-unsafe.Offsetof(C.struct_mytun_rings{}.map_size)]
	_ = zero[unsafe.Offsetof(uapi.Info{}.Queue)-unsafe.Offsetof(C.struct_mytun_info{}.queue)]
	_ = zero[unsafe.Offsetof(uapi.Info{}.Injections)-unsafe.Offsetof(C.struct_mytun_info{}.injections)]
	_ = zero[unsafe.Offsetof(uapi.Mode{}.Inject)-unsafe.Offsetof(C.struct_mytun_mode{}.inject)]
	_ = zero[unsafe.Offsetof(uapi.End{}.Drops)-unsafe.Offsetof(C.struct_mytun_end{}.drops)]
	_ = zero[unsafe.Offsetof(uapi.Rec{}.Hash)-unsafe.Offsetof(C.struct_mytun_rec{}.hash)]
	_ = zero[unsafe.Offsetof(uapi.Rec{}.CsumOffset)-unsafe.Offsetof(C.struct_mytun_rec{}.csum_offset)]

	_ = zero[uapi.IocRings-C.MYTUN_IOC_RINGS]
	_ = zero[uapi.IocDoorbell-C.MYTUN_IOC_DOORBELL]
	_ = zero[uapi.IocDetach-C.MYTUN_IOC_DETACH]
	_ = zero[uapi.IocInfo-C.MYTUN_IOC_INFO]
	_ = zero[uapi.IocSetMode-C.MYTUN_IOC_SET_MODE]
	_ = zero[uapi.IocGetMode-C.MYTUN_IOC_GET_MODE]
)
