// SPDX-License-Identifier: MIT
/* The calls of the kernel, each with -errno for an answer. */
#ifndef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE
#endif

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "libmytun.h"

static int result(int ret)
{
	return ret < 0 ? -errno : ret;
}

int mytun_open(const char *path)
{
	return result(open(path ? path : MYTUN_DEVICE,
			   O_RDWR | O_NONBLOCK | O_CLOEXEC));
}

int mytun_close(int fd)
{
	return result(close(fd));
}

int mytun_attach(int fd, char name[MYTUN_NAME_SIZE], uint16_t flags)
{
	struct ifreq ifr;
	int err;

	if (!memchr(name, 0, MYTUN_NAME_SIZE))
		return -EINVAL;

	memset(&ifr, 0, sizeof(ifr));
	memcpy(ifr.ifr_name, name, strlen(name));
	/* The field is signed, and IFF_TUN_EXCL is its sign bit. */
	memcpy(&ifr.ifr_flags, &flags, sizeof(flags));
	err = result(ioctl(fd, TUNSETIFF, &ifr));
	if (!err)
		memcpy(name, ifr.ifr_name, MYTUN_NAME_SIZE);
	return err;
}

int mytun_detach(int fd)
{
	return result(ioctl(fd, MYTUN_IOC_DETACH, 0));
}

int mytun_get_info(int fd, struct mytun_info *info)
{
	return result(ioctl(fd, MYTUN_IOC_INFO, info));
}

int mytun_set_rings(int fd, struct mytun_rings *rings)
{
	return result(ioctl(fd, MYTUN_IOC_RINGS, rings));
}

int mytun_map(int fd, size_t size, void **map)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		return -errno;
	*map = p;
	return 0;
}

int mytun_unmap(void *map, size_t size)
{
	return result(munmap(map, size));
}

int mytun_doorbell(int fd)
{
	return result(ioctl(fd, MYTUN_IOC_DOORBELL, MYTUN_DOORBELL_TX));
}

int mytun_rx_doorbell(int fd)
{
	return result(ioctl(fd, MYTUN_IOC_DOORBELL, MYTUN_DOORBELL_RX));
}

int mytun_set_mode(int fd, const struct mytun_mode *mode)
{
	return result(ioctl(fd, MYTUN_IOC_SET_MODE, mode));
}

int mytun_get_mode(int fd, struct mytun_mode *mode)
{
	return result(ioctl(fd, MYTUN_IOC_GET_MODE, mode));
}

int mytun_set_eventfds(int fd, int rx, int tx)
{
	struct mytun_eventfds eventfds;

	memset(&eventfds, 0, sizeof(eventfds));
	eventfds.rx = rx;
	eventfds.tx = tx;
	return result(ioctl(fd, MYTUN_IOC_EVENTFDS, &eventfds));
}

int mytun_set_offload(int fd, unsigned int offload)
{
	/* An unsigned long for the kernel: the bits are no address. */
	return result(ioctl(fd, TUNSETOFFLOAD, (unsigned long)offload));
}
