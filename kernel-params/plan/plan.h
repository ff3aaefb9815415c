/* SPDX-License-Identifier: MIT */
/* A plan: the files to change and the commands to run on a host before it can
 * pass a card through, with notes. */
#ifndef PST_KERNEL_PARAMS_PLAN_PLAN_H
#define PST_KERNEL_PARAMS_PLAN_PLAN_H

#include "kernel-params/edit/edit_grub.h"
#include "kernel-params/edit/edit_params.h"
#include "kernel-params/journal/journal.h"
#include "kernel-params/plan/lines.h"
#include "kernel-params/scan/host.h"

/*
 * Reads "auto" (0) or names in commas, "grub,modprobe". 0 or -EINVAL.
 */
PST_MUST_USE int pst_host_targets_parse(const char *text, unsigned int *ret);
/* The name of one target. A static string. */
const char *pst_host_target_name(unsigned int target);

/* What is wanted. Texts are borrowed. */
struct pst_host_plan_request {
	const char *gpu;            /* an address; "auto" or NULL: the one */
	uint64_t region, vm_memory; /* bytes for the pool, 0: none */
	const char *isolate_cpus;   /* "2-5", or NULL */
	unsigned int targets;       /* 0: what the host has */
	bool i_know;                /* the host's own display too */
	bool compare_only;          /* refuse nothing: to compare, not to do */
};

struct pst_host_plan_file {
	char *path;
	char *now;  /* what it holds, NULL: there is none */
	char *text; /* what it shall hold */
	unsigned int mode;
	unsigned int target;
	bool edited; /* since the last apply */
};

#define PST_HOST_PLAN_MAX_FN 32

struct pst_host_plan {
	struct pst_host_plan_request request;
	const struct pst_host *host; /* borrowed */
	unsigned int has;            /* targets that the host has */
	/* What is wanted of it. */
	const struct pst_host_pci_dev
		*fn[PST_HOST_PLAN_MAX_FN]; /* for vfio-pci */
	size_t n_fn;
	bool by_address; /* another device has the same ids */
	char *ids;       /* of fn, in commas */
	unsigned int targets;
	struct pst_host_params params;
	struct pst_host_lines modules;    /* to be loaded after vfio-pci */
	struct pst_host_lines addresses;  /* of fn */
	struct pst_host_lines card_rules; /* of udev, for a card's return */
	const struct pst_host_pci_dev *method_of; /* without flr, or NULL */
	bool stays_awake; /* D3cold is forbidden to the card */
	/* The result. */
	struct pst_host_plan_file *file;
	size_t n_files;
	struct pst_host_lines commands; /* to be run after the files changed */
	struct pst_host_lines notes;
	size_t n_open; /* of them: what check will still say of the boot */
};

/*
 * Plans for the card of h, which p borrows; h->request names the same card as
 * request. Nothing is changed. j is the journal of h's root, of which the
 * former texts are what the plan begins with. p is large: take it from the
 * heap. 0 (to be ended with pst_host_plan_done()) or -errno with a sentence:
 * -EINVAL (the request, or a file that cannot be edited safely), -ENODEV,
 * -EBUSY (the card cannot be taken: a display, or a group shared with something
 * vital), -ENOSPC (the pool does not fit the memory), -EEXIST (a file of our
 * name is not ours), -EOPNOTSUPP (Xen's dom0), -EACCES, -EIO, -EMSGSIZE,
 * -ENOMEM.
 */
PST_MUST_USE int pst_host_plan_make(struct pst_host_plan *p,
				    const struct pst_host *h,
				    const struct pst_host_journal *j,
				    const struct pst_host_plan_request *request,
				    struct pst_error *err);
void pst_host_plan_done(struct pst_host_plan *p);

/* How many files do not hold yet what they shall. */
size_t pst_host_plan_changes(const struct pst_host_plan *p);

/* Whether one of this target does not. */
bool pst_host_plan_changes_for(const struct pst_host_plan *p,
			       unsigned int target);

/* What becomes of a file: "create", "remove", "edit", or "none". Static. */
const char *pst_host_plan_action(const struct pst_host_plan_file *f);

/* Prints the differences of all files that change. 0 or -ENOMEM. */
PST_MUST_USE int pst_host_plan_print_diffs(const struct pst_host_plan *p,
					   FILE *to);

/*
 * The commands after these paths have changed (or were undone), in order; the
 * reboot is the last, and not there when none of them needs it. 0 or -ENOMEM.
 */
PST_MUST_USE int pst_host_plan_commands(const struct pst_host_root *root,
					const char *const *path, size_t n,
					bool undone,
					struct pst_host_lines *ret);

/* The request as the journal keeps it, and back. *ret_text is what
 * request->gpu and others then point into; to be freed. 0, -EPROTO, -ENOMEM. */
PST_MUST_USE int pst_host_plan_request_format(const struct pst_host_plan *p,
					      char **ret);
PST_MUST_USE int pst_host_plan_request_parse(const char *text,
					     struct pst_host_plan_request *ret,
					     char **ret_text);

/* One thing that verify has compared. */
struct pst_host_verdict {
	char *id; /* "file", "parameter", "driver", "pool", "module", ... */
	char *what;
	bool good;
};

struct pst_host_verdicts {
	struct pst_host_verdict *verdict;
	size_t n;
};

/*
 * Compares a plan with its host and with the journal's files. 0 (to be ended
 * with pst_host_verdicts_done()) or -errno with a sentence.
 */
PST_MUST_USE int pst_host_plan_verify(const struct pst_host_plan *p,
				      const struct pst_host_journal *j,
				      struct pst_host_verdicts *ret,
				      struct pst_error *err);
