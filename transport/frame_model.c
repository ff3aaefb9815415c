/* SPDX-License-Identifier: MIT */
/* Payloads of frames about models of files: checked, and written. */
#include <string.h>

#include "transport/base/text.h"
#include "transport/frame.h"

static bool is_zero(const void *p, size_t n)
{
	const uint8_t *b = p;
	size_t i;

	for (i = 0; i < n; i++)
		if (b[i])
			return false;
	return true;
}

/* NUL-terminated text, zeros behind it. */
static bool is_padded(const char *s, size_t size)
{
	const size_t n = strnlen(s, size);

	return n < size && is_zero(s + n, size - n);
}

/* The same, of printable ASCII. */
static bool is_plain(const char *s, size_t size)
{
	size_t i;

	for (i = 0; i < size && s[i]; i++)
		if (s[i] < ' ' || s[i] > '~')
			return false;
	return is_padded(s, size);
}

static int bad(const struct pst_frame *f, const char *what,
	       struct pst_error *err)
{
	return pst_error_set(err, -EPROTO, "%s with a bad %s",
			     pst_frame_name(f->type), what);
}

int pst_frame_model_fill(const struct pst_frame *f,
			 struct pst_wire_model_fill *ret, struct pst_error *err)
{
	struct pst_wire_model_fill l;

	if (f->length < sizeof(l))
		return bad(f, "length", err);
	memcpy(&l, f->payload, sizeof(l));
	if (!l.handle)
		return bad(f, "handle", err);
	if (l.size == 0 || l.size > PST_WIRE_FILL_MAX)
		return bad(f, "size", err);
	if (l.off > PST_WIRE_MAX_FILE || l.file_off > PST_WIRE_MAX_FILE)
		return bad(f, "offset", err);
	*ret = l;
	return 0;
}

/* Returns what is wrong with a file, NULL: nothing. */
static const char *file_bad(const struct pst_wire_model_files *l, uint32_t at)
{
	const struct pst_wire_model_file *file = &l->file[at];
	uint32_t i;

	if (at >= l->n_files)
		return is_zero(file, sizeof(*file)) ? NULL : "list of files";
	if (!is_plain(file->name, sizeof(file->name)))
		return "name of a file";
	if (!file->handle)
		return "handle";
	if (file->reserved0)
		return "reserved field";
	for (i = 0; i < at; i++)
		if (l->file[i].handle == file->handle ||
		    strcmp(l->file[i].name, file->name) == 0)
			return "list of files: one is there twice";
	return NULL;
}

int pst_frame_model_files(const struct pst_frame *f,
			  struct pst_wire_model_files *ret,
			  struct pst_error *err)
{
	struct pst_wire_model_files l;
	const char *what = NULL;
	bool graph = false;
	uint32_t i;

	if (f->length < sizeof(l))
		return bad(f, "length", err);
	memcpy(&l, f->payload, sizeof(l));
	if (!is_plain(l.name, sizeof(l.name)))
		return bad(f, "name", err);
	if (l.format >= PST_WIRE_N_FORMATS)
		return bad(f, "format", err);
	if (l.provider >= PST_WIRE_N_PROVIDERS)
		return bad(f, "provider", err);
	if (l.flags & ~PST_WIRE_MODEL_INSTALL)
		return bad(f, "flag", err);
	if (!is_zero(l.reserved0, sizeof(l.reserved0)))
		return bad(f, "reserved field", err);
	if (l.n_files < 1 || l.n_files > PST_WIRE_MODEL_FILES)
		return bad(f, "number of files", err);
	for (i = 0; !what && i < PST_WIRE_MODEL_FILES; i++) {
		what = file_bad(&l, i);
		graph |= i < l.n_files && !l.file[i].name[0];
	}
	if (what || !graph)
		return bad(f, what ? what : "list of files: none is the model",
			   err);
	*ret = l;
	return 0;
}

static const char *head_bad(const struct pst_wire_model_info *h)
{
	if (!is_plain(h->name, sizeof(h->name)) ||
	    !pst_model_name_is_valid(h->name))
		return "name";
	if (!h->handle)
		return "handle";
	if (h->format >= PST_WIRE_N_FORMATS)
		return "format";
	if (h->state >= PST_WIRE_MODEL_N_STATES)
		return "state";
	if (h->provider >= PST_WIRE_N_PROVIDERS ||
	    h->wanted >= PST_WIRE_N_PROVIDERS)
		return "provider";
	if (h->shared > 1)
		return "word about CPUs";
	if (h->reserved0 || !is_zero(h->reserved1, sizeof(h->reserved1)))
		return "reserved field";
	if (!is_plain(h->runtime, sizeof(h->runtime)) ||
	    !is_plain(h->note, sizeof(h->note)))
		return "text";
	if (h->n_in > PST_WIRE_RUN_IO || h->n_out > PST_WIRE_RUN_IO ||
	    h->n_symbols > PST_WIRE_RUN_SYMBOLS ||
	    h->n_meta > PST_WIRE_MODEL_META)
		return "number of tensors";
	return NULL;
}

