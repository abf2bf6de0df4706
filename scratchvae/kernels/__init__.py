"""The hot loop: compiled kernels, each below the NumPy function that defines it.  `registry` holds the pairs.

**Stack.** A kernel needs less than 16 KB of stack, with everything that it calls, on the thread that calls it and on
every thread of its parallel loops: threads of 64 KB are large enough for kernels.  Packed data lie elsewhere, see
`workspace`.
"""
