"""C++ tests of googletest, read from their files and run in Python on something else."""
