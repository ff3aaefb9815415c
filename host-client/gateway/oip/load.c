/* SPDX-License-Identifier: MIT */
/* Loads and unloads models for clients, who send the files: no path of this
 * host is read for them. */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include "host-client/gateway/http/routes.h"
#include "host-client/gateway/oip/json.h"
#include "host-client/gateway/oip/oip.h"

#define OPEN_NS  (5 * PST_NS_PER_S)
#define LOAD_NS  (600 * PST_NS_PER_S)
#define KEY_SIZE 256U
/* What is decoded at a time. */
#define PIECE 4096U

struct load {
	struct pst_gw_job job; /* first */
	struct pst_gw_request *request;
	struct pst_gw_engines *engines;
	struct pst_gw_peer *peer;
	struct pst_gw_waiter waiter;
	bool is_raw;             /* no JSON is left to be read */
	int fd;                  /* of the file, in memory */
	struct pst_gw_text text; /* JSON, as it came */
	unsigned int at;         /* the engine whose turn it is */
	unsigned int n_done;
	bool under_way;
	uint64_t done_ns; /* when the last one was */
};

/* ---- The file ---- */

static int put(struct load *l, const void *data, size_t n,
	       struct pst_error *err)
{
	const char *at = data;
	ssize_t r;

	for (; n > 0; n -= (size_t)r, at += r) {
		r = write(l->fd, at, n);
		if (r < 0)
			return pst_error_set_errno(err, errno,
						   "cannot keep the file");
	}
	return 0;
}

/* The value of "file:", a string of base64. */
static int decode(struct load *l, struct pst_gw_span s, struct pst_error *err)
{
	char piece[PIECE];
	unsigned int bits = 0, n_bits = 0;
	size_t i, n = 0;
	int digit, r = 0;

	for (i = 1; r == 0 && i + 1 < s.n && s.at[i] != '='; i++) {
		/* "\/" is a slash, too. */
		if (s.at[i] == '\\')
			continue;
		digit = pst_gw_base64_digit(s.at[i]);
		if (digit < 0)
			return pst_error_set(err, -EINVAL,
					     "the file is not in base64");
		bits = (bits << 6 | (unsigned int)digit) & 0xffff;
		n_bits += 6;
		if (n_bits < 8)
			continue;
		n_bits -= 8;
		piece[n++] = (char)(bits >> n_bits & 0xff);
		if (n == sizeof(piece)) {
			r = put(l, piece, n, err);
			n = 0;
		}
	}
	return r < 0 ? r : put(l, piece, n, err);
}

static struct pst_gw_span find_file(struct pst_gw_json *j)
{
	struct pst_gw_span file = {0}, value;
	char key[KEY_SIZE];

	for (pst_gw_json_open(j, '{'); pst_gw_json_more(j, '}');) {
		pst_gw_json_key(j, key, sizeof(key));
		if (strncmp(key, "file:", 5) != 0) {
			(void)pst_gw_json_skip(j);
			continue;
		}
		if (file.n)
			pst_gw_json_fail(j, "a model is one file here");
		if (pst_gw_json_peek(j) != '"')
			pst_gw_json_fail(j, "a file is a string of base64");
		value = pst_gw_json_skip(j);
		file = value;
	}
	return file;
}

static int read_json(struct load *l, struct pst_error *err)
{
	struct pst_gw_span file = {0};
	struct pst_gw_json j;
	char key[KEY_SIZE];

	pst_gw_json_init(&j, l->text.at ? l->text.at : "", l->text.n);
	for (pst_gw_json_open(&j, '{'); pst_gw_json_more(&j, '}');) {
		pst_gw_json_key(&j, key, sizeof(key));
		if (strcmp(key, "parameters") == 0 && !pst_gw_json_null(&j))
			file = find_file(&j);
		else
			(void)pst_gw_json_skip(&j);
	}
	if (!pst_gw_json_done(&j))
		return pst_error_set(err, -EINVAL,
				     "the request is malformed: %s", j.wrong);
	if (!file.n)
		return pst_error_set(err, -EINVAL,
				     "the model's file is missing: send it as "
				     "the parameter \"file:NAME\" in base64, "
				     "or as a body of application/"
				     "octet-stream; no path is read here");
	return decode(l, file, err);
}

