"""LLVM: IR text, machine code, the cache of object files."""
