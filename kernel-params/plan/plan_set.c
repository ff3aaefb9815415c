/* SPDX-License-Identifier: MIT */
/* The files that a program reads its settings from, edited as one. */
#include <string.h>

#include "kernel-params/plan/plan.h"

struct pst_host_plan_set *
pst_host_plan_set_new(struct pst_host_plan *p, const struct pst_host_journal *j)
{
	struct pst_host_plan_set *s = calloc(1, sizeof(*s));

	if (s) {
		s->plan = p;
		s->journal = j;
	}
	return s;
}

void pst_host_plan_set_free(struct pst_host_plan_set *s)
{
	size_t i;

	for (i = 0; s && i < s->n; i++)
		free(s->file[i].text);
	free(s);
}

int pst_host_plan_set_add(struct pst_host_plan_set *s, const char *path,
			  struct pst_error *err)
{
	size_t i = s->n;

	if (i == PST_HOST_PLAN_SET_MAX)
		return pst_error_set(err, -EINVAL,
				     "more than %d files hold settings, up to "
				     "%s",
				     PST_HOST_PLAN_SET_MAX, path);
	if (pst_host_path(s->path[i], "%s", path) < 0)
		return pst_error_set(err, -EINVAL, "%s is too long", path);
	s->file[i].path = s->path[i];
	s->n++;
	return pst_host_journal_base(s->journal, s->path[i], &s->file[i].text,
				     NULL, err);
}

int pst_host_plan_set_add_dir(struct pst_host_plan_set *s, const char *dir,
			      const char *ending, const char *except,
			      struct pst_error *err)
{
	PST_HOST_CLEANUP_NAMES struct pst_host_names names = {0};
	char path[PST_HOST_ROOT_PATH_MAX];
	size_t i, len, n = strlen(ending);
	int r = pst_host_root_list(s->plan->host->root, dir, &names);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return pst_error_set_errno(err, -r, "cannot read %s", dir);
	for (i = 0; r == 0 && i < names.n; i++) {
		len = strlen(names.name[i]);
		if (len <= n || names.name[i][0] == '.' ||
		    strcmp(names.name[i] + len - n, ending) != 0 ||
		    strcmp(names.name[i], except) == 0)
			continue;
		if (pst_host_path(path, "%s/%s", dir, names.name[i]) < 0)
			return pst_error_set(err, -EINVAL, "%s is too long",
					     names.name[i]);
		r = pst_host_plan_set_add(s, path, err);
	}
	return r;
}

int pst_host_plan_set_write(struct pst_host_plan_set *s, unsigned int target,
			    size_t own, struct pst_error *err)
{
	size_t i;
	int r = 0;

	for (i = 0; r == 0 && i < s->n; i++) {
		r = pst_host_plan_file(s->plan, s->journal, target, s->path[i],
				       s->file[i].text, 0644, i == own, err);
		s->file[i].text = NULL;
	}
	return r;
}
