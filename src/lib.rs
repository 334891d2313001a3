//! Seawall: the front door of a Harbor cluster.
//!
//! # The map of the house
//!
//! Every room is a file `foo.rs` (its first page: what it is, why, its public face) and a folder `foo/`.
//! A room uses only rooms on lower floors; `tests/architecture.rs` proves it.
//!
//! | floor | rooms |
//! |---|---|
//! | 8 | [`cli`]: one file per subcommand |
//! | 7 | [`app`]: the only file that knows everybody · [`bench`]: load for a registry, and how it did |
//! | 6 | [`admin`]: health, metrics, status, nodes and reload for operators · [`doctor`]: whether the nodes are one cluster |
//! | 5 | [`front`]: what happens to every request before and after it is proxied |
//! | 4 | [`proxy`]: one request to one node and back · [`reload`]: a new world, or why not |
//! | 3 | [`state`]: what a request reads, once |
//! | 2 | [`placement`]: which nodes may take a request, what ties it to one, and the journal of what some of them lack |
//! | 1 | [`upstream`]: nodes, their connections, their health |
//! | 0 | [`net`], [`tls`]: sockets and certificates · [`session`]: what sticks to a node, in memory and in Redis · [`vip`]: the address that doors share |
//! | -1 | [`config`]: what the operator wrote |
//! | -2 | [`telemetry`], [`lifecycle`], [`message`], [`harbor`], [`balance`], [`health`] |
//!
//! # Words
//!
//! *node*: one Harbor behind the door · *cluster*: the nodes that form one registry · *component*: a part of a
//! node that Harbor reports on · *topology*: how nodes hold data · *class*: what a request is, from its method
//! and path · *lease*: a chosen node plus one unit of its capacity · *snapshot*: what a request reads of the
//! configuration, once · *affinity*: a reason to prefer a node · *drain*: take no new work, let running work finish ·
//! *probe*, *outlier*: active and passive health evidence · *journal*: what was written while a peer could not get it ·
//! *course*: the order in which nodes with data of their own are asked · *circuit*: requests that fail together, for which a
//! node may be left out · *share*: requests that keep a part of a node's room.

pub mod admin;
pub mod app;
pub mod balance;
pub mod bench;
pub mod cli;
pub mod config;
pub mod doctor;
pub mod front;
pub mod harbor;
pub mod health;
pub mod lifecycle;
pub mod message;
pub mod net;
pub mod placement;
pub mod proxy;
pub mod reload;
pub mod session;
pub mod state;
pub mod telemetry;
pub mod tls;
pub mod upstream;
pub mod vip;
