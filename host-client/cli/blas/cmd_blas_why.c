/* SPDX-License-Identifier: MIT */
/* penstock blas why: reads a program's files for what can be intercepted. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host-client/cli/cmds.h"
#include "transport/base/util.h"

#ifdef HAVE_LIBELF
#include <gelf.h>
#include <libelf.h>

/* Files that are looked at: a program with all that it needs. */
#define MAX_FILES 256
/* Of one symbol table; a corrupt file may claim any number. */
#define MAX_SYMBOLS 4000000

struct file {
	char path[PATH_MAX];
	bool wants;  /* calls a routine of level 3 by a name of ours */
	bool offers; /* defines one */
	bool hides;  /* has one that only it can call */
	bool mkl, lapack, openblas, is_static, is_setuid;
	char script[64]; /* what runs it; "": it is none */
};

struct search {
	struct file *files;
	size_t n;
};

/* "dgemm_", "cblas_sgemm64_", "scipy_dgemm_": a call of any of them can be
 * intercepted. */
static bool is_gemm(const char *name)
{
	const char *at = strstr(name, "gemm");
	const char *rest;

	if (!at || at == name || !strchr("sd", at[-1]))
		return false;
	rest = at + 4;
	if (strcmp(rest, "") && strcmp(rest, "_") && strcmp(rest, "_64_") &&
	    strcmp(rest, "64_") && strcmp(rest, "_64"))
		return false;
	return at - 1 == name || strncmp(name, "cblas_", 6) == 0 ||
	       strncmp(name, "scipy_", 6) == 0;
}

/* LAPACK's, under the suffixes that a builder chose: "scipy_dgetrf_64_". */
static bool is_lapack(const char *name)
{
	if (strncmp(name, "scipy_", 6) == 0)
		name += 6;
	return strcmp(name, "dgetrf_") == 0 || strcmp(name, "dgetrf_64_") == 0;
}

static void look_at_symbol(const char *name, const GElf_Sym *sym, bool dynamic,
			   struct file *f)
{
	const bool defined = sym->st_shndx != SHN_UNDEF;

	if (is_gemm(name) && dynamic) {
		f->wants |= !defined;
		f->offers |= defined;
	} else if (is_gemm(name) && defined &&
		   GELF_ST_TYPE(sym->st_info) == STT_FUNC) {
		/* A bare "sgemm" may be anybody's own function. */
		f->hides |= strchr(name, '_') != NULL;
	}
	f->mkl |= defined && (strncmp(name, "mkl_blas_", 9) == 0 ||
			      strncmp(name, "mkl_serv_", 9) == 0);
	f->lapack |= defined && is_lapack(name);
	/* Its table of kernels, or what all builds of it have. */
	f->openblas |= strcmp(name, "gotoblas") == 0 ||
		       (defined && strstr(name, "openblas_get_config"));
}

static void look_at_symbols(Elf *elf, Elf_Scn *scn, const GElf_Shdr *h,
			    struct file *f)
{
	Elf_Data *data = elf_getdata(scn, NULL);
	const char *name;
	GElf_Sym sym;
	uint64_t i, n;

	if (!data || !h->sh_entsize)
		return;
	n = h->sh_size / h->sh_entsize;
	for (i = 0; i < n && i < MAX_SYMBOLS && gelf_getsym(data, (int)i, &sym);
	     i++) {
		name = elf_strptr(elf, h->sh_link, sym.st_name);
		if (name)
			look_at_symbol(name, &sym, h->sh_type == SHT_DYNSYM, f);
	}
}

/* Any bytes may follow: what is no path of a terminal's letters ends it. */
static void read_interpreter(const char *p, struct file *f)
{
	size_t n = 0;

	p += strspn(p, " \t");
	while (n < sizeof(f->script) - 1 && p[n] > ' ' && p[n] < 0x7f)
		n++;
	memcpy(f->script, p, n);
	f->script[n] = '\0';
}

