// SPDX-License-Identifier: GPL-2.0
/* The file: open, close, poll, mmap, SIGIO; read, write and ioctl are elsewhere. */
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/nsproxy.h>
#include <linux/poll.h>
#include <linux/seq_file.h>

#include "internal.h"

static struct proto mytun_proto = {
	.name = MYTUN_NAME,
	.owner = THIS_MODULE,
	.obj_size = sizeof(struct mytun_queue),
};

/* Memory of plain writes came back: wake who waits for it. */
static void mytun_write_space(struct sock *sk)
{
	struct mytun_queue *q = container_of(sk, struct mytun_queue, sk);

	if (!sock_writeable(sk))
		return;
	if (!test_and_clear_bit(SOCKWQ_ASYNC_NOSPACE, &sk->sk_socket->flags))
		return;
	mytun_wake(q, EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND);
}

static int mytun_open(struct inode *inode, struct file *file)
{
	struct mytun_queue *q;

	q = (struct mytun_queue *)sk_alloc(current->nsproxy->net_ns, AF_UNSPEC,
					   GFP_KERNEL, &mytun_proto, 0);
	if (!q)
		return -ENOMEM;
	if (ptr_ring_init(&q->readq, 0, GFP_KERNEL)) {
		sk_free(&q->sk);
		return -ENOMEM;
	}

	/* sk_alloc() clears all of it. */
	INIT_LIST_HEAD(&q->member);
	mytun_napi_init(&q->napi);
	mytun_writeq_init(q);
	init_waitqueue_head(&q->kick_wait);
	init_waitqueue_head(&q->socket.wq.wait);
	q->socket.file = file;

	/* The memory of plain writes belongs to whoever opened the file, not to
	 * the owner of the device node.
	 */
	mytun_sock_init(&q->socket, &q->sk, current_fsuid());
	q->sk.sk_write_space = mytun_write_space;
	q->sk.sk_sndbuf = INT_MAX;

	file->private_data = q;
	/* Reads and writes of io_uring need no thread to wait in. */
	file->f_mode |= FMODE_NOWAIT;
	return 0;
}

static int mytun_release(struct inode *inode, struct file *file)
{
	struct mytun_queue *q = file->private_data;

	/* Packets of plain writes may outlive the file, and who wants to know whose they
	 * are (nft's skuid, a packet scheduler) asks it, with this lock or under RCU.
	 */
	write_lock_bh(&q->sk.sk_callback_lock);
	WRITE_ONCE(q->socket.file, NULL);
	write_unlock_bh(&q->sk.sk_callback_lock);

	rtnl_lock();
	mytun_detach(q);
	rtnl_unlock();
	mytun_eventfds_release(q);

	/* Off its interface and a grace period later: nobody else can reach it. */
	ptr_ring_cleanup(&q->readq, mytun_skb_free);
	mytun_rings_free(q->rings);
	q->rings = NULL;
	/* Not sock_orphan(): what packets that outlive the file touch when they are freed
	 * lies in the queue, which lives as long.
	 */
	sock_put(&q->sk);
	return 0;
}

static bool mytun_writeable(const struct mytun_dev *md, const struct mytun_queue *q)
{
	return (md->dev->flags & IFF_UP) && sock_writeable(&q->sk);
}

static __poll_t mytun_packet_poll(struct mytun_queue *q)
{
	struct mytun_dev *md;
	__poll_t mask = 0;

	rcu_read_lock();
	md = rcu_dereference(q->md);
	/* A bare EPOLLERR would make Go's poller give the file up; stock tun's
	 * programs look for EPOLLERR.
	 */
	if (!md || md->dev->reg_state != NETREG_REGISTERED) {
		mask = EPOLLERR | EPOLLHUP;
		goto unlock;
	}
	if (!mytun_readq_empty(q))
		mask |= EPOLLIN | EPOLLRDNORM;
	/* Ask for the wake-up first, then look again: the memory may have come
	 * back in between.
	 */
	if (mytun_writeable(md, q) ||
	    (!test_and_set_bit(SOCKWQ_ASYNC_NOSPACE, &q->socket.flags) &&
	     mytun_writeable(md, q)))
		mask |= EPOLLOUT | EPOLLWRNORM;
unlock:
	rcu_read_unlock();
	return mask;
}

static __poll_t mytun_poll(struct file *file, poll_table *wait)
{
	struct mytun_queue *q = file->private_data;
	struct mytun_rings_mem *r;

	poll_wait(file, &q->socket.wq.wait, wait);
	r = mytun_rings_get(q);
	return r ? mytun_rings_poll(q, r) : mytun_packet_poll(q);
}

static int mytun_mmap(struct file *file, struct vm_area_struct *vma)
{
	return mytun_rings_mmap(file->private_data, vma);
}

static int mytun_fasync(int fd, struct file *file, int on)
{
	struct mytun_queue *q = file->private_data;
	int err;

	if (on) {
		err = file_f_owner_allocate(file);
		if (err)
			return err;
	}
	err = fasync_helper(fd, file, on, &q->fasync);
	if (err < 0)
		return err;
	if (on)
		__f_setown(file, task_pid(current), PIDTYPE_TGID, 0);
	return 0;
}

static void mytun_show_fdinfo(struct seq_file *m, struct file *file)
{
	struct mytun_queue *q = file->private_data;
	struct mytun_dev *md;

	rtnl_lock();
	md = rtnl_dereference(q->md);
	seq_printf(m, "iff:\t%s\n", md ? md->dev->name : "");
	rtnl_unlock();
}

const struct file_operations mytun_fops = {
	.owner = THIS_MODULE,
	.llseek = no_llseek,
	.open = mytun_open,
	.release = mytun_release,
	.read_iter = mytun_read_iter,
	.write_iter = mytun_write_iter,
	.poll = mytun_poll,
	.mmap = mytun_mmap,
	.unlocked_ioctl = mytun_ioctl,
#ifdef CONFIG_COMPAT
	.compat_ioctl = mytun_compat_ioctl,
#endif
	.fasync = mytun_fasync,
	.show_fdinfo = mytun_show_fdinfo,
};
