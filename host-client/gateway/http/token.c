/* SPDX-License-Identifier: MIT */
/* The tokens that clients on TCP show, from a file. */
#include "host-client/gateway/http/token.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "host-client/gateway/http/head.h"

#define FILE_MAX  16384U
#define TOKEN_MIN 16U
/* A head is searched for one with a name in room for twice that. */
#define TOKEN_MAX 512U

static int take_line(struct pst_gw_tokens *t, const char *path, char *line,
		     struct pst_error *err)
{
	size_t n = strlen(line);

	while (n > 0 && (line[n - 1] == ' ' || line[n - 1] == '\r'))
		line[--n] = '\0';
	if (n == 0 || line[0] == '#')
		return 0;
	if (n < TOKEN_MIN || n > TOKEN_MAX ||
	    strspn(line, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
			 "abcdefghijklmnopqrstuvwxyz"
			 "0123456789-._~+/=") != n)
		return pst_error_set(err, -EINVAL,
				     "%s: a token has %u to %u characters of "
				     "A-Z a-z 0-9 - . _ ~ + / =",
				     path, TOKEN_MIN, TOKEN_MAX);
	if (t->n == PST_GW_MAX_TOKENS)
		return pst_error_set(err, -EINVAL, "%s has more than %u tokens",
				     path, PST_GW_MAX_TOKENS);
	t->token[t->n++] = line;
	return 0;
}

int pst_gw_tokens_read(struct pst_gw_tokens *t, const char *path,
		       struct pst_error *err)
{
	PST_CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char *line, *rest;
	struct stat st;
	ssize_t n;
	int r = 0;

	*t = (struct pst_gw_tokens){0};
	if (fd < 0 || fstat(fd, &st) < 0)
		return pst_error_set_errno(err, errno, "cannot open %s", path);
	if (!S_ISREG(st.st_mode) || (st.st_mode & 0007) != 0)
		return pst_error_set(err, -EPERM,
				     "%s: a file of tokens is a regular file "
				     "that others cannot read (chmod o=)",
				     path);
	t->text = calloc(1, FILE_MAX + 1);
	if (!t->text)
		return pst_oom(err);
	n = read(fd, t->text, FILE_MAX);
	if (n < 0 || n == FILE_MAX)
		r = pst_error_set_errno(err, n < 0 ? errno : EMSGSIZE,
					"cannot read %s", path);
	/* What follows a NUL would be left out without a word. */
	if (r == 0 && strlen(t->text) != (size_t)n)
		r = pst_error_set(err, -EINVAL, "%s is no text", path);
	for (rest = t->text; r == 0 && (line = strsep(&rest, "\n"));)
		r = take_line(t, path, line, err);
	if (r == 0 && t->n == 0)
		r = pst_error_set(err, -EINVAL, "%s has no token", path);
	if (r < 0)
		pst_gw_tokens_done(t);
	return r;
}

void pst_gw_tokens_done(struct pst_gw_tokens *t)
{
	if (t->text)
		explicit_bzero(t->text, FILE_MAX);
	free(t->text);
	*t = (struct pst_gw_tokens){0};
}

int pst_gw_tokens_find(const struct pst_gw_tokens *t, const char *token)
{
	unsigned int i;
	int found = -1;

	for (i = 0; i < t->n; i++)
		if (pst_gw_token_equal(token, t->token[i]))
			found = (int)i;
	return found;
}
