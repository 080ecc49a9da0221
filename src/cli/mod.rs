//! One file per subcommand. I/O.
