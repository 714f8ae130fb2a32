"""File formats: IDX, CIFAR, image folders, memory-mapped arrays, safe pickles."""
