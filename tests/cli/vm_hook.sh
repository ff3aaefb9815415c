#!/bin/sh
# SPDX-License-Identifier: MIT
# The examples of hooks: hugepages come before a domain and go after it, and a
# region keeps its group.
. "$PST_TOP_SRCDIR/tests/cli/lib.sh"
hook=$PST_TOP_SRCDIR/libvirt-xml/hooks/penstock-hugepages
export PENSTOCK_HOOK_ROOT="$tmp/root"
all=$tmp/root/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages
one=$tmp/root/sys/devices/system/node/node1/hugepages/hugepages-2048kB/nr_hugepages
mkdir -p "${all%/*}" "${one%/*}" "$tmp/root/proc/sys/vm"
echo 10 >"$all"
echo 5 >"$one"

# xml METADATA NUMATUNE: 8 MiB with libvirt's quotes.
xml() {
	cat <<-END
	<domain type='kvm'>
	<metadata>$1</metadata>
	<memory unit='KiB'>8192</memory>
	<memoryBacking>
	<hugepages>
	<page size='2048' unit='KiB'/>
	</hugepages>
	</memoryBacking>
	$2
	</domain>
	END
}
ours='<penstock:domain xmlns:penstock="urn:penstock:domain:1">'
pinned="<numatune><memory mode='preferred' nodeset='1'/></numatune>"

# pools SENTENCE ALL NODE1
pools() {
	check "$1" [ "$(cat "$all") $(cat "$one")" = "$2 $3" ]
}

xml "$ours" "" | "$hook" titan prepare begin -
pools "the pool grows by the domain's memory" 14 5
xml "$ours" "" | "$hook" titan prepare begin -
pools "once" 14 5
"$hook" titan release end - </dev/null
pools "and shrinks after it" 10 5
"$hook" titan release end - </dev/null
pools "once" 10 5
xml "$ours" "$pinned" | "$hook" titan prepare begin -
pools "on the card's node, if it has one" 10 9
"$hook" titan release end - </dev/null
pools "there too" 10 5
xml "" "" | "$hook" other prepare begin -
pools "domains of others are none of its business" 10 5
xml "$ours" "" | "$hook" ../x prepare begin -
xml "$ours" "" | "$hook" titan start begin -
pools "nor are other names and events" 10 5

# A group that this process may give a file to, by its number.
regroup=$PST_TOP_SRCDIR/libvirt-xml/hooks/penstock-regroup
group=$(id -G | tr ' ' '\n' | tail -n 1)
[ "$(id -u)" != 0 ] || group=12
: >"$tmp/region"
region="<penstock:region via='nvdimm' path='$tmp/region' size='1' group='$group'/>"
xml "$region" "" | "$regroup" titan prepare begin -
check "before QEMU runs a region's group is its own" [ \
	"$(stat -c %g "$tmp/region")" = "$(id -g)" ]
xml "$region" "" | "$regroup" titan started begin -
check "then it is the one of define" [ \
	"$(stat -c %g "$tmp/region")" = "$group" ]
xml "" "" | "$regroup" other started begin -
check "a domain of others has none" [ $? -eq 0 ]

# Half of the pages do not come.
mkdir "$tmp/bin"
cat >"$tmp/bin/cat" <<'END'
#!/bin/sh
v=$(/bin/cat "$@")
case ${1:-} in
*nr_hugepages) [ "$v" -gt 12 ] && v=12 ;;
esac
echo "$v"
END
chmod +x "$tmp/bin/cat"
xml "$ours" "" >"$tmp/xml"
PATH=$tmp/bin:$PATH "$hook" titan prepare begin - <"$tmp/xml" \
	>"$tmp/stdout" 2>"$tmp/stderr"
check "too few pages stop the start" [ $? -eq 1 ]
check "and say so" grep -q "only 2 can be made" "$tmp/stderr"
pools "what came is given back" 10 5
finish
