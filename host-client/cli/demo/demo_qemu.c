/* SPDX-License-Identifier: MIT */
/* QEMU's command line for the throw-away guest. */
#include <stdarg.h>
#include <string.h>

#include "host-client/cli/demo/demo.h"

/*
 * loglevel instead of quiet: the kernel's own start then still says something
 * on the serial line, which is the sign of life that demo_vm.c waits for.
 * no_timer_check: emulated on a busy host, the timer's interrupts come too late
 * for the kernel's test, which then panics ("IO-APIC + timer doesn't work").
 */
#define KERNEL_WORDS                                                           \
	"console=ttyS0 earlyprintk=serial,ttyS0,115200 loglevel=4 panic=-1 "   \
	"reboot=t no_timer_check"
/* An emulated guest's BLAS threads wait for one another as soon as the host's
 * CPUs have other work: one thread then takes about half the time of two.
 * Words that follow take precedence. */
#define TCG_WORDS                                                              \
	" penstock.agent_args=--listen%20vsock:7070%20--region%20auto"         \
	"%20--threads%201"

const char *pst_demo_accel_name(enum pst_demo_accel a)
{
	static const char *const names[] = {
		[PST_DEMO_AUTO] = "auto",
		[PST_DEMO_KVM] = "kvm",
		[PST_DEMO_TCG] = "tcg",
	};

	return names[a];
}

const char *pst_demo_via_name(enum pst_demo_via v)
{
	return v == PST_DEMO_NVDIMM ? "nvdimm" : "ivshmem";
}

void pst_demo_argv_add(struct pst_demo_argv *a, const char *fmt, ...)
{
	va_list ap;
	char *s;

	if (a->failed || a->n + 1 >= PST_ARRAY_SIZE(a->v)) {
		a->failed = true;
		return;
	}
	va_start(ap, fmt);
	if (vasprintf(&s, fmt, ap) < 0)
		s = NULL;
	va_end(ap);
	if (!s) {
		a->failed = true;
		return;
	}
	a->v[a->n++] = s;
	a->v[a->n] = NULL;
}

void pst_demo_argv_done(struct pst_demo_argv *a)
{
	size_t i;

	for (i = 0; i < a->n; i++)
		free(a->v[i]);
	memset(a, 0, sizeof(*a));
}

/* In QEMU's option lists a comma within a value is written twice. */
static const char *quote(struct pst_demo_argv *a, const char *path,
			 char ret[2 * PST_DEMO_PATH_MAX])
{
	size_t n = 0;

	for (; *path; path++) {
		if (n + 3 > 2 * PST_DEMO_PATH_MAX) {
			a->failed = true;
			break;
		}
		if (*path == ',')
			ret[n++] = ',';
		ret[n++] = *path;
	}
	ret[n] = '\0';
	return ret;
}

static void add_machine(struct pst_demo_argv *a, const struct pst_demo_qemu *q)
{
	const bool nvdimm = q->via == PST_DEMO_NVDIMM;
	unsigned long long ram = q->ram_size;

	pst_demo_argv_add(a, "-nodefaults");
	pst_demo_argv_add(a, "-no-user-config");
	pst_demo_argv_add(a, "-name");
	pst_demo_argv_add(a, "penstock-demo");
	pst_demo_argv_add(a, "-sandbox");
	pst_demo_argv_add(a, "on,obsolete=deny,elevateprivileges=deny,"
			     "spawn=deny,resourcecontrol=deny");
	pst_demo_argv_add(a, "-machine");
	pst_demo_argv_add(a, "q35,accel=%s,memory-backend=ram%s",
			  pst_demo_accel_name(q->accel),
			  nvdimm ? ",nvdimm=on" : "");
	pst_demo_argv_add(a, "-cpu");
	pst_demo_argv_add(a, "%s", q->cpu);
	pst_demo_argv_add(a, "-smp");
	pst_demo_argv_add(a, "%u", q->cpus);
	pst_demo_argv_add(a, "-m");
	if (nvdimm)
		pst_demo_argv_add(a, "%lluM,slots=1,maxmem=%lluM", ram >> 20,
				  (ram + (unsigned long long)q->region_size) >>
					  20);
	else
		pst_demo_argv_add(a, "%lluM", ram >> 20);
	/* A vhost-user device reads the guest's memory: it is shared. */
	pst_demo_argv_add(a, "-object");
	pst_demo_argv_add(a, "memory-backend-memfd,id=ram,size=%llu,share=on",
			  ram);
	pst_demo_argv_add(a, "-display");
	pst_demo_argv_add(a, "none");
	pst_demo_argv_add(a, "-nic");
	pst_demo_argv_add(a, "none");
	pst_demo_argv_add(a, "-no-reboot");
}