static void look_at(struct file *f)
{
	Elf_Scn *scn = NULL;
	bool dynamic = false;
	GElf_Shdr h;
	Elf *elf;
	int fd = open(f->path, O_RDONLY | O_CLOEXEC);
	char line[sizeof(f->script) + 3] = "";
	struct stat st;

	if (fd >= 0 && pread(fd, line, sizeof(line) - 1, 0) > 2 &&
	    memcmp(line, "#!", 2) == 0)
		read_interpreter(line + 2, f);
	f->is_setuid = fd >= 0 && fstat(fd, &st) == 0 &&
		       st.st_mode & (S_ISUID | S_ISGID);
	elf = fd >= 0 ? elf_begin(fd, ELF_C_READ, NULL) : NULL;
	while (elf && (scn = elf_nextscn(elf, scn)) && gelf_getshdr(scn, &h)) {
		dynamic |= h.sh_type == SHT_DYNAMIC;
		if (h.sh_type == SHT_DYNSYM || h.sh_type == SHT_SYMTAB)
			look_at_symbols(elf, scn, &h, f);
	}
	f->is_static = elf && elf_kind(elf) == ELF_K_ELF && !dynamic;
	elf_end(elf);
	if (fd >= 0)
		close(fd);
}

/* Runs a command, and gives its output's lines of "... => PATH (" or of a path
 * alone to the search. */
static int list(const struct pst_cmd_ctx *ctx, const char *const argv[],
		struct search *s)
{
	posix_spawn_file_actions_t fa;
	char line[2 * PATH_MAX], *path, *end;
	int pipes[2], status, r;
	FILE *out;
	pid_t pid;

	if (pipe2(pipes, O_CLOEXEC) < 0)
		return pst_cmd_fail(ctx, "cannot make a pipe: %s",
				    strerror(errno));
	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_adddup2(&fa, pipes[1], 1);
	/* What ldd cannot read is no program with libraries. */
	posix_spawn_file_actions_addopen(&fa, 2, "/dev/null", O_WRONLY, 0);
	r = posix_spawnp(&pid, argv[0], &fa, NULL, (char *const *)argv,
			 environ);
	posix_spawn_file_actions_destroy(&fa);
	close(pipes[1]);
	out = fdopen(pipes[0], "r");
	while (r == 0 && out && fgets(line, sizeof(line), out)) {
		path = strchr(line, '/');
		if (!path || s->n == MAX_FILES)
			continue;
		end = strstr(path, " (");
		if (!end)
			end = strchr(path, '\n');
		if (end)
			*end = '\0';
		snprintf(s->files[s->n++].path, PATH_MAX, "%s", path);
	}
	if (!out)
		close(pipes[0]);
	if (out)
		fclose(out);
	if (r)
		return pst_cmd_fail(ctx, "cannot run %s: %s", argv[0],
				    strerror(r));
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return PST_EXIT_OK;
}

/* What a module of Python has mapped once it is imported. */
static int list_module(const struct pst_cmd_ctx *ctx, const char *module,
		       struct search *s)
{
	static const char code[] =
		"import sys, importlib\n"
		"importlib.import_module(sys.argv[1])\n"
		"seen = set()\n"
		"for line in open('/proc/self/maps'):\n"
		"    path = line[line.find('/'):].rstrip()\n"
		"    if '/' in line and '.so' in path and path not in seen:\n"
		"        seen.add(path)\n"
		"        print(path)\n";
	const char *argv[] = {"python3", "-c", code, module, NULL};
	int r = list(ctx, argv, s);

	if (r == PST_EXIT_OK && s->n == 0)
		return pst_cmd_fail(ctx, "python3 cannot import %s", module);
	return r;
}

/* A program, found as the shell finds it, and what it needs. */
static int list_program(const struct pst_cmd_ctx *ctx, const char *program,
			struct search *s)
{
	const char *argv[] = {"ldd", s->files[0].path, NULL};
	const char *path = getenv("PATH"), *end;
	bool found = strchr(program, '/');

	if (found)
		snprintf(s->files[0].path, PATH_MAX, "%s", program);
	for (; !found && path && *path; path = *end ? end + 1 : end) {
		end = strchrnul(path, ':');
		snprintf(s->files[0].path, PATH_MAX, "%.*s/%s",
			 (int)(end - path), path, program);
		found = access(s->files[0].path, X_OK) == 0;
	}
	if (!found || access(s->files[0].path, R_OK) < 0)
		return pst_cmd_fail(ctx, "there is no program %s", program);
	s->n = 1;
	return list(ctx, argv, s);
}

