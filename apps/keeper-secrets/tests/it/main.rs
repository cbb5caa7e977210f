//! The program as a process: where the application's configuration comes from.

mod clouds;
