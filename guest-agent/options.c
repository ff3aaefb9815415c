/* SPDX-License-Identifier: MIT */
/* The agent's command line. */
#include "guest-agent/options.h"

#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "transport/util.h"

/* Defaults of the limits. A side that fits in 20 bits times another is far
 * above any arena; the sizes of operands are bounded by max_elems and by what
 * is leased. */
#define DEFAULT_MAX_CLIENTS 16U
#define DEFAULT_MAX_DIM     (1U << 20)
#define DEFAULT_MAX_ELEMS   (1ULL << 32)
#define DEFAULT_SPIN_NS     (50 * PST_NS_PER_US)
#define MAX_SPIN_NS         (PST_NS_PER_S)
#define DRAIN_NS            (10 * PST_NS_PER_S)
#define MAX_THREADS         1024U
#define MAX_NODE            1023U
/* Values of long options, beyond those of short ones. */
#define FIRST_VAL 256

enum opt {
	OPT_LISTEN,
	OPT_REGION,
	OPT_BACKEND,
	OPT_THREADS,
	OPT_NUMA_NODE,
	OPT_SPIN,
	OPT_ALLOW_CID,
	OPT_MAX_CLIENTS,
	OPT_MAX_DIM,
	OPT_MAX_ELEMS,
	OPT_MAX_LEASE,
	OPT_SCRUB,
	OPT_SYSFS,
	OPT_LOOP,
	OPT_LOG_LEVEL,
	OPT_SERVE_FD,
	OPT_HELP,
	OPT_VERSION,
	N_OPTS
};

static const struct {
	const char *name;
	const char *arg; /* NULL: none */
	const char *help;
} descriptions[N_OPTS] = {
	[OPT_LISTEN] = {"listen", "WHERE",
			"vsock:PORT or unix:PATH, may be repeated "
			"[vsock:7070]"},
	[OPT_REGION] = {"region", "SPEC",
			"auto, ivshmem[:ADDR], dax[:daxX.Y], file:PATH, "
			"memfd:SIZE or fd:N [auto]"},
	[OPT_BACKEND] = {"backend", "NAME", "auto or cpu [auto]"},
	[OPT_THREADS] = {"threads", "N", "threads of the backend [all CPUs]"},
	[OPT_NUMA_NODE] = {"numa-node", "N",
			   "run on this node's CPUs only, or any [any]"},
	[OPT_SPIN] = {"spin", "DURATION", "spin before sleeping [50us]"},
	[OPT_ALLOW_CID] = {"allow-cid", "CID",
			   "accept this vsock peer beside the host, may be "
			   "repeated"},
	[OPT_MAX_CLIENTS] = {"max-clients", "N", "lanes, 1 to 31 [16]"},
	[OPT_MAX_DIM] = {"max-dim", "N",
			 "largest m, n, k, leading dimension [1048576]"},
	[OPT_MAX_ELEMS] = {"max-elems", "N",
			   "most elements of one operand [4294967296]"},
	[OPT_MAX_LEASE] = {"max-lease", "SIZE",
			   "most bytes leased to one client [the arena]"},
	[OPT_SCRUB] = {"scrub", "yes|no",
		       "zero released memory before others get it [no]"},
	[OPT_SYSFS] = {"sysfs", "DIR", "where sysfs is mounted [/sys]"},
	[OPT_LOOP] = {"loop", "KIND", "auto, uring or poll [auto]"},
	[OPT_LOG_LEVEL] = {"log-level", "LEVEL",
			   "error, warning, info or debug [info]"},
	[OPT_SERVE_FD] = {"serve-fd", "N",
			  "serve the connected socket N, exit when it closes"},
	[OPT_HELP] = {"help", NULL, "print this and exit"},
	[OPT_VERSION] = {"version", NULL, "print the version and exit"},
};

static void print_help(void)
{
	char left[40];
	size_t i;

	printf("Usage: penstock-agent [OPTION]...\n"
	       "Serves matrix products on a region of memory that host and "
	       "guest share.\n\n");
	for (i = 0; i < N_OPTS; i++) {
		snprintf(left, sizeof(left), "--%s%s%s", descriptions[i].name,
			 descriptions[i].arg ? " " : "",
			 descriptions[i].arg ? descriptions[i].arg : "");
		printf("  %-22s %s\n", left, descriptions[i].help);
	}
	printf("\nSee penstock-agent(8).\n");
}

