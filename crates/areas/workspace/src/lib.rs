//! area-workspace
