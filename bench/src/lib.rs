//! What the three programs of this folder share: reading a process's CPU time and memory, placing a
//! process on one core, and the one-line records in which the generator hands its figures to the runner.
#![forbid(unsafe_code)]

pub mod limits;
pub mod process;
pub mod record;