/* Files that an ONNX file names would be looked for beside it: of this host's,
 * a client may name none. */
static int check_file(const struct load *l, struct pst_error *err)
{
	static const char location[] = "\x0a\x08location\x12";
	const off_t n = lseek(l->fd, 0, SEEK_END);
	bool names;
	void *at;

	if (n <= 0)
		return pst_error_set(err, -EINVAL, "the file is empty");
	at = mmap(NULL, (size_t)n, PROT_READ, MAP_PRIVATE, l->fd, 0);
	if (at == MAP_FAILED)
		return pst_error_set_errno(err, errno, "mmap");
	names = memmem(at, (size_t)n, location, sizeof(location) - 1);
	(void)munmap(at, (size_t)n);
	return names ? pst_error_set(err, -EINVAL,
				     "the model's weights are in other files: "
				     "put them into this one")
		     : 0;
}

/* ---- In the worker ---- */

/* Whether to give up. */
static int progress(void *arg, uint64_t done, uint64_t total)
{
	const struct load *l = arg;

	(void)done;
	(void)total;
	return pst_gw_is_left(l->request);
}

static int run_load(struct pst_gw_job *j, struct pst *none,
		    struct pst_error *err)
{
	struct load *l = (struct load *)j;
	struct pst_options o = PST_OPTIONS_INIT;
	struct pst_load_args a = PST_LOAD_INIT;
	struct pst *c;
	char path[32], text[sizeof(err->text)];
	bool is_path;
	int r;

	(void)none;
	r = l->is_raw ? 0 : read_json(l, err);
	pst_gw_text_done(&l->text);
	l->is_raw = true;
	if (r == 0)
		r = check_file(l, err);
	if (r < 0)
		return r;
	o.timeout_ns = OPEN_NS;
	r = pst_open(l->engines->list[l->at].agent->uri, &o, &c, err->text,
		     sizeof(err->text));
	if (r < 0)
		return r;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", l->fd);
	a.name = l->request->word[0];
	a.path = path;
	a.progress = progress;
	a.arg = l;
	r = pst_model_load_file(c, &a, LOAD_NS, NULL);
	if (r < 0) {
		pst_last_error(c, text, sizeof(text));
		/* The client knows of no path. */
		is_path = strncmp(text, path, strlen(path)) == 0;
		pst_error_set(err, r, "%s%s", is_path ? "the file" : "",
			      text + (is_path ? strlen(path) : 0));
	}
	pst_close(c);
	return r;
}

static int run_unload(struct pst_gw_job *j, struct pst *c,
		      struct pst_error *err)
{
	int r = pst_model_unload(c, ((struct load *)j)->request->word[0]);

	if (r < 0)
		pst_last_error(c, err->text, sizeof(err->text));
	return r;
}

static void ended(struct pst_gw_job *j)
{
	pst_gw_go_on(((struct load *)j)->request);
}

/* ---- The route ---- */

static bool is_load(const struct load *l)
{
	return l->job.run == run_load;
}

static void load_done(struct pst_gw_request *r)
{
	struct load *l = r->state;

	if (!l)
		return;
	pst_gw_engines_leave(l->engines, &l->waiter);
	if (l->peer)
		pst_gw_peer_give_op(l->peer);
	pst_gw_text_done(&l->text);
	pst_close_fd(l->fd);
	free(l);
}

static void begin(struct pst_gw_request *r,
		  int (*run)(struct pst_gw_job *j, struct pst *c,
			     struct pst_error *err))
{
	const char *type = pst_gw_header(r, "Content-Type");
	struct load *l;

