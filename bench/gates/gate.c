/* SPDX-License-Identifier: MIT */
/* bench/gate: measures every figure that must hold, and says whether it does.
 */
#include "bench/gates/gate.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/clock.h"
#include "bench/gates/peerproc.h"
#include "bench/machine.h"

/* Rows of the table at most. */
#define MAX_FIGURES 64

static const struct pst_bench_gate_group *const tables[] = {
	pst_bench_gate_latency, pst_bench_gate_rate,  pst_bench_gate_memory,
	pst_bench_gate_share,   pst_bench_gate_flood, pst_bench_gate_spawn,
	pst_bench_gate_gateway, pst_bench_gate_peers, pst_bench_gate_blas,
	pst_bench_gate_run,
};

/* What came out, to be said again at the end. */
struct tally {
	unsigned int passed, failed, inconclusive;
};

static const char *verdict_name(enum pst_bench_verdict v)
{
	return v == PST_BENCH_PASS   ? "ok"
	       : v == PST_BENCH_FAIL ? "FAIL"
				     : "INCONCLUSIVE";
}

static void print_figure(const struct pst_bench_figure *f,
			 const struct pst_bench_pairs *p,
			 enum pst_bench_verdict v, unsigned int try)
{
	printf("%-12s %-62s %8.4g %s %-6g", verdict_name(v), f->text,
	       pst_bench_pairs_figure(p),
	       f->bound.at_least ? ">=" : "<=", f->bound.limit);
	printf(" [%.4g / %.4g %s, %zu pairs, probe %.2f",
	       pst_bench_median(p->value, p->n),
	       pst_bench_median(p->reference, p->n), f->unit, p->n,
	       pst_bench_pairs_spread(p));
	if (try > 1)
		printf(", try %u", try);
	puts("]");
	fflush(stdout);
}

/* All pairs of a group, once. */
static int run_pairs(struct pst_bench_gate *g,
		     const struct pst_bench_gate_group *group,
		     unsigned int n_figures, struct pst_bench_pairs *pairs)
{
	struct pst_bench_sample samples[PST_BENCH_GATE_FIGURES];
	double probe = 0, p99;
	void *state = NULL;
	unsigned int i, j;
	int r = 0;

	memset(pairs, 0, n_figures * sizeof(*pairs));
	g->in_turn = false;
	if (group->open)
		r = group->open(g, &state);
	for (i = 0; i < group->n_pairs && !r; i++) {
		r = pst_bench_gate_probe(g, &probe, &p99);
		if (!r)
			r = group->pair(g, state, samples);
		for (j = 0; j < n_figures && !r; j++) {
			pairs[j].value[i] = samples[j].value;
			pairs[j].reference[i] = samples[j].reference;
			pairs[j].probe[i] = g->in_turn ? 0 : probe;
			pairs[j].n = i + 1;
		}
	}
	if (group->close)
		group->close(g, state);
	return r;
}

static void not_measured(struct pst_bench_gate *g,
			 const struct pst_bench_gate_group *group,
			 unsigned int n_figures, struct tally *t)
{
	unsigned int j;

	for (j = 0; j < n_figures; j++)
		printf("%-12s %-62s not measured: %s\n", "FAIL",
		       group->figures[j].text, g->why);
	t->failed += n_figures;
	fflush(stdout);
}

static void run_group(struct pst_bench_gate *g,
		      const struct pst_bench_gate_group *group, struct tally *t)
{
	static struct pst_bench_pairs pairs[PST_BENCH_GATE_FIGURES];
	enum pst_bench_verdict v[PST_BENCH_GATE_FIGURES];
	unsigned int n = 0, try, j;
	bool again;

	while (n < PST_BENCH_GATE_FIGURES && group->figures[n].text)
		n++;
	for (try = 1; try <= PST_BENCH_JUDGE_TRIES; try++) {
		again = false;
		if (run_pairs(g, group, n, pairs) < 0) {
			not_measured(g, group, n, t);
			return;
		}
		for (j = 0; j < n; j++) {
			v[j] = pst_bench_pairs_judge(&pairs[j],
						     &group->figures[j].bound);
			again |= v[j] == PST_BENCH_INCONCLUSIVE;
			print_figure(&group->figures[j], &pairs[j], v[j], try);
		}
		if (!again)
			break;
	}
	for (j = 0; j < n; j++) {
		t->passed += v[j] == PST_BENCH_PASS;
		t->failed += v[j] == PST_BENCH_FAIL;
		t->inconclusive += v[j] == PST_BENCH_INCONCLUSIVE;
	}
}

