//! The `sekisho` program: hands the command line to [`sekisho::cli`]. I/O.

fn main() {}
