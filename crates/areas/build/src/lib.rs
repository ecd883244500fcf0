//! area-build