static int bad(struct pst_error *err, enum opt opt, const char *arg)
{
	return pst_error_set(err, -EINVAL, "--%s %s: expected %s",
			     descriptions[opt].name, arg,
			     descriptions[opt].arg);
}

/* A number in [min, max] for an option that wants one. */
static int number(enum opt opt, const char *arg, uint64_t min, uint64_t max,
		  uint64_t *ret, struct pst_error *err)
{
	if (pst_parse_u64(arg, min, max, ret) == 0)
		return 0;
	return pst_error_set(err, -EINVAL,
			     "--%s %s: expected a number from %llu to %llu",
			     descriptions[opt].name, arg,
			     (unsigned long long)min, (unsigned long long)max);
}

static int number32(enum opt opt, const char *arg, uint32_t min, uint32_t max,
		    uint32_t *ret, struct pst_error *err)
{
	uint64_t v;
	int r = number(opt, arg, min, max, &v, err);

	if (r == 0)
		*ret = (uint32_t)v;
	return r;
}

static int add_listen(struct pst_server_config *c, const char *arg,
		      struct pst_error *err)
{
	if (c->n_listens == PST_SERVER_MAX_LISTENS)
		return pst_error_set(err, -EINVAL,
				     "more than %u times --listen",
				     PST_SERVER_MAX_LISTENS);
	return pst_listen_parse(arg, &c->listens[c->n_listens++], err);
}

static int add_cid(struct pst_server_config *c, const char *arg,
		   struct pst_error *err)
{
	if (c->n_cids == PST_CONN_MAX_CIDS)
		return pst_error_set(err, -EINVAL,
				     "more than %u times --allow-cid",
				     PST_CONN_MAX_CIDS);
	return number32(OPT_ALLOW_CID, arg, 0, UINT32_MAX - 1,
			&c->cids[c->n_cids++], err);
}

static int parse_node(const char *arg, int *ret, struct pst_error *err)
{
	uint32_t node;
	int r;

	if (strcmp(arg, "any") == 0) {
		*ret = -1;
		return 0;
	}
	r = number32(OPT_NUMA_NODE, arg, 0, MAX_NODE, &node, err);
	if (r == 0)
		*ret = (int)node;
	return r;
}

static int parse_loop(const char *arg, enum pst_loop_kind *ret)
{
	if (strcmp(arg, "auto") == 0)
		*ret = PST_LOOP_AUTO;
	else if (strcmp(arg, "uring") == 0)
		*ret = PST_LOOP_URING;
	else if (strcmp(arg, "poll") == 0)
		*ret = PST_LOOP_POLL;
	else
		return -EINVAL;
	return 0;
}

static int parse_spin(const char *arg, uint64_t *ret)
{
	if (pst_parse_duration(arg, ret) < 0 || *ret > MAX_SPIN_NS)
		return -EINVAL;
	return 0;
}

static int parse_bool(const char *arg, bool *ret)
{
	*ret = strcmp(arg, "yes") == 0;
	return *ret || strcmp(arg, "no") == 0 ? 0 : -EINVAL;
}

/* The options that shape the server's limits. */
static int parse_limit(struct pst_wire_limits *l, enum opt opt, const char *arg,
		       struct pst_error *err)
{
	switch (opt) {
	case OPT_MAX_CLIENTS:
		return number32(opt, arg, 1, PST_WIRE_MAX_LANES,
				&l->max_clients, err);
	case OPT_MAX_DIM:
		/* A BLAS takes dimensions as int. */
		return number32(opt, arg, 1, INT_MAX, &l->max_dim, err);
	case OPT_MAX_ELEMS:
		return number(opt, arg, 1, PST_WIRE_MAX_FILE, &l->max_elems,
			      err);
	default:
		if (pst_parse_size(arg, &l->max_lease) < 0 ||
		    l->max_lease < PST_WIRE_UNIT)
			return pst_error_set(
				err, -EINVAL,
				"--max-lease %s: expected a size of at least "
				"2M",
				arg);
		return 0;
	}
}

