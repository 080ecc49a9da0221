//! A day of a small company, from a seed: visitors and attackers as log lines. Pure generator.
