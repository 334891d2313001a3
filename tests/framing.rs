//! Where messages begin and end: what can be read in two ways stops at the door, and a message that breaks off on one
//! side never looks whole on the other.

mod bodies;
mod heads;
mod upgrades;
