/* SPDX-License-Identifier: MIT */
/* A model of rows on its way from a safetensors file into the backend. */
#include "guest-agent/serve/models/rows.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "guest-agent/model/model_plan.h"
#include "guest-agent/model/safetensors.h"

#define LENGTH sizeof(uint64_t)
/* Between two pieces other clients are served. */
#define PIECE (4ULL << 20)

struct pst_rows {
	struct pst_backend_use use;
	int fd;
	struct pst_agent_model_plan plan;
	uint64_t at;   /* of the weights in the file */
	uint64_t size; /* of the weights */
	uint64_t done;
	void *mem; /* NULL: none yet, or it is the model's */
	uint8_t piece[PIECE];
};

static int read_all(int fd, void *buf, uint64_t n, uint64_t at,
		    struct pst_error *err)
{
	uint64_t done = 0;
	ssize_t k;

	while (done < n) {
		k = pread(fd, (uint8_t *)buf + done, n - done,
			  (off_t)(at + done));
		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return pst_error_set_errno(err, errno,
						   "cannot read the model");
		if (k == 0)
			return pst_error_set(err, -EINVAL,
					     "the file is cut short");
		done += (uint64_t)k;
	}
	return 0;
}

/* The length and the JSON, in memory that nobody else changes. */
static int read_header(int fd, uint64_t size, uint8_t **ret, uint64_t *ret_n,
		       struct pst_error *err)
{
	uint64_t n;
	uint8_t *header;
	int r;

	r = read_all(fd, &n, sizeof(n), 0, err);
	if (r < 0)
		return r;
	n = le64toh(n);
	if (n > PST_AGENT_SAFETENSORS_MAX_JSON)
		return pst_error_set(err, -EMSGSIZE,
				     "a model's header of %" PRIu64
				     " bytes is above the limit of %u",
				     n, PST_AGENT_SAFETENSORS_MAX_JSON);
	n += LENGTH;
	if (n > size)
		return pst_error_set(err, -EINVAL, "the file is cut short");
	header = malloc(n);
	if (!header)
		return pst_oom(err);
	r = read_all(fd, header, n, 0, err);
	if (r < 0) {
		free(header);
		return r;
	}
	*ret = header;
	*ret_n = n;
	return 0;
}

int pst_rows_new(const struct pst_backend_use *use, int fd, uint64_t size,
		 struct pst_rows **ret, struct pst_error *err)
{
	PST_CLEANUP_FREE uint8_t *header = NULL;
	struct pst_agent_model_plan plan;
	struct pst_rows *rows;
	uint64_t n = 0;
	int r;

	if (!use->ops->model_new || !use->ops->upload)
		return pst_error_set(err, -EOPNOTSUPP,
				     "the %s backend loads no safetensors "
				     "files",
				     use->ops->name);
	r = read_header(fd, size, &header, &n, err);
	if (r == 0 && n == size)
		r = pst_error_set(err, -EINVAL, "the file has no weights");
	if (r == 0)
		r = pst_agent_models_plan(header, n, size - n, &plan, err);
	/* A file that is cut short is a malformed argument here. */
	if (r < 0)
		return r == -ENODATA ? -EINVAL : r;
	rows = malloc(sizeof(*rows));
	if (!rows) {
		pst_agent_model_plan_done(&plan);
		return pst_oom(err);
	}
	rows->use = *use;
	rows->fd = fd;
	rows->plan = plan;
	rows->at = n;
	rows->size = size - n;
	rows->done = 0;
	rows->mem = NULL;
	*ret = rows;
	return 0;
}

void pst_rows_free(struct pst_rows *r)
{
	if (!r)
		return;
	if (r->mem)
		r->use.ops->release(r->use.backend, r->mem);
	pst_agent_model_plan_done(&r->plan);
	close(r->fd);
	free(r);
}

uint64_t pst_rows_size(const struct pst_rows *r)
{
	return r->size;
}

static int bring(struct pst_rows *r, struct pst_error *err)
{
	const uint64_t n = pst_min_u64(r->size - r->done, PIECE);
	int e = read_all(r->fd, r->piece, n, r->at + r->done, err);

	if (e == 0)
		e = r->use.ops->upload(r->use.backend, r->mem, r->done,
				       r->piece, n, err);
	r->done += n;
	return e < 0 ? e : 1;
}

int pst_rows_step(struct pst_rows *r, struct pst_agent_models *m,
		  uint64_t handle, struct pst_wire_model *ret,
		  struct pst_error *err)
{
	int e = 0;

	pst_backend_no_reason(err);
	if (!r->mem)
		e = r->use.ops->alloc(r->use.backend, r->size, &r->mem, err);
	if (e < 0)
		return e;
	if (r->done < r->size)
		return bring(r, err);
	e = pst_agent_models_fill(m, handle, &r->plan, r->mem, ret, err);
	if (e == 0)
		r->mem = NULL;
	return e;
}
