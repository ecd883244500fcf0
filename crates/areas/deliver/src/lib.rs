//! area-deliver
