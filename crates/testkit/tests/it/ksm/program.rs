//! The program that runs the server for a demo.
