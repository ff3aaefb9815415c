#!/bin/sh
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2317 # check calls
# Compiled programs with the BLAS of their libraries, and pools of processes and
# threads of numpy: each prints the same as without us, and offloads as many products
# as it has.
. "$PST_TOP_SRCDIR/tests/cli/lib.sh"
. "$PST_TOP_SRCDIR/tests/eco/lib.sh"
# Blocks far below the matrices: routines other than gemm offload, too.
PENSTOCK_BLAS=force PENSTOCK_BLAS_MIN=16 PENSTOCK_BLAS_BLOCK=32
export PENSTOCK_BLAS PENSTOCK_BLAS_MIN PENSTOCK_BLAS_BLOCK
python=/usr/bin/python3
blas=$libdir/libblas.so.3
cd "$tmp" || exit 99

# agrees NAME COUNT PROGRAM...: prints the same with and without, and has offloaded
# so many products.
agrees() {
	name=$1
	count=$2
	shift 2
	"$@" >plain 2>plain.err
	rc=$?
	preloaded "$tmp/log" "$@" >ours 2>ours.err
	check "$name runs with and without" [ "$rc$?" = 00 ]
	cat plain.err ours.err
	check "$name prints the same" cmp plain ours
	check "$name has something to say" [ -s plain ]
	n=$(offloaded log)
	echo "  $name: $n products"
	check "$name offloads" [ "$n" -eq "$count" ]
}
# skip NAME PACKAGE
skip() {
	echo "# SKIP $1: not installed (package $2)"
}
has() {
	command -v "$1" >/dev/null 2>&1
}

need "$blas" libopenblas0-pthread
cat >eigen.cc <<'END_CC'
#include <Eigen/Dense>
#include <iostream>

template <class T> void all()
{
	typedef Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic> M;
	M a(210, 170), b(170, 190), s(170, 170), t, x;

	for (int i = 0; i < a.size(); i++)
		a.data()[i] = i * 7 % 17 - 8;
	for (int i = 0; i < b.size(); i++)
		b.data()[i] = i * 5 % 13 - 6;
	for (int i = 0; i < s.size(); i++)
		s.data()[i] = i * 3 % 11 - 5;
	t = M::Identity(170, 170) * 2;
	std::cout << (a * b).sum() << ' ' << (b.transpose() * a.transpose()).norm()
		  << '\n';
	x = s.template selfadjointView<Eigen::Lower>() * b;
	std::cout << x.sum() << ' ';
	x = t.template triangularView<Eigen::Upper>() * b;
	std::cout << (x - 2 * b).norm() << ' ';
	x = t.template triangularView<Eigen::Upper>().solve(b);
	std::cout << (2 * x - b).norm() << '\n';
}

int main()
{
	all<float>();
	all<double>();
	return 0;
}
END_CC
if has g++ && [ -e /usr/include/eigen3/Eigen/Dense ]; then
	g++ -w -O1 -DEIGEN_USE_BLAS -I/usr/include/eigen3 -o eigen eigen.cc \
		"$blas" || exit 99
	agrees eigen 44 ./eigen
else
	skip eigen libeigen3-dev
fi

cat >arma.cc <<'END_CC'
#include <armadillo>

template <class T> void all()
{
	arma::Mat<T> a(200, 150), b(150, 180);

	for (arma::uword i = 0; i < a.n_elem; i++)
		a[i] = (int)(i * 7 % 17) - 8;
	for (arma::uword i = 0; i < b.n_elem; i++)
		b[i] = (int)(i * 5 % 13) - 6;
	arma::Mat<T> c = a * b, d = b.t() * a.t(), g = a.t() * a;

	std::cout << arma::accu(c) << ' ' << arma::abs(c - d.t()).max() << ' '
		  << arma::accu(g % g) << '\n';
}

int main()
{
	all<float>();
	all<double>();
	return 0;
}
END_CC
if has g++ && [ -e /usr/include/armadillo ]; then
	# Its wrapper library is not needed.
	g++ -w -O1 -DARMA_DONT_USE_WRAPPER -o arma arma.cc "$blas" \
		"$libdir/liblapack.so.3" || exit 99
	agrees armadillo 12 ./arma
else
	skip armadillo libarmadillo-dev
fi

cat >fortran.f90 <<'END_F'
program fortran
  implicit none
  integer, parameter :: m = 130, n = 110, k = 90
  double precision :: a(m, k), b(k, n), c(m, n)
  real :: t(n, n), x(m, n)
  integer :: i, j
  external dgemm, strsm
  do j = 1, k
    do i = 1, m
      a(i, j) = mod(7 * i + 3 * j, 17) - 8
    end do
  end do
  do j = 1, n
    do i = 1, k
      b(i, j) = mod(5 * i + 2 * j, 13) - 6
    end do
  end do
  c = 1
  call dgemm('N', 'N', m, n, k, 2d0, a, m, b, k, -1d0, c, m)
  if (any(c /= 2 * matmul(a, b) - 1)) stop 1
  t = 0
  do i = 1, n
    t(i, i) = 2
  end do
  x = real(c)
  call strsm('R', 'U', 'N', 'N', m, n, 1.0, t, n, x, m)
  if (any(2 * x /= real(c))) stop 2
  print *, sum(c), sum(x)
end program
END_F
if has gfortran; then
	gfortran -w -O1 -o fortran fortran.f90 "$blas" || exit 99
	agrees fortran 4 ./fortran
	blas64=$libdir/libblas64.so.3
	if [ -e "$blas64" ]; then
		gfortran -w -O1 -fdefault-integer-8 -o fortran64 fortran.f90 \
			"$blas64" || exit 99
		agrees "fortran with integers of 64 bits" 4 ./fortran64
	else
		skip "fortran with integers of 64 bits" libblas64-3
	fi
else
	skip fortran gfortran
fi

# Processes of a pool have sessions of their own; more threads than lanes share one.
cat >pool.py <<'END_PY'
import ctypes, multiprocessing, multiprocessing.util, sys, threading
import numpy as np

rng = np.random.default_rng(1)
a, b = (rng.integers(-8, 8, (200, 200)).astype("f4") for _ in range(2))
def product(i):
    return float(((a + i) @ b).sum())
def said():
    # A worker ends by _exit(2), which says no statistics.
    multiprocessing.util.Finalize(None, ctypes.CDLL(None).exit, (0,), exitpriority=1)
if sys.argv[1] == "fork":
    print(product(0), flush=True)
    with multiprocessing.get_context("fork").Pool(4, said) as pool:
        print(pool.map(product, range(24), chunksize=1))
        pool.close()
        pool.join()
else:
    out = [0] * 60
    def work(i):
        for j in range(3):
            out[i] += product(i + j)
    threads = [threading.Thread(target=work, args=(i,)) for i in range(60)]
    for t in threads: t.start()
    for t in threads: t.join()
    print(out)
END_PY
if $python -c 'import numpy' 2>/dev/null; then
	agrees "a pool of processes" 25 $python pool.py fork
	agrees "a pool of threads" 180 $python pool.py threads
else
	skip numpy python3-numpy
fi
finish