static size_t info_size(const struct pst_wire_model_info *h)
{
	return sizeof(*h) +
	       (h->n_in + h->n_out) * sizeof(struct pst_wire_model_tensor) +
	       h->n_symbols * sizeof(((struct pst_run_model *)0)->symbol[0]) +
	       h->n_meta;
}

/* Lines of text, without another control character. */
static bool is_lines(const char *s, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (((uint8_t)s[i] < ' ' && s[i] != '\n') || s[i] == 0x7f ||
		    ((uint8_t)s[i] == 0xc2 && (uint8_t)s[i + 1] < 0xa0))
			return false;
	return pst_utf8_is_valid(s);
}

static void take_tensor(struct pst_run_tensor *t,
			const struct pst_wire_model_tensor *w)
{
	static_assert(sizeof(t->name) == sizeof(w->name) &&
			      sizeof(t->dim) == sizeof(w->dim) &&
			      sizeof(t->symbol) == sizeof(w->symbol),
		      "the same on the wire");
	memcpy(t->name, w->name, sizeof(t->name));
	t->dtype = w->dtype;
	t->rank = w->rank;
	memcpy(t->dim, w->dim, sizeof(t->dim));
	memcpy(t->symbol, w->symbol, sizeof(t->symbol));
}

int pst_frame_model_info(const struct pst_frame *f, struct pst_model_info *ret,
			 struct pst_error *err)
{
	struct pst_run_model *m = &ret->shape;
	struct pst_wire_model_tensor w;
	const uint8_t *p = f->payload;
	const char *what;
	uint32_t i;

	if (f->length < sizeof(ret->head))
		return bad(f, "length", err);
	memset(ret, 0, sizeof(*ret));
	memcpy(&ret->head, p, sizeof(ret->head));
	what = head_bad(&ret->head);
	if (!what && info_size(&ret->head) != f->length)
		what = "length";
	if (what)
		return bad(f, what, err);
	p += sizeof(ret->head);
	m->n_in = ret->head.n_in;
	m->n_out = ret->head.n_out;
	m->n_symbols = ret->head.n_symbols;
	for (i = 0; i < m->n_in + m->n_out; i++, p += sizeof(w)) {
		memcpy(&w, p, sizeof(w));
		take_tensor(&m->io[i], &w);
		if (!is_padded(w.name, sizeof(w.name)))
			return bad(f, "name of a tensor", err);
	}
	for (i = 0; i < m->n_symbols; i++, p += sizeof(m->symbol[0])) {
		memcpy(m->symbol[i], p, sizeof(m->symbol[0]));
		if (!is_padded(m->symbol[i], sizeof(m->symbol[0])))
			return bad(f, "name of a dimension", err);
	}
	if (ret->head.n_meta)
		memcpy(ret->meta, p, ret->head.n_meta);
	if (!is_lines(ret->meta, ret->head.n_meta))
		return bad(f, "text", err);
	return pst_run_model_check(m, err);
}

size_t pst_frame_model_info_encode(const struct pst_model_info *info,
				   uint8_t *buf)
{
	const struct pst_run_model *m = &info->shape;
	struct pst_wire_model_info h = info->head;
	struct pst_wire_model_tensor w;
	uint8_t *p = buf + sizeof(h);
	uint32_t i;

	h.n_in = m->n_in;
	h.n_out = m->n_out;
	h.n_symbols = m->n_symbols;
	h.n_meta = (uint32_t)strlen(info->meta);
	memcpy(buf, &h, sizeof(h));
	for (i = 0; i < m->n_in + m->n_out; i++, p += sizeof(w)) {
		const struct pst_run_tensor *t = &m->io[i];

		w = (struct pst_wire_model_tensor){.dtype = t->dtype,
						   .rank = t->rank};
		memcpy(w.name, t->name, strnlen(t->name, sizeof(w.name) - 1));
		memcpy(w.dim, t->dim, sizeof(w.dim));
		memcpy(w.symbol, t->symbol, sizeof(w.symbol));
		memcpy(p, &w, sizeof(w));
	}
	for (i = 0; i < m->n_symbols; i++, p += sizeof(m->symbol[0])) {
		memset(p, 0, sizeof(m->symbol[0]));
		memcpy(p, m->symbol[i],
		       strnlen(m->symbol[i], sizeof(m->symbol[0]) - 1));
	}
	memcpy(p, info->meta, h.n_meta);
	return (size_t)(p - buf) + h.n_meta;
}
