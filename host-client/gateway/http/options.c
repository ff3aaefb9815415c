/* SPDX-License-Identifier: MIT */
/* The gateway's command line. */
#include "host-client/gateway/http/options.h"

#include <getopt.h>
#include <string.h>

#include "host-client/penstock.h"
#include "transport/base/text.h"

/* Of all bodies: a peer's half holds a small product at least. */
#define BODIES_MIN ((uint64_t)1 << 20)
/* The library leases extents of so many bytes. */
#define MEMORY_MIN ((uint64_t)2 << 20)
#define SIZE_LIMIT ((uint64_t)1 << 40)

enum option_id {
	OPT_ENDPOINT,
	OPT_SOCKET,
	OPT_LISTEN,
	OPT_TOKEN_FILE,
	OPT_TLS_CERT,
	OPT_TLS_KEY,
	OPT_HOST,
	OPT_CONNECTIONS,
	OPT_OPERATIONS,
	OPT_BODIES,
	OPT_MEMORY,
	OPT_ALLOW_LOAD,
	OPT_HELP,
	OPT_VERSION,
	N_OPTIONS,
};

static const struct {
	const char *name, *arg, *help;
} table[N_OPTIONS] = {
	[OPT_ENDPOINT] = {"endpoint", "[NAME=]ENDPOINT",
			  "an agent, up to 16 [$PENSTOCK_ENDPOINT]"},
	[OPT_SOCKET] = {"socket", "PATH",
			"listen on a Unix socket [" PST_GW_SOCKET "]"},
	[OPT_LISTEN] = {"listen", "ADDRESS:PORT",
			"listen on TCP; needs --token-file"},
	[OPT_TOKEN_FILE] = {"token-file", "FILE",
			    "tokens of clients on TCP, one a line"},
	[OPT_TLS_CERT] = {"tls-cert", "FILE", "certificate, in PEM"},
	[OPT_TLS_KEY] = {"tls-key", "FILE", "its private key, in PEM"},
	[OPT_HOST] = {"host", "NAME", "one more name of this host"},
	[OPT_CONNECTIONS] = {"connections", "N", "open at once [4096]"},
	[OPT_OPERATIONS] = {"operations", "N",
			    "of a client under way at once [64]"},
	[OPT_BODIES] = {"bodies", "SIZE",
			"of all requests under way; a client has half [1G]"},
	[OPT_MEMORY] = {"memory", "SIZE",
			"for tensors, in each agent's region [64M]"},
	[OPT_ALLOW_LOAD] = {"allow-load", NULL,
			    "clients may load and unload models"},
	[OPT_HELP] = {"help", NULL, "print this"},
	[OPT_VERSION] = {"version", NULL, "print the version"},
};

static void print_help(void)
{
	char left[40];
	int i;

	printf("Usage: penstock-gateway [OPTION]...\n"
	       "Serves agents of this host by HTTP: inference, health, "
	       "metrics, a page.\n\n");
	for (i = 0; i < N_OPTIONS; i++) {
		snprintf(left, sizeof(left), "--%s%s%s", table[i].name,
			 table[i].arg ? " " : "",
			 table[i].arg ? table[i].arg : "");
		printf("  %-28s %s\n", left, table[i].help);
	}
	printf("\nSee penstock-gateway(8).\n");
}

static int add_endpoint(struct pst_gw_options *o, const char *arg,
			struct pst_error *err)
{
	struct pst_gw_endpoint *e = &o->endpoint[o->n_endpoints];
	const char *equals = strchr(arg, '=');
	const size_t n = equals ? (size_t)(equals - arg) : 0;
	unsigned int i;

	if (o->n_endpoints == PST_GW_MAX_AGENTS)
		return pst_error_set(err, -EINVAL,
				     "--endpoint may be given %u times",
				     PST_GW_MAX_AGENTS);
	e->uri = arg;
	if (n > 0 && n < sizeof(e->name)) {
		memcpy(e->name, arg, n);
		e->name[n] = '\0';
		if (pst_name_is_good(e->name))
			e->uri = equals + 1;
	}
	/* What has an "=" in a URI is no name. */
	if (e->uri == arg && pst_name_is_good(arg))
		snprintf(e->name, sizeof(e->name), "%s", arg);
	else if (e->uri == arg)
		snprintf(e->name, sizeof(e->name), "agent%u", o->n_endpoints);
	for (i = 0; i < o->n_endpoints; i++)
		if (strcmp(o->endpoint[i].name, e->name) == 0)
			return pst_error_set(err, -EINVAL,
					     "--endpoint %s: there are two "
					     "agents of that name",
					     arg);
	o->n_endpoints++;
	return 0;
}

static int add_text(const char **list, unsigned int *n, unsigned int max,
		    const char *name, const char *arg, struct pst_error *err)
{
	if (*n == max)
		return pst_error_set(err, -EINVAL, "--%s may be given %u times",
				     name, max);
	list[(*n)++] = arg;
	return 0;
}

/* A file: a path, or credential:NAME, one that the service manager passes
 * (CREDENTIALS_DIRECTORY of systemd.exec(5)). */
static int take_file(const char **ret, int id, char *path, size_t size,
		     const char *arg, struct pst_error *err)
{
	const char *dir = getenv("CREDENTIALS_DIRECTORY");
	const char *name = arg + strlen("credential:");

	*ret = arg;
	if (strncmp(arg, "credential:", strlen("credential:")) != 0)
		return 0;
	*ret = path;
	if (!dir || !pst_name_is_good(name) ||
	    (size_t)snprintf(path, size, "%s/%s", dir, name) >= size)
		return pst_error_set(err, -EINVAL,
				     "--%s %.64s: the service manager passed "
				     "no such credential (LoadCredential=)",
				     table[id].name, arg);
	return 0;
}

