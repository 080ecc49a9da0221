//! Builds the settings of each room from config, pipelines and rules; compiled, immutable, hashed. Pure.
