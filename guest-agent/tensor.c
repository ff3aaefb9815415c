/* SPDX-License-Identifier: MIT */
/* Resident tensors: which session has which of the backend's memory. */
#include "guest-agent/tensor.h"

#include <stdlib.h>
#include <string.h>

#include "transport/util.h"

/* Places at first; doubled when they do not suffice. */
#define FIRST_PLACES 64U
/* The low half of a handle is a place + 1. */
#define MAX_PLACES (1U << 24)
#define NO_PLACE   UINT32_MAX

enum state {
	FREE,
	ALIVE,
	QUARANTINED,
};

struct place {
	enum state state;
	uint32_t next_free;
	uint64_t handle;
	uint64_t owner;
	uint64_t size;
	void *mem;
};

struct pst_tensors {
	const struct pst_backend_ops *ops;
	struct pst_backend *backend;
	uint64_t max_bytes;
	uint32_t max_tensors;
	uint32_t generation; /* of the last handle */
	uint32_t n_places;
	uint32_t first_free; /* NO_PLACE: none */
	struct place *places;
};

int pst_tensors_new(const struct pst_backend_ops *ops,
		    struct pst_backend *backend, uint64_t max_bytes,
		    uint32_t max_tensors, struct pst_tensors **ret)
{
	struct pst_tensors *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->ops = ops;
	t->backend = backend;
	t->max_bytes = max_bytes;
	t->max_tensors = max_tensors;
	t->first_free = NO_PLACE;
	*ret = t;
	return 0;
}

void pst_tensors_free(struct pst_tensors *t)
{
	uint32_t i;

	if (!t)
		return;
	for (i = 0; i < t->n_places; i++)
		if (t->places[i].state != FREE)
			t->ops->release(t->backend, t->places[i].mem);
	free(t->places);
	free(t);
}

/* The place of owner's live tensor, NULL when there is none. */
static struct place *find(const struct pst_tensors *t, uint64_t owner,
			  uint64_t handle)
{
	/* Place 0 - 1 wraps and is too large. */
	const uint32_t i = (uint32_t)handle - 1;
	struct place *p;

	if (i >= t->n_places)
		return NULL;
	p = &t->places[i];
	if (p->state != ALIVE || p->handle != handle || p->owner != owner)
		return NULL;
	return p;
}

/* Makes room for more places. */
static int grow(struct pst_tensors *t)
{
	uint32_t n = t->n_places ? 2 * t->n_places : FIRST_PLACES;
	struct place *places;
	uint32_t i;

	if (n > MAX_PLACES)
		return -ENOMEM;
	places = realloc(t->places, n * sizeof(*places));
	if (!places)
		return -ENOMEM;
	for (i = t->n_places; i < n; i++)
		places[i] = (struct place){
			.next_free = i + 1 < n ? i + 1 : NO_PLACE,
		};
	t->first_free = t->n_places;
	t->n_places = n;
	t->places = places;
	return 0;
}

static void make_free(struct pst_tensors *t, struct place *p)
{
	*p = (struct place){.next_free = t->first_free};
	t->first_free = (uint32_t)(p - t->places);
}

/* never: not even alone. waits: destroyed ones stand in the way. */
static int above_quota(const struct pst_tensor_usage *u, bool never, bool waits,
		       struct pst_error *err, const char *sentence)
{
	if (waits)
		return pst_error_set(err, -EBUSY,
				     "%s; %llu bytes of destroyed ones are "
				     "still in use",
				     sentence,
				     (unsigned long long)u->quarantined_bytes);
	return pst_error_set(err, never ? -EMSGSIZE : -ENOSPC, "%s", sentence);
}

/* Whether owner may have size bytes more, in one more tensor. */
static int check_quota(const struct pst_tensors *t, uint64_t owner,
		       uint64_t size, struct pst_error *err)
{
	struct pst_tensor_usage u;
	char text[160];

	pst_tensors_usage(t, owner, &u);
	if (u.n + u.quarantined_n >= t->max_tensors) {
		snprintf(text, sizeof(text),
			 "the session has %llu tensors, the limit "
			 "(--max-tensors)",
			 (unsigned long long)u.n);
		return above_quota(&u, t->max_tensors == 0,
				   u.n < t->max_tensors, err, text);
	}
	if (size > t->max_bytes ||
	    u.bytes + u.quarantined_bytes > t->max_bytes - size) {
		snprintf(text, sizeof(text),
			 "%llu bytes more than the session's %llu in tensors "
			 "are above the limit of %llu (--max-tensor-bytes)",
			 (unsigned long long)size, (unsigned long long)u.bytes,
			 (unsigned long long)t->max_bytes);
		return above_quota(&u, size > t->max_bytes,
				   size <= t->max_bytes &&
					   u.bytes <= t->max_bytes - size,
				   err, text);
	}
	return 0;
}