static int take_number(unsigned int *ret, int id, const char *arg, uint64_t max,
		       struct pst_error *err)
{
	uint64_t n;

	if (pst_parse_u64(arg, 1, max, &n) < 0)
		return pst_error_set(err, -EINVAL,
				     "--%s %.64s: expected a number from 1 to "
				     "%u",
				     table[id].name, arg, (unsigned int)max);
	*ret = (unsigned int)n;
	return 0;
}

static int take_size(uint64_t *ret, int id, const char *arg, const char *least,
		     uint64_t min, struct pst_error *err)
{
	uint64_t n;

	if (pst_parse_size(arg, &n) < 0 || n < min || n > SIZE_LIMIT)
		return pst_error_set(err, -EINVAL,
				     "--%s %.64s: expected a size from %s to "
				     "1T",
				     table[id].name, arg, least);
	*ret = n;
	return 0;
}

static int take(struct pst_gw_options *o, int id, const char *arg,
		struct pst_error *err)
{
	switch (id) {
	case OPT_ENDPOINT:
		return add_endpoint(o, arg, err);
	case OPT_SOCKET:
		o->socket = arg;
		return 0;
	case OPT_LISTEN:
		return add_text(o->listen, &o->n_listen, PST_GW_MAX_LISTEN,
				"listen", arg, err);
	case OPT_TOKEN_FILE:
		return take_file(&o->token_file, id, o->credential[0],
				 sizeof(o->credential[0]), arg, err);
	case OPT_TLS_CERT:
		return take_file(&o->tls_cert, id, o->credential[1],
				 sizeof(o->credential[1]), arg, err);
	case OPT_TLS_KEY:
		return take_file(&o->tls_key, id, o->credential[2],
				 sizeof(o->credential[2]), arg, err);
	case OPT_HOST:
		return add_text(o->host, &o->n_hosts, PST_GW_MAX_HOSTS, "host",
				arg, err);
	case OPT_BODIES:
		return take_size(&o->body_bytes, id, arg, "1M", BODIES_MIN,
				 err);
	case OPT_MEMORY:
		return take_size(&o->memory, id, arg, "2M", MEMORY_MIN, err);
	case OPT_ALLOW_LOAD:
		o->allow_load = true;
		return 0;
	case OPT_OPERATIONS:
		return take_number(&o->n_ops, id, arg, 4096, err);
	default:
		return take_number(&o->n_conns, id, arg, 65536, err);
	}
}

/* A malformed one would never become an agent; what is only not there yet
 * may. */
static int check_endpoint(const char *uri, struct pst_error *err)
{
	char text[256];
	const int r = pst_endpoint_check(uri, text, sizeof(text));

	if (r == -EINVAL || r == -EMSGSIZE || (r < 0 && !uri))
		return pst_error_set(err, -EINVAL, "--endpoint: %s", text);
	if (!uri)
		uri = getenv("PENSTOCK_ENDPOINT");
	if (uri && strncmp(uri, "spawn:", 6) == 0)
		return pst_error_set(err, -EINVAL,
				     "--endpoint %.64s: each connection would "
				     "have an agent of its own",
				     uri);
	return 0;
}

/* What does not go together. */
static int check(struct pst_gw_options *o, struct pst_error *err)
{
	unsigned int i;
	int r = 0;

	if (!o->tls_cert != !o->tls_key)
		return pst_error_set(err, -EINVAL,
				     "--tls-cert and --tls-key go together");
	if (o->n_listen && !o->token_file)
		return pst_error_set(err, -EINVAL,
				     "--listen needs --token-file: every user "
				     "of a host reaches its loopback");
	if (o->n_endpoints == 0) {
		snprintf(o->endpoint[0].name, sizeof(o->endpoint[0].name),
			 "agent0");
		o->n_endpoints = 1;
	}
	for (i = 0; r == 0 && i < o->n_endpoints; i++)
		r = check_endpoint(o->endpoint[i].uri, err);
	return r;
}

int pst_gw_options_parse(int argc, char **argv, struct pst_gw_options *ret,
			 struct pst_error *err)
{
	struct option longopts[N_OPTIONS + 1] = {{0}};
	int c, i, r = 0;

	*ret = (struct pst_gw_options){
		.n_conns = PST_GW_CONNECTIONS,
		.n_ops = PST_GW_OPERATIONS,
		.body_bytes = PST_GW_BODIES,
		.memory = PST_GW_MEMORY,
	};
	for (i = 0; i < N_OPTIONS; i++)
		longopts[i] = (struct option){
			.name = table[i].name,
			.has_arg =
				table[i].arg ? required_argument : no_argument,
			.val = 256 + i,
		};
	optind = 1;
	while (r == 0 &&
	       (c = getopt_long(argc, argv, ":h", longopts, NULL)) != -1) {
		if (c == '?' || c == ':')
			return pst_error_set(err, -EINVAL,
					     "%s: %s (see --help)",
					     argv[optind - 1],
					     c == ':' ? "needs an argument"
						      : "unknown option");
		if (c == 'h' || c == 256 + OPT_HELP) {
			print_help();
			return 1;
		}
		if (c == 256 + OPT_VERSION) {
			printf("penstock-gateway %s\n", PACKAGE_VERSION);
			return 1;
		}
		r = take(ret, c - 256, optarg, err);
	}
	if (r == 0 && optind < argc)
		return pst_error_set(err, -EINVAL,
				     "unexpected argument %s (see --help)",
				     argv[optind]);
	return r < 0 ? r : check(ret, err);
}
