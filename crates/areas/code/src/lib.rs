//! area-code
