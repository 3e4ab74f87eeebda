//! What every store must do, run against each of them.

mod world;
mod channels;
mod property;
mod sessions;