static int parse_one(struct pst_options *o, enum opt opt, const char *arg,
		     struct pst_error *err)
{
	struct pst_server_config *c = &o->server;
	uint32_t fd;
	int r = 0;

	switch (opt) {
	case OPT_LISTEN:
		return add_listen(c, arg, err);
	case OPT_REGION:
		c->region = arg;
		return 0;
	case OPT_SYSFS:
		c->sysfs = arg;
		return 0;
	case OPT_BACKEND:
		c->backend = pst_backend_find(arg);
		r = c->backend ? 0 : -EINVAL;
		break;
	case OPT_THREADS:
		return number32(opt, arg, 1, MAX_THREADS, &c->threads, err);
	case OPT_NUMA_NODE:
		return parse_node(arg, &c->numa_node, err);
	case OPT_SPIN:
		r = parse_spin(arg, &c->spin_ns);
		break;
	case OPT_ALLOW_CID:
		return add_cid(c, arg, err);
	case OPT_SCRUB:
		r = parse_bool(arg, &c->scrub);
		break;
	case OPT_LOOP:
		r = parse_loop(arg, &c->loop);
		break;
	case OPT_LOG_LEVEL:
		r = pst_log_level_parse(arg, &o->log_level) ? 0 : -EINVAL;
		break;
	case OPT_SERVE_FD:
		r = number32(opt, arg, 0, INT_MAX, &fd, err);
		if (r == 0)
			c->serve_fd = (int)fd;
		return r;
	default:
		return parse_limit(&c->limits, opt, arg, err);
	}
	return r < 0 ? bad(err, opt, arg) : 0;
}

static void set_defaults(struct pst_options *o)
{
	*o = (struct pst_options){
		.log_level = PST_LOG_INFO,
		.server =
			{
				.serve_fd = -1,
				.numa_node = -1,
				.region = "auto",
				.sysfs = "/sys",
				.backend = pst_backend_find("auto"),
				.spin_ns = DEFAULT_SPIN_NS,
				.drain_ns = DRAIN_NS,
				.limits =
					{
						.max_clients =
							DEFAULT_MAX_CLIENTS,
						.max_dim = DEFAULT_MAX_DIM,
						.max_elems = DEFAULT_MAX_ELEMS,
					},
			},
	};
}

static int finish(struct pst_server_config *c, struct pst_error *err)
{
	if (c->n_listens || c->serve_fd >= 0)
		return 0;
	c->n_listens = 1;
	return pst_listen_parse("vsock:7070", &c->listens[0], err);
}

/* getopt reports an unknown option, or a missing argument, by what follows in
 * argv; its own messages are off, to have one sentence. */
static int usage(char **argv, int c, struct pst_error *err)
{
	return pst_error_set(err, -EINVAL, "%s: %s (see --help)",
			     argv[optind - 1],
			     c == ':' ? "needs an argument" : "unknown option");
}

int pst_options_parse(int argc, char **argv, struct pst_options *ret,
		      struct pst_error *err)
{
	struct option longopts[N_OPTS + 1] = {{0}};
	int c, i, r;

	for (i = 0; i < N_OPTS; i++)
		longopts[i] = (struct option){
			.name = descriptions[i].name,
			.has_arg = descriptions[i].arg ? required_argument
						       : no_argument,
			.val = FIRST_VAL + i,
		};
	set_defaults(ret);
	optind = 1;
	while ((c = getopt_long(argc, argv, ":h", longopts, NULL)) != -1) {
		if (c == '?' || c == ':')
			return usage(argv, c, err);
		if (c == 'h' || c == FIRST_VAL + OPT_HELP) {
			print_help();
			return 1;
		}
		if (c == FIRST_VAL + OPT_VERSION) {
			printf("penstock-agent %s\n", PACKAGE_VERSION);
			return 1;
		}
		r = parse_one(ret, (enum opt)(c - FIRST_VAL), optarg, err);
		if (r < 0)
			return r;
	}
	if (optind < argc)
		return pst_error_set(err, -EINVAL,
				     "unexpected argument %s (see --help)",
				     argv[optind]);
	return finish(&ret->server, err);
}
