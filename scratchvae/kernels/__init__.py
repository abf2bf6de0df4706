"""The hot loop: compiled kernels, each below the NumPy function that defines it.  `twins` holds the pairs."""
