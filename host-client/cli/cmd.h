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

/* -e and -h, of every command. */
extern const struct pst_cmd_opt pst_cmd_common_opts[];

/* Options of one command at most, those not counted. */
#define PST_CMD_MAX_OPTS 32
/* No bound on the number of operands. */
#define PST_CMD_ANY 1000000

/* Room for "penstock" and the names of a group's group's command. */
#define PST_CMD_PATH 128
/* Enough for any sentence of the library, and what is put before it. */
#define PST_CMD_TEXT 1024

struct pst_cmd_ctx;
struct pst_cmd_said;

/*
 * A subcommand: one file, one const object. A leaf has run; a group has sub, a
 * list that NULL ends. -e/--endpoint and -h/--help are added to every leaf,
 * and are dealt with before run is called, as are unknown options, a wrong
 * number of operands, and empty ones. Of an option that is given twice the last
 * one counts, as a wrapper's is before its caller's; --gpu is refused then
 * (pst_cmd_arg_once()), since each of two cards is meant.
 *
 * Where args or an option's arg is a list, "auto|kvm|tcg|FILE", completion
 * offers its lower-case words.
 */
struct pst_cmd {
	const char *name;
	const char *heading; /* of a part of penstock --help, or NULL */
	const char *args;    /* operands and needed options, "A.npy B.npy" */
	const char *summary; /* one line, no full stop */
	const char *help;    /* further paragraphs, or NULL; ends with \n */
	const char *example; /* command lines, each ends with \n */
	const char *end;     /* a paragraph after the options, or NULL */
	const struct pst_cmd_opt *opts; /* or NULL */
	int min_args, max_args;         /* operands */
	/* Returns an enum pst_exit. argv[0] is the subcommand's name. */
	int (*run)(const struct pst_cmd_ctx *ctx, int argc, char **argv);
	const struct pst_cmd *const *sub;
	/* Of a command, or of a group for those of its commands that have none:
	 * prints what they call NAME and begins as typed, as
	 * pst_cmd_complete() does; uri: of --uri before it, or NULL. Or NULL.
	 */
	void (*print_names)(const struct pst_cmd_ctx *ctx, const char *uri,
			    const char *typed);
};

struct pst_cmd_ctx {
	const char *endpoint;       /* of -e, else NULL */
	bool json;                  /* --json was given */
	struct pst_cmd_said *said;  /* cmd_say.h */
	const struct pst_cmd *root; /* the whole table */
	const struct pst_cmd *cmd;  /* the one that runs */
	const char *path;           /* "penstock host region create" */
};

/* Finds the command that argv names and runs it. Returns its exit code. */
int pst_cmd_main(const struct pst_cmd *root, int argc, char **argv);

/* The help of one command whose full name is path. */
void pst_cmd_print_help(const struct pst_cmd *cmd, const char *path, FILE *to);

/* ---- cmd_opts.c ---- */

/*
 * The next option's id, or -1 when only operands are left, from argv[optind].
 * The option's argument is in optarg.
 */
int pst_cmd_getopt(const struct pst_cmd_ctx *ctx, int argc, char **argv);

/* The same with -e, and with '?' and ':' for what getopt_long(3) refuses. */
int pst_cmd_next_opt(const struct pst_cmd *cmd, int argc, char **argv);

/* ---- cmd_find.c ---- */

/*
 * The command of group that is called name, or NULL. nearest: what is written
 * like it, with the groups it is in, "host check", or "".
 */
const struct pst_cmd *pst_cmd_find(const struct pst_cmd *group,
				   const char *name, char *nearest,
				   size_t size);

/* Writes the names of a group's commands. */
void pst_cmd_names(const struct pst_cmd *group, char *ret, size_t size);

/* Usage errors: the group, whose full name is path, has no such command,
 * nearest as pst_cmd_find() left it; ctx->cmd has no such option, or several
 * that begin so. text: the whole word that option is, or is in. */
int pst_cmd_no_command(const struct pst_cmd_ctx *ctx,
		       const struct pst_cmd *group, const char *path,
		       const char *name, const char *nearest);
int pst_cmd_no_option(const struct pst_cmd_ctx *ctx, const char *option,
		      const char *text);

/* ---- cmd_say.c ---- */

/* Prints "penstock CMD: sentence (see ...)", returns PST_EXIT_USAGE. For what
 * the user wrote wrongly: options, values, an endpoint. */
int pst_cmd_usage(const struct pst_cmd_ctx *ctx, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Prints "penstock CMD: sentence" on stderr, returns PST_EXIT_FAILED. With
 * --json the first such sentence is the message of "error" on stdout. */
int pst_cmd_fail(const struct pst_cmd_ctx *ctx, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * Takes a command's one JSON object, which is printed when the command has
 * ended, with "schema" before and, when it failed, "error" behind; NULL (out of
 * memory while it was built) fails. Returns PST_EXIT_OK or PST_EXIT_FAILED.
 */
int pst_cmd_print_json(const struct pst_cmd_ctx *ctx, json_t *object);

/* A number, or null for one that JSON does not have. */
json_t *pst_cmd_real(double v);

/* A string, bytes that are no UTF-8 as U+FFFD, or null for NULL. NULL: out of
 * memory. */
json_t *pst_cmd_text(const char *s);

/* ---- cmd_value.c: values of options; each prints the usage error itself and
 * returns false ---- */

bool pst_cmd_arg_u64(const struct pst_cmd_ctx *ctx, const char *what,
		     const char *text, uint64_t min, uint64_t max,
		     uint64_t *ret);
bool pst_cmd_arg_double(const struct pst_cmd_ctx *ctx, const char *what,
			const char *text, double *ret);

/* Bytes. Few of them without a unit are a unit forgotten. */
bool pst_cmd_arg_size(const struct pst_cmd_ctx *ctx, const char *what,
		      const char *text, uint64_t *ret);
/* The same for what makes no sense without any, and has 0 for "not given". */
bool pst_cmd_arg_size_not_0(const struct pst_cmd_ctx *ctx, const char *what,
			    const char *text, uint64_t *ret);
/* The same for a region's file, of a size that it can have. */
bool pst_cmd_arg_region(const struct pst_cmd_ctx *ctx, const char *what,
			const char *text, uint64_t *ret);
bool pst_cmd_arg_duration(const struct pst_cmd_ctx *ctx, const char *what,
			  const char *text, uint64_t *ret_ns);

/* The name of a result's file: not "-". */
bool pst_cmd_arg_output(const struct pst_cmd_ctx *ctx, const char *text,
			const char **ret);

/* What may be given once: *to is set to text, unless it is another already. */
bool pst_cmd_arg_once(const struct pst_cmd_ctx *ctx, const char *what,
		      const char *text, const char **to);

/* One word of list, "none|relu|gelu-tanh": *ret is its place, from 0. '_' is
 * read as '-', as the agent writes some of them. */
bool pst_cmd_arg_word(const struct pst_cmd_ctx *ctx, const char *what,
		      const char *list, const char *text, uint32_t *ret);

#endif
