"""The native engine: programs as machine code, through LLVM."""
