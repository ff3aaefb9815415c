/* SPDX-License-Identifier: MIT */
/* The directory of models that an agent loads at its start. */
#include "guest-agent/serve/onnx_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guest-agent/serve/agent.h"
#include "guest-agent/serve/onnx.h"
#include "guest-agent/service/log.h"

#define SUFFIX ".onnx"
#define GRAPH  "model.onnx"

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

/* All files of NAME/, model.onnx being the graph. */
static int add_all(int dir, const char *name, struct pst_agent_onnx_load *l,
		   struct pst_error *err)
{
	CLEANUP_DIR DIR *d = NULL;
	const struct dirent *e;
	int fd, r = 0;

	fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	d = fd < 0 ? NULL : fdopendir(fd);
	if (!d) {
		pst_close_fd(fd);
		return pst_error_set_errno(err, errno, "cannot open %s", name);
	}
	while (r == 0 && (e = readdir(d)))
		if (e->d_name[0] != '.')
			r = add(dirfd(d), e->d_name,
				strcmp(e->d_name, GRAPH) ? e->d_name : "", l,
				err);
	return r;
}

static void load(struct pst_agent *a, int dir, const char *entry)
{
	struct pst_agent_onnx_load l = {0};
	struct pst_error err;
	char name[PST_WIRE_MODEL_NAME];
	size_t n = strlen(entry);
	struct stat st;
	uint32_t i;
	int r = 0;

	if (fstatat(dir, entry, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	if (S_ISREG(st.st_mode)) {
		if (n <= strlen(SUFFIX) ||
		    strcmp(entry + n - strlen(SUFFIX), SUFFIX) != 0)
			return;
		n -= strlen(SUFFIX);
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
