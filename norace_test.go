// SPDX-License-Identifier: MIT

//go:build !race

package mytun

const raceEnabled = false
