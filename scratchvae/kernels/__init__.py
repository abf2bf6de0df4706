"""The hot loop: compiled kernels, each below the NumPy function that defines it.  `twins` holds the pairs.

**Bits.** For one processor, and one version of Numba with one set of options, these are the same to the last bit:

- all results, and with the same seed all parameters, for any number of threads, whichever threads they are;
- what a row gives (activations, samples, nll, their gradients), whatever batch it is part of, but for d_x of at
  most 40 rows and 40 units, which may be sums in another order than in a larger batch (`matmul.FEW_ROWS`);
- the nll, with its gradient and without (`rows` says how).

They are not the same on two processors (fused multiply-adds and the width of vectors differ), in float32 and float64,
nor under SCRATCHVAE_BACKEND=numpy: products are then those of NumPy's BLAS, whose threads may change bits.

**Stack.** A kernel needs less than 16 KB of stack, with everything that it calls, on the thread that calls it and on
every thread of its parallel loops.  Packed data lie elsewhere, see `workspace`.
"""
