/* SPDX-License-Identifier: MIT */
/* The agent's command line and configuration file. */
#include "guest-agent/options.h"

#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "guest-agent/config.h"
#include "guest-agent/settings.h"
#include "transport/base/util.h"

/* Values of long options, beyond those of short ones. */
#define FIRST_VAL 256
/* How a value was given, in a sentence. */
#define WHERE_SIZE 256
#define SECTION    "agent"

/* What the command line has. */
struct command {
	bool has[PST_AGENT_N_SETTINGS];
	const char *config; /* NULL: no --config */
};

static void print_help(void)
{
	char left[40];
	size_t i;

	printf("Usage: penstock-agent [OPTION]...\n"
	       "Serves matrix products on a region of memory that host and "
	       "guest share.\n\n");
	for (i = 0; i < PST_AGENT_N_SETTINGS; i++) {
		snprintf(left, sizeof(left), "--%s%s%s",
			 pst_agent_settings[i].name,
			 pst_agent_settings[i].arg ? " " : "",
			 pst_agent_settings[i].arg ? pst_agent_settings[i].arg
						   : "");
		printf("  %-22s %s\n", left, pst_agent_settings[i].help);
	}
	printf("\nSee penstock-agent(8).\n");
}

/* getopt reports an unknown option, or a missing argument, by what follows in
 * argv; its own messages are off, to have one sentence. */
static int usage(char **argv, int c, struct pst_error *err)
{
	return pst_error_set(err, -EINVAL, "%s: %s (see --help)",
			     argv[optind - 1],
			     c == ':' ? "needs an argument" : "unknown option");
}

static int take_option(struct pst_agent_options *o, struct command *cmd,
		       enum pst_agent_setting s, const char *arg,
		       struct pst_error *err)
{
	char where[WHERE_SIZE];

	cmd->has[s] = true;
	if (s == PST_AGENT_SET_CONFIG) {
		cmd->config = arg;
		return 0;
	}
	if (s == PST_AGENT_SET_GRANT) {
		o->grant = arg;
		return 0;
	}
	snprintf(where, sizeof(where), "--%s %.128s",
		 pst_agent_settings[s].name, arg);
	return pst_agent_setting_apply(o, s, where, arg, err);
}

static int parse_command(int argc, char **argv, struct pst_agent_options *o,
			 struct command *cmd, struct pst_error *err)
{
	struct option longopts[PST_AGENT_N_SETTINGS + 1] = {{0}};
	int c, i, r;

	for (i = 0; i < PST_AGENT_N_SETTINGS; i++)
		longopts[i] = (struct option){
			.name = pst_agent_settings[i].name,
			.has_arg = pst_agent_settings[i].arg ? required_argument
							     : no_argument,
			.val = FIRST_VAL + i,
		};
	optind = 1;
	while ((c = getopt_long(argc, argv, ":h", longopts, NULL)) != -1) {
		if (c == '?' || c == ':')
			return usage(argv, c, err);
		if (c == 'h' || c == FIRST_VAL + PST_AGENT_SET_HELP) {
			print_help();
			return 1;
		}
		if (c == FIRST_VAL + PST_AGENT_SET_VERSION) {
			printf("penstock-agent %s\n", PACKAGE_VERSION);
			return 1;
		}
		r = take_option(o, cmd, (enum pst_agent_setting)(c - FIRST_VAL),
				optarg, err);
		if (r < 0)
			return r;
	}
	if (optind < argc)
		return pst_error_set(err, -EINVAL,
				     "unexpected argument %s (see --help)",
				     argv[optind]);
	return 0;
}

/* A file's bytes and a NUL. *ret is NULL when it does not exist and need
 * not. */
