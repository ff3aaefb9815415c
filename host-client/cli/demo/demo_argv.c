/* SPDX-License-Identifier: MIT */
/* QEMU's command line for the throw-away guest. */
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

#define add pst_vm_argv_add

/* A socket below the state directory that QEMU makes. */
static void add_socket(struct pst_vm_argv *a, const char *dir, const char *id,
		       const char *name)
{
	char path[2 * PATH_MAX];

	add(a, "-chardev");
	add(a, "socket,id=%s,path=%s/%s,server=on,wait=off", id,
	    pst_vm_argv_quote(a, dir, path), name);
}

int pst_demo_argv(const struct pst_demo_guest *g, struct pst_vm_argv *ret,
		  struct pst_error *err)
{
	PST_CLEANUP_FREE char *words = NULL;
	struct pst_vm_config c = g->config;
	int r;

	*ret = (struct pst_vm_argv){0};
	if (asprintf(&words, KERNEL_WORDS "%s%s%s%s",
		     c.emulated ? TCG_WORDS : "",
		     g->debug_console ? " penstock.debug=1" : "",
		     c.append ? " " : "", c.append ? c.append : "") < 0) {
		words = NULL;
		return pst_oom(err);
	}
	c.append = words;
	r = pst_vm_argv_qemu(&c, ret, err);
	if (r)
		return r;
	add(ret, "-sandbox");
	add(ret, "on,obsolete=deny,elevateprivileges=deny,spawn=deny,"
		 "resourcecontrol=deny");
	add(ret, "-no-reboot");
	if (g->debug_console) {
		add_socket(ret, g->dir, "console", "console.sock");
		add(ret, "-serial");
		add(ret, "chardev:console");
	}
	add_socket(ret, g->dir, "qmp", "qmp.sock");
	add(ret, "-mon");
	add(ret, "chardev=qmp,mode=control");
	if (ret->failed)
		return pst_error_set(err, -ENOMEM,
				     "QEMU's command line does not fit");
	return 0;
}
