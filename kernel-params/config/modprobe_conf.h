/* SPDX-License-Identifier: MIT */
/* The contents of modprobe.d: options, blacklist, softdep, install and alias
 * lines.
 */
#ifndef PST_KERNEL_PARAMS_CONFIG_MODPROBE_CONF_H
#define PST_KERNEL_PARAMS_CONFIG_MODPROBE_CONF_H

#include "kernel-params/syntax/cmdline.h"

enum pst_host_modconf_kind {
	PST_HOST_MODCONF_OPTIONS,   /* options MODULE TEXT */
	PST_HOST_MODCONF_BLACKLIST, /* blacklist MODULE */
	PST_HOST_MODCONF_SOFTDEP,   /* softdep MODULE TEXT */
	PST_HOST_MODCONF_WEAKDEP,   /* weakdep MODULE TEXT */
	PST_HOST_MODCONF_INSTALL,   /* install MODULE COMMAND */
	PST_HOST_MODCONF_REMOVE,    /* remove MODULE COMMAND */
	PST_HOST_MODCONF_ALIAS, /* alias PATTERN MODULE: text is the module */
	PST_HOST_MODCONF_OTHER, /* a word that modprobe.d(5) does not have */
};

struct pst_host_modconf_line {
	enum pst_host_modconf_kind kind;
	/* As written; compare with pst_host_param_name_eq(). Of OTHER the word
	 * itself. */
	char *module;
	char *text; /* what follows, blanks at its ends taken off; "" if none */
	char *file; /* path below the root */
	unsigned int line; /* its first line, counted from 1 */
};

struct pst_host_modconf {
	struct pst_host_modconf_line *line; /* in modprobe's order */
	size_t n;
	size_t n_files;
	char *unread; /* first file that could not be read whole, or NULL */
};

#define PST_HOST_MODCONF_FILE_MAX  (256U << 10)
#define PST_HOST_MODCONF_ALL_MAX   (2U << 20)
#define PST_HOST_MODCONF_MAX_LINES 20000

/*
 * Adds the lines of one file's text. Comments begin with '#', a backslash at a
 * line's end joins the next (modprobe.d(5)). file is copied. 0, -ENOMEM,
 * -EMSGSIZE (too many lines); c stays valid.
 */
PST_MUST_USE int pst_host_modconf_parse(const char *text, size_t len,
					const char *file,
					struct pst_host_modconf *c);

/*
 * Reads *.conf of etc, run, usr/local/lib, usr/lib and lib /modprobe.d, in the
 * order of their names; of two with one name the former directory's counts
 * (modprobe.d(5)). 0 (to be ended with pst_host_modconf_done()) or -ENOMEM,
 * -EMSGSIZE.
 */
PST_MUST_USE int pst_host_modconf_read(const struct pst_host_root *root,
				       struct pst_host_modconf *ret);
void pst_host_modconf_done(struct pst_host_modconf *c);

/* Whether a blacklist line names module. */
bool pst_host_modconf_blacklisted(const struct pst_host_modconf *c,
				  const char *module);

/* Whether `install module` runs /bin/false or /bin/true: never loaded. */
bool pst_host_modconf_disabled(const struct pst_host_modconf *c,
			       const char *module);

/* The first line that keeps a module from being loaded in one of these two
 * ways, or NULL. */
const struct pst_host_modconf_line *
pst_host_modconf_against(const struct pst_host_modconf *c, const char *module);

/* The softdep line of module that counts, the first one whose pattern means it
 * (kmod_module_get_softdeps() of kmod's libkmod-module.c), or NULL. */
const struct pst_host_modconf_line *
pst_host_modconf_softdep(const struct pst_host_modconf *c, const char *module);

/* Whether such a line (NULL: none) has dep after "pre:". */
bool pst_host_modconf_has_pre(const struct pst_host_modconf_line *line,
			      const char *dep);

/* Whether the softdep of module that counts has dep after "pre:". */
bool pst_host_modconf_softdep_pre(const struct pst_host_modconf *c,
				  const char *module, const char *dep);

/* The last options line of module that has "name=value", whose value counts, or
 * NULL. */
const struct pst_host_modconf_line *
pst_host_modconf_option_line(const struct pst_host_modconf *c,
			     const char *module, const char *name);

/* That value as a new string the caller frees ("" when written without '=');
 * NULL: none. */
PST_MUST_USE char *pst_host_modconf_option(const struct pst_host_modconf *c,
					   const char *module,
					   const char *name);

#endif
