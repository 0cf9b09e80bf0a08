//! Files, whole and damaged.