void pst_host_verdicts_done(struct pst_host_verdicts *v);

/* ---- Parts of pst_host_plan_make(), for plan*.c alone
 * -------------------------
 */

/* Fills fn, or refuses. */
int pst_host_plan_find(struct pst_host_plan *p, struct pst_error *err);
/* Fills what is wanted besides. */
int pst_host_plan_want(struct pst_host_plan *p, struct pst_error *err);
/* Add files of their targets. */
int pst_host_plan_loader(struct pst_host_plan *p,
			 const struct pst_host_journal *j,
			 struct pst_error *err);
int pst_host_plan_initramfs(struct pst_host_plan *p,
			    const struct pst_host_journal *j,
			    struct pst_error *err);
int pst_host_plan_modules(struct pst_host_plan *p,
			  const struct pst_host_journal *j,
			  struct pst_error *err);
int pst_host_plan_card(struct pst_host_plan *p,
		       const struct pst_host_journal *j, struct pst_error *err);
int pst_host_plan_memory(struct pst_host_plan *p,
			 const struct pst_host_journal *j,
			 struct pst_error *err);
int pst_host_plan_nixos(struct pst_host_plan *p,
			const struct pst_host_journal *j,
			struct pst_error *err);

/* In plan_keepers.c: the command line in the settings of programs that write
 * what boots. */
int pst_host_plan_limine(struct pst_host_plan *p,
			 const struct pst_host_journal *j,
			 struct pst_error *err);
int pst_host_plan_refind(struct pst_host_plan *p,
			 const struct pst_host_journal *j,
			 struct pst_error *err);
int pst_host_plan_extlinux(struct pst_host_plan *p,
			   const struct pst_host_journal *j,
			   struct pst_error *err);
int pst_host_plan_sdboot_manage(struct pst_host_plan *p,
				const struct pst_host_journal *j,
				struct pst_error *err);
int pst_host_plan_dracut_cmdline(struct pst_host_plan *p,
				 const struct pst_host_journal *j,
				 struct pst_error *err);
/* What /etc/kernel/cmdline would be of now; *ret NULL with a note where that
 * is not known. */
int pst_host_plan_new_cmdline(struct pst_host_plan *p, char **ret,
			      struct pst_error *err);
/* kernelstub's options, and notes of what no file of settings can tell; *ret_n
 * counts them. */
int pst_host_plan_note_keepers(struct pst_host_plan *p,
			       const struct pst_host_journal *j, size_t *ret_n,
			       struct pst_error *err);
/* All that is wanted of the command line, as one line; to be freed. */
int pst_host_plan_words(struct pst_host_plan *p, char **ret,
			struct pst_error *err);

/* In plan_entries.c: the entries of /boot, /efi and /boot/efi. */
int pst_host_plan_entries(struct pst_host_plan *p,
			  const struct pst_host_journal *j,
			  struct pst_error *err);
/* In plan_notes.c: what boots that no file reaches, counted in *n, and what
 * may not boot. */
int pst_host_plan_note_others(struct pst_host_plan *p, size_t *n,
			      struct pst_error *err);
/* What to add by hand where no settings were found. */
int pst_host_plan_by_hand(struct pst_host_plan *p, struct pst_error *err);

/* Files of settings that are read one after another. */
#define PST_HOST_PLAN_SET_MAX 64
struct pst_host_plan_set {
	struct pst_host_plan *plan;
	const struct pst_host_journal *journal;
	struct pst_host_edit_file file[PST_HOST_PLAN_SET_MAX];
	char path[PST_HOST_PLAN_SET_MAX][PST_HOST_ROOT_PATH_MAX];
	size_t n;
};
/* An empty set, for pst_host_plan_set_free(); NULL: out of memory. */
struct pst_host_plan_set *
pst_host_plan_set_new(struct pst_host_plan *p,
		      const struct pst_host_journal *j);
void pst_host_plan_set_free(struct pst_host_plan_set *s);
/* Adds a file's former text, or (_dir) those of an ending, but not except. */
int pst_host_plan_set_add(struct pst_host_plan_set *s, const char *path,
			  struct pst_error *err);
int pst_host_plan_set_add_dir(struct pst_host_plan_set *s, const char *dir,
			      const char *ending, const char *except,
			      struct pst_error *err);
/* Puts all into the plan; own is the index of a drop-in of ours. */
int pst_host_plan_set_write(struct pst_host_plan_set *s, unsigned int target,
			    size_t own, struct pst_error *err);

/*
 * Evaluates the host as it will be, the plan's files over its own: refuses
 * (-EINVAL) a whole plan after which another driver may have the card, and
 * (-EBUSY, pst_host_plan_guard()) any that takes from the host its root file
 * system, network, display or boot entry. What then is open becomes notes.
 */
int pst_host_plan_prove(struct pst_host_plan *p, struct pst_error *err);
int pst_host_plan_guard(const struct pst_host_plan *p,
			const struct pst_host *after, struct pst_error *err);

/*
 * Adds a file; takes text (NULL: out of memory if ours, else no file). own: it
 * is ours alone, and one of that name that is not is -EEXIST.
 */
int pst_host_plan_file(struct pst_host_plan *p,
		       const struct pst_host_journal *j, unsigned int target,
		       const char *path, char *text, unsigned int mode,
		       bool own, struct pst_error *err);
/* Adds a note. 0 or -ENOMEM with a sentence. */
int pst_host_plan_note(struct pst_host_plan *p, struct pst_error *err,
		       const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif
