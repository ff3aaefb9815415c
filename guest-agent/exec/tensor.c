/* SPDX-License-Identifier: MIT */
/* The table of resident tensors: which session owns which memory of the
 * backend. */
#include "guest-agent/exec/tensor.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>

#include "transport/base/util.h"

/* The number of places at first. It doubles when they do not suffice. */
#define FIRST_PLACES 64U
/* The low half of a handle is a place + 1. */
#define MAX_PLACES   (1U << 24)
#define NO_PLACE     UINT32_MAX
#define FIRST_OWNERS 8U

enum state {
	FREE,
	ALIVE,
	QUARANTINED,
};

struct place {
	enum state state;
	uint32_t prev,
		next; /* of the owner's in that state; of the free ones */
	uint64_t handle;
	uint64_t owner;
	uint64_t size;
	uint64_t last; /* operation that began before it was destroyed */
	void *mem;
};

/* Places in the order in which they came into the list: for live ones that is
 * the order of handles. */
struct list {
	uint32_t first, last; /* NO_PLACE: none */
};

/* The owners of tensors: at most one a lane, and sessions that end. */
struct owner {
	uint64_t id;
	struct list alive, quarantined;
	struct pst_agent_tensor_usage usage;
};

struct pst_agent_tensors {
	const struct pst_backend_ops *ops;
	struct pst_backend *backend;
	uint64_t max_bytes;
	uint32_t max_tensors;
	uint32_t generation; /* of the last handle */
	uint32_t n_places;
	uint32_t first_free; /* NO_PLACE: none */
	struct place *places;
	uint32_t n_owners, size_owners;
	struct owner *owners;
	struct pst_agent_tensor_usage usage; /* of all */
};

int pst_agent_tensors_new(const struct pst_backend_ops *ops,
			  struct pst_backend *backend, uint64_t max_bytes,
			  uint32_t max_tensors, struct pst_agent_tensors **ret)
{
	struct pst_agent_tensors *t = calloc(1, sizeof(*t));

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

void pst_agent_tensors_free(struct pst_agent_tensors *t)
{
	uint32_t i;

	if (!t)
		return;
	for (i = 0; i < t->n_places; i++)
		if (t->places[i].state != FREE)
			t->ops->release(t->backend, t->places[i].mem);
	free(t->places);
	free(t->owners);
	free(t);
}

static struct owner *find_owner(const struct pst_agent_tensors *t, uint64_t id)
{
	uint32_t i;

	for (i = 0; i < t->n_owners; i++)
		if (t->owners[i].id == id)
			return &t->owners[i];
	return NULL;
}

/* NULL: out of memory. */
static struct owner *need_owner(struct pst_agent_tensors *t, uint64_t id)
{
	struct owner *o = find_owner(t, id);
	uint32_t size;

	if (o)
		return o;
	if (t->n_owners == t->size_owners) {
		size = t->size_owners ? 2 * t->size_owners : FIRST_OWNERS;
		o = reallocarray(t->owners, size, sizeof(*o));
		if (!o)
			return NULL;
		t->owners = o;
		t->size_owners = size;
	}
	o = &t->owners[t->n_owners++];
	*o = (struct owner){
		.id = id,
		.alive = {NO_PLACE, NO_PLACE},
		.quarantined = {NO_PLACE, NO_PLACE},
	};
	return o;
}

static void forget_if_empty(struct pst_agent_tensors *t, struct owner *o)
{
	if (o->usage.n + o->usage.quarantined_n == 0)
		*o = t->owners[--t->n_owners];
}

static void append(struct pst_agent_tensors *t, struct list *l, struct place *p)
{
	const uint32_t i = (uint32_t)(p - t->places);

	p->prev = l->last;
	p->next = NO_PLACE;
	if (l->last == NO_PLACE)
		l->first = i;
	else
		t->places[l->last].next = i;
	l->last = i;
}

static void take_out(struct pst_agent_tensors *t, struct list *l,
		     const struct place *p)
{
	if (p->prev == NO_PLACE)
		l->first = p->next;
	else
		t->places[p->prev].next = p->next;
	if (p->next == NO_PLACE)
		l->last = p->prev;
	else
		t->places[p->next].prev = p->prev;
}

static void count_alive(struct pst_agent_tensor_usage *u, uint64_t size,
			bool more)
{
	u->bytes += more ? size : 0 - size;
	u->n += more ? 1 : UINT64_MAX;
}

static void count_quarantined(struct pst_agent_tensor_usage *u, uint64_t size,
			      bool more)
{
	u->quarantined_bytes += more ? size : 0 - size;
	u->quarantined_n += more ? 1 : UINT64_MAX;
}

/* Of a live tensor. */
static void put_into_quarantine(struct pst_agent_tensors *t, struct owner *o,
				struct place *p, uint64_t last)
{
	p->last = last;
	take_out(t, &o->alive, p);
	append(t, &o->quarantined, p);
	p->state = QUARANTINED;
	count_alive(&o->usage, p->size, false);
	count_alive(&t->usage, p->size, false);
	count_quarantined(&o->usage, p->size, true);
	count_quarantined(&t->usage, p->size, true);
}

/* The place of owner's live tensor, NULL when there is none. */
static struct place *find(const struct pst_agent_tensors *t, uint64_t owner,
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
static int grow(struct pst_agent_tensors *t)
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
			.next = i + 1 < n ? i + 1 : NO_PLACE,
		};
	t->first_free = t->n_places;
	t->n_places = n;
	t->places = places;
	return 0;
}

static void make_free(struct pst_agent_tensors *t, struct place *p)
{
	*p = (struct place){.next = t->first_free};
	t->first_free = (uint32_t)(p - t->places);
}

/* never: too large even alone. waits: only destroyed ones prevent it. */
static int above_quota(const struct pst_agent_tensor_usage *u, bool never,
		       bool waits, struct pst_error *err, const char *sentence)
{
	if (waits)
		return pst_error_set(err, -EBUSY,
				     "%s; %" PRIu64
				     " bytes of destroyed ones are "
				     "still in use",
				     sentence, u->quarantined_bytes);
	return pst_error_set(err, never ? -EMSGSIZE : -ENOSPC, "%s", sentence);
}

/* Whether owner may have size bytes more, in one more tensor. */
static int check_quota(const struct pst_agent_tensors *t, uint64_t owner,
		       uint64_t size, struct pst_error *err)
{
	struct pst_agent_tensor_usage u;
	char text[160];

	pst_agent_tensors_usage(t, owner, &u);
	if (u.n + u.quarantined_n >= t->max_tensors) {
		snprintf(text, sizeof(text),
			 "the session has %" PRIu64 " tensors, the limit "
			 "(--max-tensors)",
			 u.n);
		return above_quota(&u, t->max_tensors == 0,
				   u.n < t->max_tensors, err, text);
	}
	if (size > t->max_bytes ||
	    u.bytes + u.quarantined_bytes > t->max_bytes - size) {
		snprintf(text, sizeof(text),
			 "%" PRIu64 " bytes more than the session's %" PRIu64
			 " in tensors "
			 "are above the limit of %" PRIu64
			 " (--max-tensor-bytes)",
			 size, u.bytes, t->max_bytes);
		return above_quota(&u, size > t->max_bytes,
				   size <= t->max_bytes &&
					   u.bytes <= t->max_bytes - size,
				   err, text);
	}
	return 0;
}

