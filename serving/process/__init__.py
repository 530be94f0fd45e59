"""What a process has and is: its workers, signals, memory, file descriptors and keys."""
