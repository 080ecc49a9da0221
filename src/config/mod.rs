//! Text → Config that cannot be invalid; every fault at once. Pure.
