#!/bin/sh
# SPDX-License-Identifier: MIT
# What completes a command line, in bash, zsh and fish.
. "$PST_TOP_SRCDIR/tests/cli/lib.sh"

export XDG_CONFIG_HOME="$tmp/conf" HOME="$tmp"
mkdir -p "$tmp/conf/penstock/endpoints.d" "$tmp/bin"
echo "endpoint = spawn:" >"$tmp/conf/penstock/endpoints.d/mine.conf"
ln -s "$penstock" "$tmp/bin/penstock"
PATH=$tmp/bin:$PATH
cd "$tmp" || exit 99
: >some.npy

# words WANTED WORD...: what the command says may stand in place of the last.
words() {
	wanted=$1
	shift
	"$penstock" completion words -- "$@" >"$tmp/lines"
	check "penstock $* is completed by: $wanted" [ \
		"$(cut -f1 "$tmp/lines" | tr '\n' ' ')" = "${wanted:+$wanted }" ]
}

words "gemm" gem
words "check plan apply verify undo report gpu rom region" host ''
words "create" host region ''
words "--transa --transb" -e spawn: gemm --trans
words "--transa --transb" gemm a.npy --trans
words "gelu-tanh gelu-erf" gemm --act ge
words "--act=relu" gemm --act=r
words "bandwidth" bench b
words "on off" vm autostart titan o
words "vm" help v
words "mine" -e m
words "mine" ping --endpoint m
words "--endpoint=mine" ping --endpoint=m
# What cannot be resolved is not offered: a bad name, a directory below ".".
echo "endpoint = spawn:" >"$tmp/conf/penstock/endpoints.d/-mine.conf"
words "" -e -mi
mkdir -p "$tmp/.config/penstock/endpoints.d"
echo "endpoint = spawn:" >"$tmp/.config/penstock/endpoints.d/below.conf"
XDG_CONFIG_HOME=
HOME=.
words "" -e b
HOME=$tmp
words "below" -e b
XDG_CONFIG_HOME=$tmp/conf
words "unix://" -e u
words "" gemm a.npy ''
words "" gemm -o ''
words "" ping more ''
words "" ping -- -
words "" nonesuch ''
check "a candidate comes with what it is" [ "$("$penstock" completion \
	words -- pin)" = "$(printf 'ping\tMeasure round trips to the agent')" ]
"$penstock" vm list --uri test:///default >/dev/null 2>"$tmp/stderr"
if ! grep -q "was built without" "$tmp/stderr"; then
	for verb in start stop status undefine patch console autostart; do
		words "test" vm "$verb" --uri test:///default te
	done
fi

start_agent "unix://$tmp/sock" --region memfd:16M --backend cpu
"$penstock" -e "$endpoint" model load diabetes \
	"$PST_TOP_SRCDIR/tests/data/diabetes.safetensors" >/dev/null
words "diabetes" -e "$endpoint" infer d
words "diabetes" -e "$endpoint" model unload ''
words "" -e "$endpoint" model load d
words "" -e "unix://$tmp/none" infer d
words "" -e "spawn:?agent=$tmp/none" infer d
rm "$tmp/sock"

# ---- The shells --------------------------------------------------------------

# offers SENTENCE WORDS LINE: what a shell offers for the end of LINE.
offers() {
	check "$shell $1" [ "$("${shell}_offers" "$3" | LC_ALL=C sort |
		tr '\n' ' ')" = \
		"${2:+$2 }" ]
}

cat >"$tmp/offer.bash" <<'END'
# What bash puts in place of the last of its words.
. "$1"
COMP_LINE=$2
COMP_POINT=${#COMP_LINE}
_penstock
for word in "${COMPREPLY[@]}"; do
	echo "$word"
done
END

# shellcheck disable=SC2317 # offers calls it
bash_offers() {
	bash "$tmp/offer.bash" "$tmp/script.bash" "$1"
}

# What zsh is about to add, without its line editor.
cat >"$tmp/offer.zsh" <<'END'
compadd() {
	while [[ $1 != -- ]]; do shift; done
	shift
	local w
	for w; do
		[[ $w == "${words[CURRENT]}"* ]] && print -r -- $w
	done
}
_files() { print -r -- FILES }
. $1
words=("${(@s: :)2}")
CURRENT=${#words}
_penstock
END

# shellcheck disable=SC2317
zsh_offers() {
	zsh -f "$tmp/offer.zsh" "$tmp/script.zsh" "$1"
}

# shellcheck disable=SC2317
fish_offers() {
	fish --no-config -c "source $tmp/script.fish; complete -C '$1'" |
		cut -f1
}

for shell in bash zsh fish; do
	"$penstock" completion $shell >"$tmp/script.$shell"
	if ! command -v $shell >/dev/null; then
		echo "# no $shell: its completion was not tried"
		continue
	fi
	case $shell in
	bash) files= ;;
	zsh) files=FILES ;;
	*) files=some.npy ;;
	esac
	offers "completes a command" "ping" "penstock pin"
	offers "completes below a group" "create" "penstock host region cr"
	offers "completes an option behind -e E" "--transa --transb" \
		"penstock -e spawn: gemm --trans"
	offers "completes a word of an option" "gelu-erf gelu-tanh" \
		"penstock gemm --act gelu"
	offers "completes an endpoint's name" "mine" "penstock -e mi"
	offers "leaves files to the shell" "$files" "penstock gemm so"
done

# bash splits words at : and =.
if command -v bash >/dev/null; then
	shell=bash
	offers "gives only what is behind =" "relu" "penstock gemm --act=r"
	offers "completes --endpoint=" "mine" "penstock ping --endpoint=m"
	offers "gives a whole URI where there is no colon yet" \
		"vsock-uds:// vsock://" "penstock -e vs"
fi
finish
