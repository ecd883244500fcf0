//! area-insight
