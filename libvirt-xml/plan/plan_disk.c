/* SPDX-License-Identifier: MIT */
/* Plans the disk: its format, and that it names no file that the user did not.
 */
#include <fcntl.h>
#include <string.h>

#include "libvirt-xml/plan/disk.h"
#include "libvirt-xml/plan/plan.h"

static bool ends_with(const char *text, const char *end)
{
	size_t n = strlen(text), len = strlen(end);

	return n >= len && strcmp(text + n - len, end) == 0;
}

static const char *format_of_name(const char *path)
{
	return ends_with(path, ".qcow2") ? "qcow2" : "raw";
}

/* The first bytes of an image, or of a block device of this machine. */
static ssize_t read_head(const struct pst_host *h, const char *path,
			 uint8_t head[PST_VM_DISK_HEAD])
{
	PST_CLEANUP_FD int fd = pst_host_root_open_file(h->root, path);
	size_t n = 0;
	ssize_t got;

	if (fd == -EINVAL && h->root->live)
		fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	else if (fd < 0)
		errno = -fd;
	if (fd < 0)
		return -errno;
	do {
		got = pread(fd, head + n, PST_VM_DISK_HEAD - n, (off_t)n);
		n += got > 0 ? (size_t)got : 0;
	} while ((got > 0 && n < PST_VM_DISK_HEAD) ||
		 (got < 0 && errno == EINTR));
	return got < 0 ? -errno : (ssize_t)n;
}

/* Names of an image are its maker's words: printed without control characters.
 */
static void printable(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			*text = '?';
}

/* Whether the header's name is that path; it may be relative to the image. */
static bool is_named(const char *name, const char *image, const char *path)
{
	const char *slash = strrchr(image, '/');
	size_t dir = slash ? (size_t)(slash - image) + 1 : 0;

	if (strcmp(name, path) == 0)
		return true;
	return name[0] != '/' && strncmp(path, image, dir) == 0 &&
	       strcmp(path + dir, name) == 0;
}

/* What a qcow2 image names besides itself. backing: what it may; NULL: nothing.
 */
static int check_qcow2(const char *path, const char *backing,
		       const uint8_t *head, size_t n, struct pst_error *err)
{
	struct pst_vm_qcow2 q;

	if (pst_vm_qcow2_parse(head, n, &q) < 0)
		return pst_error_set(err, -EPERM,
				     "the disk %s does not begin like a qcow2 "
				     "image: --disk-format raw, if it is raw",
				     path);
	printable(q.backing);
	if (q.has_data_file)
		return pst_error_set(
			err, -EPERM,
			"the disk %s has its data in another file: "
			"make one of them (qemu-img convert)",
			path);
	if (q.backing[0] && !(backing && is_named(q.backing, path, backing)))
		return pst_error_set(err, -EPERM,
				     "the disk %s has the backing file "
				     "%.200s%s: name it by --disk-backing "
				     "PATH if that is meant",
				     path, q.backing,
				     backing ? ", no other one" : "");
	if (!q.backing[0] && backing)
		return pst_error_set(err, -EINVAL,
				     "--disk-backing: the disk %s has no "
				     "backing file",
				     path);
	return 0;
}

/* An image whose bytes say something else than format; format is the user's
 * word when it was given. */
static int check_bytes(const char *path, const char *format, bool given,
		       const char *backing, const uint8_t *head, size_t n,
		       struct pst_error *err)
{
	const char *like = pst_vm_disk_probe(head, n);

	if (strcmp(format, "qcow2") == 0)
		return check_qcow2(path, backing, head, n, err);
	if (backing)
		return pst_error_set(err, -EINVAL,
				     "--disk-backing: a raw disk has no "
				     "backing file");
	if (given || !like)
		return 0;
	return pst_error_set(err, -EPERM,
			     "the disk %s is called like a raw one and begins "
			     "like %s, which its guest may have written there: "
			     "say what it is by --disk-format raw|qcow2%s",
			     path, like,
			     strcmp(like, "qcow2") == 0
				     ? ""
				     : " (qemu-img convert, if it is neither)");
}

static int check_file(const struct pst_host *h, const char *path,
		      const char *format, bool given, const char *backing,
		      struct pst_error *err)
{
	PST_CLEANUP_FREE uint8_t *head = malloc(PST_VM_DISK_HEAD);
	ssize_t n;

	if (!head)
		return pst_oom(err);
	n = read_head(h, path, head);
	if (n >= 0)
		return check_bytes(path, format, given, backing, head,
				   (size_t)n, err);
	/* The format is written down in any case. */
	if (strcmp(format, "raw") == 0 || (given && !backing))
		return 0;
	return pst_error_set(err, -EPERM,
			     "cannot see which files the disk %s names "
			     "(--disk-format qcow2 takes it unseen): %s",
			     path, strerror((int)-n));
}

int pst_vm_plan_disk(const struct pst_vm_request *q, const struct pst_host *h,
		     struct pst_vm_config *c, struct pst_vm_notes *notes,
		     struct pst_error *err)
{
	const char *known =
		q->disk_format ? q->disk_format : q->known_disk_format;
	const char *name = q->disk_backing;
	struct stat st;
	int r;

	c->disk = q->disk;
	c->disk_format = "raw";
	if (!q->disk)
		return 0;
	c->disk_is_block = strncmp(q->disk, "/dev/", 5) == 0 &&
			   strncmp(q->disk, "/dev/shm/", 9) != 0;
	c->disk_format = known ? known : format_of_name(q->disk);
	if (strcmp(c->disk_format, "raw") != 0 &&
	    strcmp(c->disk_format, "qcow2") != 0)
		return pst_error_set(
			err, -EINVAL,
			"the disk %s: format \"%s\" is neither raw "
			"nor qcow2 (--disk-format)",
			q->disk, c->disk_format);
	if (pst_host_root_stat(h->root, q->disk, &st) < 0) {
		if (!c->disk_is_block)
			pst_vm_note(notes,
				    "the disk %s is not there yet: qemu-img "
				    "create -f %s %s 40G",
				    q->disk, c->disk_format, q->disk);
	} else if (!c->disk_is_block || strcmp(c->disk_format, "raw") != 0) {
		r = check_file(h, q->disk, c->disk_format, known, name, err);
		if (r < 0)
			return r;
	}
	if (!name)
		return 0;
	c->disk_backing = name;
	c->disk_backing_format = format_of_name(name);
	return check_file(h, name, c->disk_backing_format, false, NULL, err);
}
