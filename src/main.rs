//! The `sekisho` program: hands the command line to [`sekisho::cli`]. I/O.

/// Batches of events are freed on other threads than they were made on, which the system's allocator does slowly.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    sekisho::cli::main()
}