static void add_consoles(struct pst_demo_argv *a, const struct pst_demo_qemu *q,
			 const char *dir)
{
	pst_demo_argv_add(a, "-chardev");
	pst_demo_argv_add(a, "file,id=serial,path=%s/serial.log", dir);
	pst_demo_argv_add(a, "-serial");
	pst_demo_argv_add(a, "chardev:serial");
	if (q->debug_console) {
		pst_demo_argv_add(a, "-chardev");
		pst_demo_argv_add(a,
				  "socket,id=console,path=%s/console.sock,"
				  "server=on,wait=off",
				  dir);
		pst_demo_argv_add(a, "-serial");
		pst_demo_argv_add(a, "chardev:console");
	}
	pst_demo_argv_add(a, "-chardev");
	pst_demo_argv_add(
		a, "socket,id=qmp,path=%s/qmp.sock,server=on,wait=off", dir);
	pst_demo_argv_add(a, "-mon");
	pst_demo_argv_add(a, "chardev=qmp,mode=control");
}

static void add_devices(struct pst_demo_argv *a, const struct pst_demo_qemu *q,
			const char *dir)
{
	char path[2 * PST_DEMO_PATH_MAX];

	pst_demo_argv_add(a, "-object");
	pst_demo_argv_add(a,
			  "memory-backend-file,id=region,mem-path=%s,"
			  "share=on,size=%llu%s",
			  quote(a, q->region_path, path),
			  (unsigned long long)q->region_size,
			  /* Whatever the file lies on, the guest's pages. */
			  q->via == PST_DEMO_NVDIMM ? ",align=2M" : "");
	pst_demo_argv_add(a, "-device");
	pst_demo_argv_add(a, "%s,memdev=region",
			  q->via == PST_DEMO_NVDIMM ? "nvdimm"
						    : "ivshmem-plain");
	if (q->vhost_vsock) {
		pst_demo_argv_add(a, "-device");
		pst_demo_argv_add(a, "vhost-vsock-pci,guest-cid=%u", q->cid);
		return;
	}
	pst_demo_argv_add(a, "-chardev");
	pst_demo_argv_add(a, "socket,id=vsock,path=%s/vhost.sock", dir);
	pst_demo_argv_add(a, "-device");
	pst_demo_argv_add(a, "vhost-user-vsock-pci,chardev=vsock");
}

static void add_kernel(struct pst_demo_argv *a, const struct pst_demo_qemu *q)
{
	const char *append = q->append ? q->append : "";

	pst_demo_argv_add(a, "-kernel");
	pst_demo_argv_add(a, "%s", q->kernel);
	pst_demo_argv_add(a, "-initrd");
	pst_demo_argv_add(a, "%s", q->initrd);
	pst_demo_argv_add(a, "-append");
	pst_demo_argv_add(a, KERNEL_WORDS "%s%s%s%s",
			  q->accel == PST_DEMO_TCG ? TCG_WORDS : "",
			  q->debug_console ? " penstock.debug=1" : "",
			  *append ? " " : "", append);
}

int pst_demo_qemu_argv(const struct pst_demo_qemu *q, struct pst_demo_argv *ret,
		       struct pst_error *err)
{
	char dir[2 * PST_DEMO_PATH_MAX];

	memset(ret, 0, sizeof(*ret));
	if (q->region_size < (1U << 20) ||
	    (q->region_size & (q->region_size - 1)))
		return pst_error_set(err, -EINVAL,
				     "a region of %llu bytes cannot be a PCI "
				     "BAR: it must be a power of two",
				     (unsigned long long)q->region_size);
	if (q->ram_size < (64U << 20) || q->ram_size % (1U << 20))
		return pst_error_set(err, -EINVAL,
				     "%llu bytes are no size for a guest",
				     (unsigned long long)q->ram_size);
	pst_demo_argv_add(ret, "%s", q->program);
	quote(ret, q->dir, dir);
	add_machine(ret, q);
	add_consoles(ret, q, dir);
	add_devices(ret, q, dir);
	add_kernel(ret, q);
	if (ret->failed)
		return pst_error_set(err, -ENOMEM,
				     "cannot build QEMU's command line");
	return 0;
}
