/* SPDX-License-Identifier: MIT */
/* The directory of models that an agent loads at its start. */
#include "guest-agent/serve/models/onnx_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guest-agent/serve/models/onnx.h"
#include "guest-agent/serve/models/onnx_install.h"
#include "guest-agent/serve/state/agent.h"
#include "guest-agent/service/log.h"

/* Of a model that is one file. */
static const char *const suffixes[] = {
	[PST_WIRE_SAFETENSORS] = ".safetensors",
	[PST_WIRE_ONNX] = ".onnx",
};

static void close_dir(DIR **d)
{
	if (*d)
		closedir(*d);
}
#define CLEANUP_DIR __attribute__((cleanup(close_dir)))

/* Adds a regular file to a load. Returns 0 or -errno with a sentence. */
static int add(int dir, const char *file, const char *name,
	       struct pst_agent_onnx_load *l, struct pst_error *err)
{
	struct pst_ort_file *f = &l->files[l->n];
	struct stat st;
	int fd;

	if (l->n == PST_WIRE_MODEL_FILES)
		return pst_error_set(err, -EMSGSIZE,
				     "it has more than %u files",
				     PST_WIRE_MODEL_FILES);
	if (strlen(name) >= sizeof(f->name))
		return pst_error_set(err, -EINVAL, "the name %s is too long",
				     name);
	fd = openat(dir, file, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return pst_error_set_errno(err, errno, "cannot open %s", file);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size == 0) {
		close(fd);
		return pst_error_set(err, -EINVAL,
				     "%s is no file, or has no bytes", file);
	}
	*f = (struct pst_ort_file){.fd = fd, .size = (uint64_t)st.st_size};
	strcpy(f->name, name);
	l->n++;
	return 0;
}

/* All files of NAME/, one of which is the model itself. */
static int add_all(int dir, const char *name, struct pst_agent_onnx_load *l,
		   struct pst_error *err)
{
	CLEANUP_DIR DIR *d = NULL;
	const struct dirent *e;
	const char *model;
	int fd, r = 0;

	fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	d = fd < 0 ? NULL : fdopendir(fd);
	if (!d) {
		pst_close_fd(fd);
		return pst_error_set_errno(err, errno, "cannot open %s", name);
	}
	model = pst_agent_install_name(PST_WIRE_SAFETENSORS);
	l->format = faccessat(dirfd(d), model, F_OK, AT_SYMLINK_NOFOLLOW)
			    ? PST_WIRE_ONNX
			    : PST_WIRE_SAFETENSORS;
	model = pst_agent_install_name(l->format);
	while (r == 0 && (e = readdir(d)))
		if (e->d_name[0] != '.')
			r = add(dirfd(d), e->d_name,
				strcmp(e->d_name, model) ? e->d_name : "", l,
				err);
	return r;
}

/* Whether an entry is a model that is one file: its format, and *n is without
 * the suffix; else -1. */
static int format_of(const char *entry, size_t *n)
{
	unsigned int i;
	size_t k;

	for (i = 0; i < PST_ARRAY_SIZE(suffixes); i++) {
		k = strlen(suffixes[i]);
		if (*n > k && strcmp(entry + *n - k, suffixes[i]) == 0) {
			*n -= k;
			return (int)i;
		}
	}
	return -1;
}

static void load(struct pst_agent *a, int dir, const char *entry)
{
	struct pst_agent_onnx_load l = {0};
	struct pst_error err;
	char name[PST_WIRE_MODEL_NAME];
	size_t n = strlen(entry);
	struct stat st;
	uint32_t i;
	int format, r = 0;

	if (fstatat(dir, entry, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	if (S_ISREG(st.st_mode)) {
		format = format_of(entry, &n);
		if (format < 0)
			return;
		l.format = (uint32_t)format;
	}
	if (n >= sizeof(name))
		return;
	memcpy(name, entry, n);
	name[n] = '\0';
	l.name = name;
	if (!pst_model_name_is_valid(name))
		r = pst_error_set(&err, -EINVAL,
				  "a model's name is made of A-Z a-z 0-9 . _ "
				  "and -");
	else if (S_ISREG(st.st_mode))
		r = add(dir, entry, "", &l, &err);
	else if (S_ISDIR(st.st_mode))
		r = add_all(dir, entry, &l, &err);
	else
		r = pst_error_set(&err, -EINVAL,
				  "it is neither a file nor a directory");
	if (r == 0)
		r = pst_agent_onnx_load(a, &l, &err);
	else
		for (i = 0; i < l.n; i++)
			close(l.files[i].fd);
	if (r < 0)
		pst_agent_log(PST_AGENT_LOG_WARNING,
			      "%s of models_dir is not loaded: %s", entry,
			      err.text);
}

static int is_shown(const struct dirent *e)
{
	return e->d_name[0] != '.';
}

void pst_agent_onnx_dir_load(struct pst_agent *a, const char *path)
{
	struct dirent **list;
	int fd, i, n;

	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	n = fd < 0 ? -1 : scandirat(fd, ".", &list, is_shown, alphasort);
	if (n < 0)
		pst_agent_log(PST_AGENT_LOG_WARNING,
			      "models_dir %s cannot be read: %s", path,
			      strerror(errno));
	for (i = 0; i < n; i++) {
		load(a, fd, list[i]->d_name);
		free(list[i]);
	}
	if (n >= 0)
		free(list);
	pst_close_fd(fd);
}
