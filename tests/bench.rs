//! `seawall bench` against real registries, alone and behind a door, and against scripted ones.

mod ends;
mod loads;
mod plain;
mod run;
mod scripted;
