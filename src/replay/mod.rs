//! The fold over files: readers, merge by time, workers, outputs. I/O.