int pst_tensor_create(struct pst_tensors *t, uint64_t owner, uint64_t size,
		      uint64_t *ret_handle, struct pst_error *err)
{
	struct place *p;
	uint32_t i;
	void *mem;
	int r;

	if (size == 0 || owner == 0)
		return pst_error_set(err, -EINVAL,
				     "a tensor of 0 bytes was asked for");
	if (!t->ops->alloc)
		return pst_error_set(err, -EOPNOTSUPP,
				     "the %s backend has no resident tensors",
				     t->ops->name);
	r = check_quota(t, owner, size, err);
	if (r < 0)
		return r;
	if (t->first_free == NO_PLACE && grow(t) < 0)
		return pst_error_set(err, -ENOMEM,
				     "no room for another tensor");
	pst_error_set(err, 0, "the backend gave no reason");
	r = t->ops->alloc(t->backend, size, &mem, err);
	if (r < 0)
		return r;
	i = t->first_free;
	p = &t->places[i];
	t->first_free = p->next_free;
	*p = (struct place){
		.state = ALIVE,
		.handle = (uint64_t)++t->generation << 32 | (i + 1),
		.owner = owner,
		.size = size,
		.mem = mem,
	};
	*ret_handle = p->handle;
	return 0;
}

int pst_tensor_find(const struct pst_tensors *t, uint64_t owner,
		    uint64_t handle, void **ret_mem, uint64_t *ret_size)
{
	const struct place *p = find(t, owner, handle);

	if (!p)
		return -ENOENT;
	*ret_mem = p->mem;
	*ret_size = p->size;
	return 0;
}

int pst_tensor_destroy(struct pst_tensors *t, uint64_t owner, uint64_t handle)
{
	struct place *p = find(t, owner, handle);

	if (!p)
		return -ENOENT;
	p->state = QUARANTINED;
	return 0;
}

int pst_tensor_take(struct pst_tensors *t, uint64_t owner, uint64_t handle,
		    void **ret_mem, uint64_t *ret_size)
{
	struct place *p = find(t, owner, handle);

	if (!p)
		return -ENOENT;
	*ret_mem = p->mem;
	*ret_size = p->size;
	make_free(t, p);
	return 0;
}

static int by_handle(const void *a, const void *b)
{
	const uint64_t x = ((const struct pst_wire_tensor *)a)->handle;
	const uint64_t y = ((const struct pst_wire_tensor *)b)->handle;

	return (x > y) - (x < y);
}

int pst_tensor_list(const struct pst_tensors *t, uint64_t owner, uint64_t after,
		    struct pst_wire_tensor *ret, uint32_t max)
{
	PST_CLEANUP_FREE struct pst_wire_tensor *all = NULL;
	struct pst_tensor_usage u;
	const struct place *p;
	uint32_t i, n = 0;

	pst_tensors_usage(t, owner, &u);
	if (owner == 0 || u.n == 0)
		return 0;
	all = malloc(u.n * sizeof(*all));
	if (!all)
		return -ENOMEM;
	for (i = 0; i < t->n_places; i++) {
		p = &t->places[i];
		if (p->state == ALIVE && p->owner == owner && p->handle > after)
			all[n++] = (struct pst_wire_tensor){
				.handle = p->handle,
				.size = p->size,
			};
	}
	qsort(all, n, sizeof(*all), by_handle);
	if (n > max)
		n = max;
	memcpy(ret, all, n * sizeof(*ret));
	return (int)n;
}

void pst_tensors_release_owner(struct pst_tensors *t, uint64_t owner)
{
	uint32_t i;

	for (i = 0; i < t->n_places; i++)
		if (t->places[i].state == ALIVE && t->places[i].owner == owner)
			t->places[i].state = QUARANTINED;
}

void pst_tensors_settle(struct pst_tensors *t, uint64_t owner)
{
	struct place *p;
	uint32_t i;

	for (i = 0; i < t->n_places; i++) {
		p = &t->places[i];
		if (p->state != QUARANTINED || p->owner != owner)
			continue;
		t->ops->release(t->backend, p->mem);
		make_free(t, p);
	}
}

void pst_tensors_usage(const struct pst_tensors *t, uint64_t owner,
		       struct pst_tensor_usage *ret)
{
	const struct place *p;
	uint32_t i;

	*ret = (struct pst_tensor_usage){0};
	for (i = 0; i < t->n_places; i++) {
		p = &t->places[i];
		if (p->state == FREE || (owner && p->owner != owner))
			continue;
		if (p->state == ALIVE) {
			ret->bytes += p->size;
			ret->n++;
		} else {
			ret->quarantined_bytes += p->size;
			ret->quarantined_n++;
		}
	}
}