int pst_agent_tensor_create(struct pst_agent_tensors *t, uint64_t owner,
			    uint64_t size, uint64_t *ret_handle,
			    struct pst_error *err)
{
	struct owner *o;
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
	o = need_owner(t, owner);
	if (!o)
		return pst_error_set(err, -ENOMEM,
				     "no room for another tensor");
	pst_backend_no_reason(err);
	r = t->ops->alloc(t->backend, size, &mem, err);
	if (r < 0) {
		forget_if_empty(t, o);
		return r;
	}
	i = t->first_free;
	p = &t->places[i];
	t->first_free = p->next;
	*p = (struct place){
		.state = ALIVE,
		.handle = (uint64_t)++t->generation << 32 | (i + 1),
		.owner = owner,
		.size = size,
		.mem = mem,
	};
	append(t, &o->alive, p);
	count_alive(&o->usage, size, true);
	count_alive(&t->usage, size, true);
	*ret_handle = p->handle;
	return 0;
}

int pst_agent_tensor_find(const struct pst_agent_tensors *t, uint64_t owner,
			  uint64_t handle, void **ret_mem, uint64_t *ret_size)
{
	const struct place *p = find(t, owner, handle);

	if (!p)
		return -ENOENT;
	*ret_mem = p->mem;
	*ret_size = p->size;
	return 0;
}

int pst_agent_tensor_destroy(struct pst_agent_tensors *t, uint64_t owner,
			     uint64_t handle, uint64_t last)
{
	struct place *p = find(t, owner, handle);

	if (!p)
		return -ENOENT;
	put_into_quarantine(t, find_owner(t, owner), p, last);
	return 0;
}

int pst_agent_tensor_take(struct pst_agent_tensors *t, uint64_t owner,
			  uint64_t handle, void **ret_mem, uint64_t *ret_size)
{
	struct place *p = find(t, owner, handle);
	struct owner *o;

	if (!p)
		return -ENOENT;
	*ret_mem = p->mem;
	*ret_size = p->size;
	o = find_owner(t, owner);
	take_out(t, &o->alive, p);
	count_alive(&o->usage, p->size, false);
	count_alive(&t->usage, p->size, false);
	make_free(t, p);
	forget_if_empty(t, o);
	return 0;
}

uint32_t pst_agent_tensor_list(const struct pst_agent_tensors *t,
			       uint64_t owner, uint64_t after,
			       struct pst_wire_tensor *ret, uint32_t max)
{
	const struct owner *o = find_owner(t, owner);
	const struct place *p;
	uint32_t i, n = 0;

	if (!o)
		return 0;
	/* The last one seen says where to go on, unless it is gone. */
	p = find(t, owner, after);
	i = p ? p->next : o->alive.first;
	for (; i != NO_PLACE && n < max; i = p->next) {
		p = &t->places[i];
		if (p->handle > after)
			ret[n++] = (struct pst_wire_tensor){
				.handle = p->handle,
				.size = p->size,
			};
	}
	return n;
}

void pst_agent_tensors_release_owner(struct pst_agent_tensors *t,
				     uint64_t owner)
{
	struct owner *o = find_owner(t, owner);

	while (o && o->alive.first != NO_PLACE)
		put_into_quarantine(t, o, &t->places[o->alive.first],
				    UINT64_MAX - 1);
}

bool pst_agent_tensors_settle(struct pst_agent_tensors *t, uint64_t owner,
			      uint64_t oldest)
{
	struct owner *o = find_owner(t, owner);
	struct place *p;
	bool left;

	if (!o)
		return false;
	/* Those destroyed first are first. */
	while (o->quarantined.first != NO_PLACE) {
		p = &t->places[o->quarantined.first];
		if (p->last >= oldest)
			break;
		take_out(t, &o->quarantined, p);
		count_quarantined(&o->usage, p->size, false);
		count_quarantined(&t->usage, p->size, false);
		t->ops->release(t->backend, p->mem);
		make_free(t, p);
	}
	left = o->quarantined.first != NO_PLACE;
	forget_if_empty(t, o);
	return left;
}

void pst_agent_tensors_usage(const struct pst_agent_tensors *t, uint64_t owner,
			     struct pst_agent_tensor_usage *ret)
{
	const struct owner *o = owner ? find_owner(t, owner) : NULL;

	if (!owner)
		*ret = t->usage;
	else
		*ret = o ? o->usage : (struct pst_agent_tensor_usage){0};
}
