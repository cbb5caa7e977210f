//! The test kit's own tests: what others stand on must hold.

mod ksm;