/* What is said of a file; NULL: nothing. */
static const char *verdict(const struct file *f)
{
	const char *base = strrchr(f->path, '/');

	base = base ? base + 1 : f->path;
	if (strstr(base, "penstock"))
		return NULL;
	/* MKL's own libraries are a BLAS as others are. */
	if (f->mkl && strncmp(base, "libmkl_", 7) != 0)
		return "has MKL inside: its products cannot be intercepted; a "
		       "build that links libblas.so.3 helps, such as Debian's";
	if (f->lapack && (f->openblas || f->offers))
		return f->offers
			       ? "is a BLAS; the LAPACK in it calls its own "
				 "kernels, so factorizations stay here "
				 "(liblapack.so.3 of the reference helps)"
			       : "is a LAPACK with its own kernels, so "
				 "factorizations stay here (liblapack.so.3 of "
				 "the reference helps)";
	if (f->wants && !f->offers)
		return "calls a BLAS by names that are intercepted";
	if (f->offers)
		return "is a BLAS; what calls it by its names is intercepted";
	if (f->hides)
		return "has a BLAS inside: its products cannot be intercepted; "
		       "a build that links libblas.so.3 helps";
	return NULL;
}

/* What is said of the program, before its libraries; NULL: nothing more. */
static const char *program_verdict(const struct file *f, char *ret, size_t size)
{
	if (f->script[0]) {
		snprintf(ret, size,
			 "is a script of %s: ask for the program that it "
			 "starts",
			 f->script);
		return ret;
	}
	if (f->is_setuid)
		return "has more rights than who runs it: nothing of it is "
		       "intercepted";
	if (f->is_static)
		return "is linked statically: nothing of it can be "
		       "intercepted";
	return NULL;
}

static int report(const struct pst_cmd_ctx *ctx, struct search *s)
{
	json_t *files = json_array();
	char room[160];
	const char *text, *own;
	bool can = false;
	size_t i;

	for (i = 0; i < s->n; i++) {
		look_at(&s->files[i]);
		can |= s->files[i].wants;
		text = verdict(&s->files[i]);
		own = i == 0 ? program_verdict(&s->files[i], room, sizeof(room))
			     : NULL;
		if (own)
			text = own;
		if (!text)
			continue;
		if (ctx->json)
			json_array_append_new(
				files, json_pack("{s:o, s:s}", "path",
						 pst_cmd_text(s->files[i].path),
						 "verdict", text));
		else
			printf("%s %s\n", s->files[i].path, text);
	}
	if (ctx->json)
		return pst_cmd_print_json(ctx,
					  json_pack("{s:b, s:o}", "intercepted",
						    can, "files", files));
	json_decref(files);
	puts(can ? "Its products can be offloaded."
		 : "None of its files calls a BLAS by a name that is "
		   "intercepted. Modules that it\nloads later are not seen; "
		   "for those of Python ask for python:MODULE.");
	return PST_EXIT_OK;
}

static int why(const struct pst_cmd_ctx *ctx, const char *what)
{
	struct search s = {.files = calloc(MAX_FILES, sizeof(*s.files))};
	int r;

	if (!s.files)
		return pst_cmd_fail(ctx, "out of memory");
	elf_version(EV_CURRENT);
	if (strncmp(what, "python:", 7) == 0)
		r = list_module(ctx, what + 7, &s);
	else
		r = list_program(ctx, what, &s);
	if (r == PST_EXIT_OK)
		r = report(ctx, &s);
	free(s.files);
	return r;
}
#else
static int why(const struct pst_cmd_ctx *ctx, const char *what)
{
	return pst_cmd_fail(ctx,
			    "penstock was built without libelf: it cannot "
			    "read %s",
			    what);
}
#endif

static int run(const struct pst_cmd_ctx *ctx, int argc, char **argv)
{
	(void)pst_cmd_getopt(ctx, argc, argv);
	if (strcmp(argv[optind], "python:") == 0)
		return pst_cmd_usage(ctx, "python: names no module: "
					  "python:numpy does");
	return why(ctx, argv[optind]);
}

static const struct pst_cmd_opt opts[] = {
	PST_CMD_OPT_JSON,
	{0},
};

const struct pst_cmd pst_cmd_blas_why = {
	.name = "why",
	.args = "PROGRAM|python:MODULE",
	.summary = "Say which products of a program can be intercepted",
	.help = "Reads the program's files, or those that a module of Python "
		"has loaded. For PROGRAM\nldd(1) is used, which may run it: "
		"not for programs that you do not trust.\n",
	.example = "penstock blas why python3\n",
	.opts = opts,
	.min_args = 1,
	.max_args = 1,
	.run = run,
};
