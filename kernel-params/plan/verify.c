/* SPDX-License-Identifier: MIT */
/* Compares a plan with the running machine. */
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "kernel-params/check/reset.h"
#include "kernel-params/edit/diff.h"
#include "kernel-params/plan/plan.h"
#include "kernel-params/syntax/cmdline.h"

__attribute__((format(printf, 4, 5))) static int
add(struct pst_host_verdicts *v, const char *id, bool good, const char *fmt,
    ...)
{
	struct pst_host_verdict *grown =
		reallocarray(v->verdict, v->n + 1, sizeof(*grown));
	struct pst_host_verdict one = {.good = good};
	va_list ap;
	int r;

	if (!grown)
		return -ENOMEM;
	v->verdict = grown;
	va_start(ap, fmt);
	r = vasprintf(&one.what, fmt, ap);
	va_end(ap);
	if (r < 0)
		return -ENOMEM;
	one.id = strdup(id);
	if (!one.id) {
		free(one.what);
		return -ENOMEM;
	}
	v->verdict[v->n++] = one;
	return 0;
}

void pst_host_verdicts_done(struct pst_host_verdicts *v)
{
	while (v->n > 0) {
		free(v->verdict[--v->n].id);
		free(v->verdict[v->n].what);
	}
	free(v->verdict);
	v->verdict = NULL;
}

static int check_journal(const struct pst_host_journal *j,
			 struct pst_host_verdicts *v, struct pst_error *err)
{
	size_t i;
	int r = 0;

	if (j->state == PST_HOST_JOURNAL_PENDING ||
	    j->state == PST_HOST_JOURNAL_UNDOING)
		r = add(v, "journal", false,
			"an %s was cut off: run penstock host %s",
			j->state == PST_HOST_JOURNAL_PENDING ? "apply" : "undo",
			j->state == PST_HOST_JOURNAL_PENDING ? "apply (or undo)"
							     : "undo");
	for (i = 0; r == 0 && i < j->n; i++) {
		const struct pst_host_journal_entry *e = &j->entry[i];
		PST_CLEANUP_FREE char *now = NULL;
		bool same;

		r = pst_host_journal_read(j->root, e->path, &now, err);
		if (r < 0)
			return r;
		same = pst_host_text_same(now, e->text);
		r = add(v, "file", same, "%s %s", e->path,
			same  ? "is as it was written"
			: now ? "was edited since"
			      : "is gone");
	}
	return r;
}

static int check_params(const struct pst_host_plan *p,
			struct pst_host_verdicts *v)
{
	char pool[PST_HOST_POOL_TEXT_LEN];
	size_t i, n = p->params.n;
	int r = 0, holds;

	if (p->request.targets && !(p->targets & PST_HOST_TARGETS_LOADER))
		return 0;
	pst_host_pool_text(p->params.pool_node, p->params.pool_pages, pool);
	if (pst_host_params_have_pool(&p->params) &&
	    p->targets & PST_HOST_TARGETS_LOADER)
		n++;
	for (i = 0; r == 0 && i < n; i++) {
		const char *word = i < p->params.n ? p->params.word[i] : pool;

		holds = pst_host_params_holds(p->host->cmdline_text, &p->params,
					      i);
		if (holds < 0)
			return holds;
		/* "amd_iommu=" only says what must not be there. */
		if (word[strlen(word) - 1] == '=' && holds)
			continue;
		r = add(v, "parameter", holds, "%s %s the command line", word,
			holds ? "is on" : "is not on");
	}
	return r;
}

static int check_drivers(const struct pst_host_plan *p,
			 struct pst_host_verdicts *v)
{
	size_t i;
	int r = 0;

	for (i = 0; r == 0 && i < p->n_fn; i++) {
		const struct pst_host_pci_dev *d = p->fn[i];
		bool good = pst_host_pci_on_vfio(d);

		r = add(v, "driver", good, "%s (%s) is bound to %s", d->name,
			pst_host_pci_kind(d),
			*d->driver ? d->driver : "nothing");
	}
	if (r == 0)
		r = add(v, "group", p->host->gpu->iommu_group >= 0,
			p->host->gpu->iommu_group >= 0
				? "%s is in IOMMU group %d"
				: "%s is in no IOMMU group: the IOMMU is off",
			p->host->gpu->name, p->host->gpu->iommu_group);
	return r;
}

/* What the rules of udev have set. */
static int check_card(const struct pst_host_plan *p,
		      struct pst_host_verdicts *v)
{
	const struct pst_host_card_state *s = &p->host->state;
	size_t i;
	int r = 0;

	if (p->method_of)
		r = add(v, "reset", !pst_host_reset_has(p->method_of, "flr"),
			"%s is reset by %s", p->method_of->name,
			*p->method_of->reset_method
				? p->method_of->reset_method
				: "the bus of the whole card");
	for (i = 0; r == 0 && p->stays_awake && i < s->n; i++)
		if (s->fn[i].d3cold_allowed >= 0)
			r = add(v, "power", s->fn[i].d3cold_allowed == 0,
				"%s may %sgo to D3cold", s->fn[i].dev->name,
				s->fn[i].d3cold_allowed ? "" : "not ");
	return r;
}

static int check_pool(const struct pst_host_plan *p,
		      struct pst_host_verdicts *v)
{
	const struct pst_host_params *w = &p->params;
	const struct pst_host_hugepool *pool = pst_host_memory_pool(
		&p->host->memory, PST_HOST_HUGE_2M, w->pool_node);
	char where[32] = "this host";
	uint64_t have = pool ? pool->nr : 0;

	if (!w->pool_pages)
		return 0;
	if (w->pool_node >= 0)
		snprintf(where, sizeof(where), "NUMA node %d", w->pool_node);
	return add(v, "pool", have >= w->pool_pages,
		   "%s has %" PRIu64 " of %" PRIu64 " hugepages of 2 MiB",
		   where, have, w->pool_pages);
}

static int check_module(const struct pst_host_plan *p, const char *name,
			struct pst_host_verdicts *v)
{
	enum pst_host_module_state state =
		pst_host_module_state(&p->host->modules, name);

	return add(v, "module", pst_host_module_is_in(&p->host->modules, name),
		   "%s is %s", name, pst_host_module_state_text(state));
}

int pst_host_plan_verify(const struct pst_host_plan *p,
			 const struct pst_host_journal *j,
			 struct pst_host_verdicts *ret, struct pst_error *err)
{
	int r;

	*ret = (struct pst_host_verdicts){0};
	r = check_journal(j, ret, err);
	if (r == 0)
		r = check_params(p, ret);
	if (r == 0)
		r = check_drivers(p, ret);
	if (r == 0)
		r = check_card(p, ret);
	if (r == 0)
		r = check_pool(p, ret);
	if (r == 0)
		r = check_module(p, "vfio_pci", ret);
	if (r == 0 &&
	    p->targets & (PST_HOST_TARGET_MODPROBE | PST_HOST_TARGET_NIXOS))
		r = check_module(p, "vhost_vsock", ret);
	if (r < 0)
		pst_host_verdicts_done(ret);
	return r == -ENOMEM ? pst_oom(err) : r;
}