static int read_file(const char *path, bool must_exist, char **ret,
		     size_t *ret_n, struct pst_error *err)
{
	PST_CLEANUP_FREE char *text = malloc(PST_AGENT_CONFIG_MAX + 2);
	PST_CLEANUP_FD int fd = -1;
	size_t n = 0;
	ssize_t r;

	*ret = NULL;
	*ret_n = 0;
	if (!text)
		return pst_oom(err);
	/* A FIFO without a writer ends at once. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 && errno == ENOENT && !must_exist)
		return 0;
	if (fd < 0)
		return pst_error_set_errno(err, errno, "cannot open %s", path);
	while (n <= PST_AGENT_CONFIG_MAX) {
		r = read(fd, text + n, PST_AGENT_CONFIG_MAX + 1 - n);
		if (r < 0)
			return pst_error_set_errno(err, errno, "cannot read %s",
						   path);
		if (r == 0)
			break;
		n += (size_t)r;
	}
	if (n > PST_AGENT_CONFIG_MAX)
		return pst_error_set(err, -EMSGSIZE,
				     "%s is larger than %u bytes", path,
				     PST_AGENT_CONFIG_MAX);
	*ret = text;
	*ret_n = n;
	text = NULL;
	return 0;
}

/* One key of the file; a list's words one by one. */
static int take_value(struct pst_agent_options *o, enum pst_agent_setting s,
		      const char *path, const struct pst_agent_config_value *v,
		      struct pst_error *err)
{
	char where[WHERE_SIZE], *word, *rest = v->text;
	int r = 0;

	if (pst_agent_settings[s].kind == PST_AGENT_SETTING_KEY) {
		snprintf(where, sizeof(where), "%s:%u: %s = %.128s", path,
			 v->line, pst_agent_settings[s].name, v->text);
		return pst_agent_setting_apply(o, s, where, v->text, err);
	}
	while (r == 0 && (word = strsep(&rest, " \t"))) {
		if (!*word)
			continue;
		snprintf(where, sizeof(where), "%s:%u: %s = %.128s", path,
			 v->line, pst_agent_settings[s].name, word);
		r = pst_agent_setting_apply(o, s, where, word, err);
	}
	return r;
}

static int parse_file(const char *path, char *text, size_t n,
		      struct pst_agent_options *o, const struct command *cmd,
		      struct pst_error *err)
{
	struct pst_agent_config_key keys[PST_AGENT_N_SETTINGS];
	struct pst_agent_config_value values[PST_AGENT_N_SETTINGS];
	enum pst_agent_setting which[PST_AGENT_N_SETTINGS];
	struct pst_agent_options scratch;
	size_t i, n_keys = 0;
	int r;

	for (i = 0; i < PST_AGENT_N_SETTINGS; i++) {
		if (pst_agent_settings[i].kind == PST_AGENT_SETTING_COMMAND)
			continue;
		which[n_keys] = (enum pst_agent_setting)i;
		keys[n_keys++] = (struct pst_agent_config_key){
			SECTION, pst_agent_settings[i].name};
	}
	r = pst_agent_config_parse(path, text, n, keys, n_keys, values, err);
	pst_agent_settings_default(&scratch);
	for (i = 0; r == 0 && i < n_keys; i++)
		if (values[i].text)
			/* What the command line has anew is only checked. */
			r = take_value(cmd->has[which[i]] ? &scratch : o,
				       which[i], path, &values[i], err);
	return r;
}

int pst_agent_options_parse(int argc, char **argv,
			    struct pst_agent_options *ret,
			    struct pst_error *err)
{
	struct command cmd = {.config = NULL};
	const char *path = PST_AGENT_OPTIONS_FILE;
	size_t n;
	int r;

	pst_agent_settings_default(ret);
	r = parse_command(argc, argv, ret, &cmd, err);
	if (r)
		return r;
	if (cmd.has[PST_AGENT_SET_SERVE_FD] && !cmd.config)
		return 0;
	if (cmd.config)
		path = cmd.config;
	r = read_file(path, cmd.config != NULL, &ret->file_text, &n, err);
	if (r < 0 || !ret->file_text)
		return r;
	return parse_file(path, ret->file_text, n, ret, &cmd, err);
}

void pst_agent_options_done(struct pst_agent_options *o)
{
	free(o->file_text);
	o->file_text = NULL;
}
