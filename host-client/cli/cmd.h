/* SPDX-License-Identifier: MIT */
/* The penstock command's table of subcommands, and what they share. */
#ifndef PST_HOST_CLIENT_CLI_CMD_H
#define PST_HOST_CLIENT_CLI_CMD_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "host-client/penstock.h"

/* Exit codes of every subcommand. */
enum pst_exit {
	PST_EXIT_OK = 0,
	PST_EXIT_FAILED = 1,      /* failed, or degraded */
	PST_EXIT_USAGE = 2,       /* one line on stderr */
	PST_EXIT_FINDINGS = 3,    /* a check found something */
	PST_EXIT_UNREACHABLE = 4, /* no agent listens at the endpoint */
};

/*
 * An option. id is what pst_cmd_getopt() returns for it: the letter of its
 * short form, or PST_OPT_OWN and up for one that has only the long form.
 */
struct pst_cmd_opt {
	int id;           /* 0 ends a list */
	const char *name; /* without the dashes */
	const char *arg;  /* name of its argument, NULL: none */
	const char *help; /* lines separated by \n */
};

/* --json, the same everywhere. */
#define PST_OPT_JSON 256
#define PST_OPT_OWN  257
#define PST_CMD_OPT_JSON                                                       \
	{                                                                      \
		PST_OPT_JSON, "json", NULL,                                    \
			"print one JSON object, the last line of stdout"       \
	}

/* Options of one command at most, -e and -h not counted. */
#define PST_CMD_MAX_OPTS 32
/* No bound on the number of operands. */
#define PST_CMD_ANY 1000000

struct pst_cmd_ctx;

/*
 * A subcommand: one file, one const object. A leaf has run; a group has sub, a
 * list that NULL ends. -e/--endpoint and -h/--help are added to every leaf,
 * and are dealt with before run is called, as are unknown options and a wrong
 * number of operands.
 */
struct pst_cmd {
	const char *name;
	const char *args;    /* operands and needed options, "A.npy B.npy" */
	const char *summary; /* one line, no full stop */
	const char *help;    /* further paragraphs, or NULL; ends with \n */
	const char *end;     /* a paragraph after the options, or NULL */
	const struct pst_cmd_opt *opts; /* or NULL */
	int min_args, max_args;         /* operands */
	/* Returns an enum pst_exit. argv[0] is the subcommand's name. */
	int (*run)(const struct pst_cmd_ctx *ctx, int argc, char **argv);
	const struct pst_cmd *const *sub;
};

struct pst_cmd_ctx {
	const char *endpoint;       /* of -e, else NULL */
	const struct pst_cmd *root; /* the whole table */
	const struct pst_cmd *cmd;  /* the one that runs */
	const char *path;           /* "penstock host region create" */
};

/* Finds the command that argv names and runs it. Returns its exit code. */
int pst_cmd_main(const struct pst_cmd *root, int argc, char **argv);

/* The help of one command whose full name is path. */
void pst_cmd_print_help(const struct pst_cmd *cmd, const char *path, FILE *to);

/*
 * The next option's id, or -1 when only operands are left, from argv[optind].
 * The option's argument is in optarg.
 */
int pst_cmd_getopt(const struct pst_cmd_ctx *ctx, int argc, char **argv);

/* Prints "penstock CMD: sentence (see ...)", returns PST_EXIT_USAGE. */
int pst_cmd_usage(const struct pst_cmd_ctx *ctx, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Prints "penstock CMD: sentence" on stderr, returns PST_EXIT_FAILED. */
int pst_cmd_fail(const struct pst_cmd_ctx *ctx, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Values of options. Print the usage error themselves and return false. */
bool pst_cmd_arg_u64(const struct pst_cmd_ctx *ctx, const char *what,
		     const char *text, uint64_t min, uint64_t max,
		     uint64_t *ret);
bool pst_cmd_arg_double(const struct pst_cmd_ctx *ctx, const char *what,
			const char *text, double *ret);
bool pst_cmd_arg_size(const struct pst_cmd_ctx *ctx, const char *what,
		      const char *text, uint64_t *ret);
bool pst_cmd_arg_duration(const struct pst_cmd_ctx *ctx, const char *what,
			  const char *text, uint64_t *ret_ns);

/* Prints one JSON object as one line and releases it; NULL (out of memory
 * while it was built) fails. Returns PST_EXIT_OK or PST_EXIT_FAILED. */
int pst_cmd_print_json(const struct pst_cmd_ctx *ctx, json_t *object);

#endif
