//! Black-box tests: see `house`, `blackbox`, `faults` and `hostile`.