	if (!r->context->options->allow_load) {
		pst_gw_reply_error(r, 403,
				   "models are loaded and unloaded by their "
				   "owner only (--allow-load)");
		return;
	}
	if (strcmp(r->word[0], PST_GW_GEMM) == 0) {
		pst_gw_reply_error(r, 400, "the model gemm is built in");
		return;
	}
	l = calloc(1, sizeof(*l));
	if (!l) {
		pst_gw_reply_error(r, 503, "out of memory");
		return;
	}
	r->state = l;
	l->job.run = run;
	l->job.done = ended;
	l->job.no_connection = is_load(l);
	l->request = l->waiter.request = r;
	l->engines = r->context->engines;
	l->is_raw =
		type && strncasecmp(type, "application/octet-stream", 24) == 0;
	l->fd = is_load(l) ? memfd_create("model", MFD_CLOEXEC) : -1;
	if (is_load(l) && l->fd < 0)
		pst_gw_reply_error(r, 503, "no memory for the file: %s",
				   strerror(errno));
}

static void begin_load(struct pst_gw_request *r)
{
	begin(r, run_load);
}

static void begin_unload(struct pst_gw_request *r)
{
	begin(r, run_unload);
}

static size_t body(struct pst_gw_request *r, const char *data, size_t n)
{
	struct load *l = r->state;
	struct pst_error err;

	if (!l->is_raw)
		pst_gw_text_bytes(&l->text, data, n);
	else if (put(l, data, n, &err) < 0)
		pst_gw_oip_failure(r, &err);
	return n;
}

static void failed(struct pst_gw_request *r, struct load *l)
{
	struct pst_error *err = &l->job.error;

	if (l->engines->n > 1)
		pst_error_prefix(err, l->engines->list[l->at].agent->name);
	if (err->code == -EBUSY)
		pst_gw_reply_error(r, 409, "%s", err->text);
	else
		pst_gw_oip_failure(r, err);
}

/* Every agent that answers has done it: replies once their lists say so. */
static void finish(struct pst_gw_request *r, struct load *l)
{
	static const char text[] = "{}\n";
	struct pst_gw_agent *a;
	bool all = true;
	unsigned int i;

	if (l->n_done == 0) {
		pst_gw_reply_error(r, is_load(l) ? 503 : 404,
				   is_load(l) ? "no agent answers"
					      : "there is no such model");
		return;
	}
	for (i = 0; i < l->engines->n; i++) {
		a = l->engines->list[i].agent;
		if (!a->seen->up || a->seen->began_ns >= l->done_ns)
			continue;
		pst_gw_agent_hurry(a);
		all = false;
	}
	if (all || !pst_gw_engines_wait(l->engines, &l->waiter))
		pst_gw_reply_static(r, "application/json", text,
				    sizeof(text) - 1);
}

/* One agent after the other. */
static void step(struct pst_gw_request *r, struct load *l)
{
	struct pst_gw_engine *e;

	if (l->under_way) {
		l->under_way = false;
		/* One that lacks it has nothing to unload. */
		if (l->job.error.code < 0 &&
		    (is_load(l) || l->job.error.code != -ENOENT)) {
			failed(r, l);
			return;
		}
		l->n_done += l->job.error.code == 0;
		l->done_ns = pst_now_ns();
		l->at++;
	}
	while (l->at < l->engines->n &&
	       !l->engines->list[l->at].agent->seen->up)
		l->at++;
	if (l->at == l->engines->n) {
		finish(r, l);
		return;
	}
	e = &l->engines->list[l->at];
	l->under_way = true;
	pst_gw_worker_give(is_load(l) ? &e->slow : &e->quick, &l->job);
	pst_gw_wait(r);
}

static void handle(struct pst_gw_request *r)
{
	struct load *l = r->state;

	if (l->text.failed)
		pst_gw_reply_error(r, 503, "out of memory");
	else if (l->peer || (l->peer = pst_gw_take_op(r)))
		step(r, l);
}

const struct pst_gw_route pst_gw_load_routes[] = {
	{.path = "/v2/repository/models/*/load",
	 .methods = PST_GW_POST,
	 .begin = begin_load,
	 .body = body,
	 .handle = handle,
	 .done = load_done},
	{.path = "/v2/repository/models/*/unload",
	 .methods = PST_GW_POST,
	 .begin = begin_unload,
	 .handle = handle,
	 .done = load_done},
	{0},
};