/* Whether a group was asked for; no name asks for all. */
static bool is_wanted(const char *name, int n, char **names)
{
	int i;

	for (i = 0; i < n; i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return n == 0;
}

static bool is_known(const char *name)
{
	const struct pst_bench_gate_group *group;
	size_t i;

	for (i = 0; i < sizeof(tables) / sizeof(*tables); i++)
		for (group = tables[i]; group->name; group++)
			if (strcmp(group->name, name) == 0)
				return true;
	return false;
}

/* NAME as seen from this program's folder; -errno where that is unknown. */
static int beside(const char *name, char *ret, size_t size)
{
	ssize_t n = readlink("/proc/self/exe", ret, size);
	char *slash;
	size_t dir;

	if (n <= 0 || (size_t)n >= size)
		return n < 0 ? -errno : -ENAMETOOLONG;
	ret[n] = '\0';
	slash = strrchr(ret, '/');
	dir = slash ? (size_t)(slash - ret) + 1 : 0;
	if ((size_t)snprintf(ret + dir, size - dir, "%s", name) >= size - dir)
		return -ENAMETOOLONG;
	return 0;
}

/* The agent of this build, beside this program. */
static const char *find_agent(void)
{
	static char path[PATH_MAX];

	if (beside("../guest-agent/penstock-agent", path, sizeof(path)) < 0)
		return "penstock-agent";
	return path;
}

/*
 * The script that runs peers: beside this program, else in the source that it
 * was built from. What "make peers" built lies beside this program.
 */
static const char *find_peers(void)
{
	static char path[PATH_MAX];
	const char *named = getenv("PENSTOCK_PEERS");

	if (beside("peers", path, sizeof(path)) == 0 && access(path, X_OK) == 0)
		setenv("PENSTOCK_PEERS_BUILD", path, false);
	if (named && *named)
		return named;
	if (beside("peers/run", path, sizeof(path)) == 0 &&
	    access(path, X_OK) == 0)
		return path;
	return PST_PEERS_RUN;
}

static void list(FILE *to)
{
	const struct pst_bench_gate_group *group;
	size_t i, j;

	for (i = 0; i < sizeof(tables) / sizeof(*tables); i++)
		for (group = tables[i]; group->name; group++)
			for (j = 0; j < PST_BENCH_GATE_FIGURES &&
				    group->figures[j].text;
			     j++)
				fprintf(to, "%-10s %s %s %g\n",
					j ? "" : group->name,
					group->figures[j].text,
					group->figures[j].bound.at_least ? ">="
									 : "<=",
					group->figures[j].bound.limit);
	fprintf(to, "peers by %s\n", find_peers());
}

static int set_up(struct pst_bench_gate *g)
{
	struct pst_bench_machine m;
	int r;

	g->agent = find_agent();
	g->peers = find_peers();
	r = pst_bench_cpus_choose(&g->cpus);
	if (r < 0)
		return r;
	if (g->cpus.client == g->cpus.peer)
		return -ENODEV;
	pst_bench_machine_read(&m, "", &g->cpus);
	printf("%s; %s, %d CPUs%s, load %.2f; %s; revision %s\n", m.date, m.cpu,
	       m.n_online, m.virtual ? " of a virtual machine" : "", m.load,
	       m.kernel, pst_bench_revision());
	printf("client on CPU %d, agent on CPU %d, one BLAS thread\n",
	       g->cpus.client, g->cpus.peer);
	pst_bench_cpus_pin(g->cpus.client);
	g->has_blas = pst_bench_blas_open(&g->blas, 1) == 0;
	return pst_bench_probe_open(PST_BENCH_PROBE_LINES, g->cpus.peer,
				    &g->probe);
}

/* Agents die with us; what lies in /tmp and peers would stay. */
static void on_signal(int sig)
{
	pst_bench_agentproc_sweep();
	pst_bench_peer_sweep();
	/* SA_RESETHAND: it now does what it does by default, once unblocked. */
	raise(sig);
}

static void catch_signals(void)
{
	static const int caught[] = {SIGHUP, SIGINT, SIGPIPE, SIGTERM};
	const struct sigaction sa = {
		.sa_handler = on_signal,
		.sa_flags = (int)SA_RESETHAND,
	};
	struct sigaction before;
	size_t i;

	for (i = 0; i < sizeof(caught) / sizeof(*caught); i++) {
		sigaction(caught[i], NULL, &before);
		if (before.sa_handler != SIG_IGN)
			sigaction(caught[i], &sa, NULL);
	}
}

static void usage(FILE *to)
{
	fputs("usage: gate [--list | GROUP...]\n"
	      "Measures every figure that must hold (or those of some groups) "
	      "against its\nbound. Exit: 0 all hold, 1 one does not, 2 wrong "
	      "usage.\nEnvironment: PENSTOCK_AGENT, the agent's program; "
	      "PENSTOCK_PEERS, the script\nthat runs a peer; of these, and of "
	      "what \"make peers\" built, this build's by default.\n",
	      to);
}

int main(int argc, char **argv)
{
	const struct pst_bench_gate_group *group;
	struct pst_bench_gate g = {0};
	struct tally t = {0};
	size_t i;
	int j, r;

	if (argc == 2 &&
	    (strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "--help") == 0)) {
		usage(stdout);
		return 0;
	}
	if (argc == 2 && strcmp(argv[1], "--list") == 0) {
		list(stdout);
		return 0;
	}
	for (j = 1; j < argc; j++) {
		if (!is_known(argv[j])) {
			fprintf(stderr, "gate: no group '%s' (see --list)\n",
				argv[j]);
			return 2;
		}
	}
	catch_signals();
	r = set_up(&g);
	if (r < 0) {
		fprintf(stderr, "gate: %s\n",
			r == -ENODEV ? "two CPUs are needed" : strerror(-r));
		return 1;
	}
	for (i = 0; i < sizeof(tables) / sizeof(*tables); i++)
		for (group = tables[i]; group->name; group++)
			if (is_wanted(group->name, argc - 1, argv + 1))
				run_group(&g, group, &t);
	pst_bench_probe_close(g.probe);
	printf("%u ok, %u failed, %u inconclusive\n", t.passed, t.failed,
	       t.inconclusive);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		fprintf(stderr, "gate: standard output cannot be written\n");
		return 1;
	}
	return t.failed || t.inconclusive;
}
