/* SPDX-License-Identifier: MIT */
/* Runs a fuzz target without a fuzzer: its corpus, then mutations of it that
 * are the same each time. */
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"

#define FILES_MAX 1024
#define INPUT_MAX (256U << 10)
#define ROUNDS    20000UL
/* A target that hangs is killed, and the test fails. */
#define LIMIT_S 300

struct input {
	uint8_t *data;
	size_t n;
};

static struct input corpus[FILES_MAX];
static size_t n_corpus;

/* For the debugger: which mutation a crash comes from. */
static volatile unsigned long fuzz_round;

/* xorshift64*, seeded with a constant: the same inputs on every machine. */
static uint64_t state = 0x9e3779b97f4a7c15ULL;

static uint64_t below(uint64_t n)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return n ? (state * 0x2545f4914f6cdd1dULL >> 11) % n : 0;
}

static int load(const char *path, struct input *ret)
{
	FILE *f = fopen(path, "rb");

	if (!f)
		return -errno;
	ret->data = malloc(INPUT_MAX);
	if (!ret->data) {
		fclose(f);
		return -ENOMEM;
	}
	ret->n = fread(ret->data, 1, INPUT_MAX, f);
	fclose(f);
	return 0;
}

/* Sorted by name, so that rounds are the same everywhere. */
static int load_corpus(const char *dir)
{
	struct dirent **names;
	char path[8192];
	int i, n = scandir(dir, &names, NULL, alphasort);

	if (n < 0)
		return -errno;
	for (i = 0; i < n; i++) {
		if (names[i]->d_name[0] != '.' && n_corpus < FILES_MAX) {
			snprintf(path, sizeof(path), "%s/%s", dir,
				 names[i]->d_name);
			if (load(path, &corpus[n_corpus]) == 0)
				n_corpus++;
		}
		free(names[i]);
	}
	free(names);
	return 0;
}

/* In memory of exactly its size, so that a sanitizer sees one byte too far. */
static void run(const uint8_t *data, size_t n)
{
	uint8_t *copy = malloc(n ? n : 1);

	FUZZ_CHECK(copy);
	memcpy(copy, data, n);
	FUZZ_CHECK(LLVMFuzzerTestOneInput(copy, n) == 0);
	free(copy);
}

/* Values that sit at edges of sizes, signs and counts. */
static void put_interesting(uint8_t *data, size_t n)
{
	static const uint64_t values[] = {
		0,
		1,
		2,
		0x7f,
		0xff,
		0x7fff,
		0xffff,
		0x10000,
		0x1fffff,
		0x200000,
		0x7fffffff,
		0x80000000,
		0xffffffff,
		0x100000000ULL,
		INT64_MAX,
		1ULL << 63,
		UINT64_MAX,
		1ULL << 46,
		UINT64_MAX - 4095,
	};
	uint64_t v = values[below(sizeof(values) / sizeof(values[0]))];
	size_t width = (size_t)1 << below(4);
	size_t at;

	if (width > n)
		return;
	at = below(n - width + 1);
	/* Fields of the wire are aligned. */
	if (below(4))
		at -= at % width;
	memcpy(data + at, &v, width);
}

static size_t mutate_once(uint8_t *data, size_t n, size_t max)
{
	const struct input *other = &corpus[below(n_corpus)];
	size_t at = below(n + 1), len = below(17);

	switch (below(7)) {
	case 0:
		if (n)
			data[below(n)] ^= (uint8_t)(1U << below(8));
		break;
	case 1:
		if (n)
			data[below(n)] = (uint8_t)below(256);
		break;
	case 2:
		put_interesting(data, n);
		break;
	case 3: /* shorter by what lies at a place */
		if (len > n - at)
			len = n - at;
		memmove(data + at, data + at + len, n - at - len);
		n -= len;
		break;
	case 4: /* longer by a copy of what lies at a place */
		if (len > n - at)
			len = n - at;
		if (n + len > max)
			break;
		memmove(data + at + len, data + at, n - at);
		n += len;
		break;
	case 5: /* cut here, then as another one of the corpus */
		len = other->n > at ? other->n - at : 0;
		if (at + len > max)
			break;
		memcpy(data + at, other->data + (other->n - len), len);
		n = at + len;
		break;
	default:
		n = at;
		break;
	}
	return n;
}

static void mutations(unsigned long rounds)
{
	uint8_t *data = malloc(INPUT_MAX);

	FUZZ_CHECK(data);
	for (fuzz_round = 0; fuzz_round < rounds; fuzz_round++) {
		const struct input *from = &corpus[below(n_corpus)];
		uint64_t k = 1 + below(6);
		size_t n = from->n;

		memcpy(data, from->data, n);
		while (k-- > 0)
			n = mutate_once(data, n, INPUT_MAX);
		run(data, n);
	}
	free(data);
}

/* tests/fuzz/fuzz_NAME has its corpus in the source tree. */
static void corpus_of(const char *program, char *ret, size_t size)
{
	const char *top = getenv("PST_TOP_SRCDIR");
	const char *name = strstr(program, "fuzz_");

	snprintf(ret, size, "%s/tests/fuzz/corpus/%s", top ? top : ".",
		 name ? name + strlen("fuzz_") : program);
}

/* fuzz_NAME [CORPUS]; the number of mutations in PST_FUZZ_ROUNDS. */
int main(int argc, char **argv)
{
	const char *rounds = getenv("PST_FUZZ_ROUNDS");
	char dir[4096];
	size_t i;
	int r;

	if (argc > 1)
		snprintf(dir, sizeof(dir), "%s", argv[1]);
	else
		corpus_of(program_invocation_short_name, dir, sizeof(dir));
	alarm(LIMIT_S);
	printf("1..2\n");
	r = load_corpus(dir);
	if (r < 0 || n_corpus == 0) {
		printf("Bail out! no corpus in %s\n", dir);
		return EXIT_FAILURE;
	}
	for (i = 0; i < n_corpus; i++)
		run(corpus[i].data, corpus[i].n);
	printf("ok 1 - the %zu files of the corpus hold to the rules\n",
	       n_corpus);
	fflush(stdout);
	if (rounds)
		mutations(strtoul(rounds, NULL, 10));
	else
		mutations(&fuzz_rounds ? fuzz_rounds : ROUNDS);
	printf("ok 2 - %lu mutations of them do, too\n", fuzz_round);
	for (i = 0; i < n_corpus; i++)
		free(corpus[i].data);
	return EXIT_SUCCESS;
}
