/* SPDX-License-Identifier: MIT */
/* In libblas.so.3 only: makes it need the BLAS that has all that is not here.
 */

/* Every BLAS has it. That it is called nowhere is no matter: the linker keeps a
 * library that a symbol comes from. */
void xerbla_(void);

__attribute__((used)) static void (*const next)(void) = xerbla_;
