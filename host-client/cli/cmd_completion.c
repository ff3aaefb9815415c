/* SPDX-License-Identifier: MIT */
/* penstock completion: scripts for bash, zsh and fish, and what they ask. */
#include <getopt.h>
#include <string.h>
#include <unistd.h>

#include "host-client/cli/cmd.h"
#include "host-client/cli/cmd_complete.h"
#include "host-client/cli/cmds.h"

#define SHELLS "bash|zsh|fish|words"
enum { BASH, ZSH, FISH, WORDS };

/* Who writes a line does not wait longer for a libvirtd. */
#define PATIENCE_S 2

/* The scripts are small: the command itself knows what may come next. */
static const char *const scripts[] = {
	/* bash breaks words at ':' and '=' too: of what it replaces, only the
	 * part behind the last of them is given. */
	[BASH] =
		"# bash completion of penstock: source <(penstock completion "
		"bash)\n"
		"_penstock()\n"
		"{\n"
		"\tlocal line=${COMP_LINE:0:COMP_POINT} tail cur\n"
		"\tlocal -a words\n"
		"\tread -ra words <<<\"$line\"\n"
		"\t[[ $line == *[[:blank:]] ]] && words+=('')\n"
		"\tcur=${words[-1]}\n"
		"\tmapfile -t COMPREPLY < <(\"${words[0]}\" completion words -- "
		"\\\n"
		"\t\t\"${words[@]:1}\" 2>/dev/null)\n"
		"\tCOMPREPLY=(\"${COMPREPLY[@]%%$'\\t'*}\")\n"
		"\ttail=${cur##*[:=]}\n"
		"\tCOMPREPLY=(\"${COMPREPLY[@]#\"${cur%\"$tail\"}\"}\")\n"
		"\t[[ ${COMPREPLY[0]} != *[:/] ]] || compopt -o nospace "
		"2>/dev/null\n"
		"}\n"
		"complete -o bashdefault -o default -F _penstock penstock\n",
	[ZSH] = "#compdef penstock\n"
		"# zsh completion of penstock: source <(penstock completion "
		"zsh)\n"
		"_penstock()\n"
		"{\n"
		"\tlocal -a lines\n"
		"\tlines=(\"${(@f)$(\"${words[1]}\" completion words -- \\\n"
		"\t\t\"${(@)words[2,CURRENT]}\" 2>/dev/null)}\")\n"
		"\tlines=(\"${(@)lines:#}\")\n"
		"\tif (( ! ${#lines} )); then\n"
		"\t\t_files\n"
		"\t\treturn\n"
		"\tfi\n"
		"\tcompadd -l -d lines -- \"${(@)lines%%$'\\t'*}\"\n"
		"}\n"
		"if [ \"${funcstack[1]}\" = _penstock ]; then\n"
		"\t_penstock \"$@\"\n"
		"elif (( ${+functions[compdef]} )); then\n"
		"\tcompdef _penstock penstock\n"
		"fi\n",
	[FISH] = "# fish completion of penstock: penstock completion fish | "
		 "source\n"
		 "function __penstock\n"
		 "\tset -l words (commandline -opc) (commandline -ct)\n"
		 "\tset -l lines ($words[1] completion words -- $words[2..-1] "
		 "2>/dev/null)\n"
		 "\tif set -q lines[1]\n"
		 "\t\tprintf '%s\\n' $lines\n"
		 "\telse\n"
		 "\t\t__fish_complete_path (commandline -ct)\n"
		 "\tend\n"
		 "end\n"
		 "complete -c penstock -f -a '(__penstock)'\n",
};

static int run(const struct pst_cmd_ctx *ctx, int argc, char **argv)
{
	uint32_t shell = BASH;

	while (pst_cmd_getopt(ctx, argc, argv) != -1)
		;
	if (argv[optind] &&
	    !pst_cmd_arg_word(ctx, "the shell", SHELLS, argv[optind], &shell))
		return PST_EXIT_USAGE;
	if (shell == WORDS) {
		alarm(PATIENCE_S);
		pst_cmd_complete(ctx, argc - optind - 1, argv + optind + 1);
		return PST_EXIT_OK;
	}
	if (argc - optind > 1)
		return pst_cmd_usage(ctx, "unexpected argument '%.80s'",
				     argv[optind + 1]);
	fputs(scripts[shell], stdout);
	return PST_EXIT_OK;
}

const struct pst_cmd pst_cmd_completion = {
	.name = "completion",
	.heading = "about this command",
	.args = "[" SHELLS "]",
	.summary = "Print a completion script for bash, zsh or fish",
	.help = "make install has installed the scripts where the shells look "
		"for them. By hand:\n"
		"bash and zsh, source <(penstock completion bash); fish, "
		"penstock completion fish |\nsource. \"completion words -- "
		"WORD...\" is what they ask: it prints what may stand\nin "
		"place of the last word, one candidate a line.\n",
	.example = "penstock completion zsh\n"
		   "penstock completion words -- gemm --act ge\n",
	.max_args = PST_CMD_ANY,
	.run = run,
};
