//! The two folds, ingest and decide: the only place that knows the order of the rooms. Pure.
