//! What people see of a node's death with podman and skopeo; docker is in `nodes_come_and_go.rs`.

use super::*;
use crate::support::clients::Told;
use crate::support::clients::image::Image;
use crate::support::clients::podman::Podman;
use crate::support::clients::skopeo::Skopeo;
use crate::support::cluster::Cluster;
use crate::support::harbor::{Dialect, Entry, RequestEnd, ResponseEnd};

const SIZE: u64 = 128 << 20;
const ADMIN: (&str, &str) = ("admin", "Harbor12345");
const LONG: Duration = Duration::from_secs(60);

/// Two nodes that are as patient with bodies as the real ones.
async fn cluster() -> Cluster {
    Cluster::start_with(
        Dialect::Harbor2,
        2,
        |options| {
            options.timing.body_stall = Duration::from_secs(60);
            options.timing.proxy_v2 = Duration::from_secs(900);
        },
        |_| {},
    )
    .await
}

/// In the middle of a layer's way to the client.
fn pulls(entry: &Entry) -> bool {
    entry.method == "GET"
        && entry.target.contains("/blobs/sha256:")
        && entry.response_end == ResponseEnd::Sending
}

/// In the middle of a layer's way to the node.
fn pushes(entry: &Entry) -> bool {
    entry.method == "PATCH" && entry.request_end == RequestEnd::Arriving && entry.body > 4 << 20
}

/// Lets a client work; the first node that is in the middle of something dies.
fn dies_while(
    cluster: &Cluster,
    what: fn(&Entry) -> bool,
    works: impl FnOnce() -> Told + Send,
) -> Told {
    for node in &cluster.nodes {
        node.log().clear();
    }
    let dies = || {
        std::thread::scope(|scope| {
            let work = scope.spawn(works);
            let mut nodes = cluster.nodes.iter().cycle();
            let mut busy = None;
            eventually("a node is in the middle of it", LONG, || {
                assert!(!work.is_finished(), "too quick");
                busy = nodes.next();
                busy.is_some_and(|node| node.log().entries().iter().any(what))
            });
            let stop = busy.expect("a node").stop();
            tokio::runtime::Handle::current().block_on(stop);
            work.join().unwrap()
        })
    };
    tokio::task::block_in_place(dies)
}

#[tokio::test(flavor = "multi_thread")]
async fn podman_and_skopeo_pull_through_a_death() {
    for by_podman in [true, false] {
        let cluster = cluster().await;
        let (podman, skopeo) = (Podman::new(&cluster.door), Skopeo::new(&cluster.door));
        podman.login(ADMIN.0, ADMIN.1).done();
        skopeo.login(ADMIN.0, ADMIN.1).done();
        let work = tempfile::tempdir().unwrap();
        let image = Image::make(&work.path().join("image"), SIZE);
        skopeo.push(&image, "private/app:1", 0).done();
        let back = work.path().join("back");
        let pull = || match by_podman {
            true => podman.pull("private/app:1"),
            false => skopeo.pull("private/app:1", &back, 0),
        };
        dies_while(&cluster, pulls, pull).done();
        if !by_podman {
            assert!(Image::at(&back).is_sound());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn skopeo_fails_with_its_node_and_leaves_nothing_half_done() {
    for retries in [0, 3] {
        let cluster = cluster().await;
        let skopeo = Skopeo::new(&cluster.door);
        skopeo.login(ADMIN.0, ADMIN.1).done();
        let work = tempfile::tempdir().unwrap();
        let image = Image::make(&work.path().join("image"), SIZE);
        let push = || skopeo.push(&image, "private/app:1", retries);
        let told = dies_while(&cluster, pushes, push);
        // Skopeo 1.9 takes no 5xx for a reason to try again, whatever it is told; later ones may.
        assert!(retries > 0 || !told.ok, "{told:?}");
        assert!(told.ok || told.err.contains("503"), "{told:?}");
        let back = work.path().join("back");
        let pulled = skopeo.pull("private/app:1", &back, 0);
        assert_eq!(pulled.ok, told.ok, "a tag without its image: {pulled:?}");
        if !told.ok {
            skopeo.push(&image, "private/app:1", 0).done();
            skopeo.pull("private/app:1", &back, 0).done();
        }
        assert_eq!(Image::at(&back).digest, image.digest);
    }
}
