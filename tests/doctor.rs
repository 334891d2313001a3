//! The doctor finds every planted fault, alone and in pairs, blames nothing on a sound cluster, and leaves nothing behind.

mod alone;
mod apart;
mod command;
mod leaves;
mod pairs;
mod site;
