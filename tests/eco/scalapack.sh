#!/bin/sh
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2317 # check calls
# ScaLAPACK's testers, four ranks with an agent each. For "make long".
. "$PST_TOP_SRCDIR/tests/cli/lib.sh"
. "$PST_TOP_SRCDIR/tests/eco/lib.sh"
testers=$libdir/scalapack/openmpi-tests
need "$testers" scalapack-mpi-test
command -v mpirun >/dev/null || need /usr/bin/mpirun openmpi-bin
cd "$tmp" || exit 99
PENSTOCK_BLAS=force PENSTOCK_BLAS_MIN=1 PENSTOCK_BLAS_BLOCK=4
PENSTOCK_BLAS_LOG=$tmp/log
# Ranks whose BLAS has threads of its own wait for each other: minutes for seconds.
OPENBLAS_NUM_THREADS=1
export OPENBLAS_NUM_THREADS
OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_mpi_yield_when_idle=1
export PENSTOCK_BLAS PENSTOCK_BLAS_MIN PENSTOCK_BLAS_BLOCK PENSTOCK_BLAS_LOG
export OMPI_ALLOW_RUN_AS_ROOT OMPI_ALLOW_RUN_AS_ROOT_CONFIRM
export OMPI_MCA_rmaps_base_oversubscribe OMPI_MCA_mpi_yield_when_idle
for f in "$testers"/*.dat "$testers"/PBLAS/*.dat; do
	ln -sf "$f" .
done

# passes TESTER: it passes all of its own tests, and products were offloaded.
passes() {
	rm -f log
	mpirun --oversubscribe -np 4 -x LD_PRELOAD="$interposer" \
		"$testers/$1" >out 2>err </dev/null
	echo "  $1: $(grep -c PASSED out) lines with PASSED, $(
		offloaded log) products"
	grep -q PASSED out && [ "$(offloaded log)" -gt 0 ] &&
		! grep -E 'FAILED( |$)' out | grep -v 'TOTAL TESTS' &&
		! grep -E '[1-9][0-9]* tests completed and failed' out
}

for tester in ${PST_ECO_TESTERS:-PBLAS/spb3tst PBLAS/dpb3tst xslu xdlu xsllt xdllt \
	xsqr xdqr xssep xdsep}; do
	check "$tester passes" passes "$tester"
done
finish
