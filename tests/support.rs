//! What the integration tests share: free ports, a real Redis, nodes that behave as Harbor does, a real Seawall
//! in front of them, and networks of their own with a real keepalived.

#![allow(dead_code, unused_imports)]

pub mod apart;
pub mod certs;
pub mod client;
pub mod clients;
pub mod cluster;
pub mod door;
pub mod frames;
pub mod harbor;
pub mod harbor_process;
pub mod house;
pub mod image;
pub mod keepalived;
pub mod machine;
pub mod netns;
pub mod origin;
pub mod ports;
pub mod redis;
pub mod relay;
pub mod rights;
pub mod vip;
