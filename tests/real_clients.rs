//! What people see at the door with the clients they have: docker, podman, skopeo.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use super::support::certs::Authority;
use super::support::clients::demand;
use super::support::clients::docker::Docker;
use super::support::clients::image::Image;
use super::support::clients::podman::Podman;
use super::support::clients::skopeo::Skopeo;
use super::support::cluster::Cluster;
use super::support::harbor::{Dialect, Options};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const SIZES: [u64; 3] = [KIB, 100 * KIB, 20 * MIB];
const GIB: [u64; 1] = [1 << 30];
const ADMIN: (&str, &str) = ("admin", "Harbor12345");

/// Two nodes that are as patient with bodies as the real ones.
async fn cluster(dialect: Dialect) -> Cluster {
    let patient = |options: &mut Options| {
        options.timing.body_stall = Duration::from_secs(60);
        options.timing.proxy_v2 = Duration::from_secs(900);
    };
    Cluster::start_with(dialect, 2, patient, |_| {}).await
}

async fn docker_carries(dialect: Dialect, sizes: &[u64]) {
    let cluster = cluster(dialect).await;
    let docker = Docker::start(&cluster.door);
    let told = docker.login(ADMIN.0, ADMIN.1).done();
    assert!(told.out.contains("Login Succeeded"), "{told:?}");
    for size in sizes {
        let name = format!("private/docker:{size}");
        let id = docker.make(&name, *size);
        let told = docker.push(&name).done();
        let digest = docker.digest(&name);
        assert!(told.out.contains(&digest), "{told:?}");
        docker.forget(&name);
        docker.pull(&name).done();
        assert_eq!((docker.id(&name), docker.digest(&name)), (id, digest));
    }
}

async fn podman_carries(dialect: Dialect, sizes: &[u64]) {
    let cluster = cluster(dialect).await;
    let podman = Podman::new(&cluster.door);
    let told = podman.login(ADMIN.0, ADMIN.1).done();
    assert!(told.out.contains("Login Succeeded!"), "{told:?}");
    let work = tempfile::tempdir().unwrap();
    for size in sizes {
        let image = Image::make(&work.path().join(size.to_string()), *size);
        let name = format!("private/podman:{size}");
        let id = podman.take_in(&image);
        let digest = podman.push(&id, &name);
        podman.forget();
        assert_eq!(podman.pull(&name).done().word(), id);
        assert_eq!(podman.digest(&name), digest);
        podman.forget();
    }
}

async fn skopeo_carries(dialect: Dialect, sizes: &[u64]) {
    let cluster = cluster(dialect).await;
    let skopeo = Skopeo::new(&cluster.door);
    let told = skopeo.login(ADMIN.0, ADMIN.1).done();
    assert!(told.out.contains("Login Succeeded!"), "{told:?}");
    let work = tempfile::tempdir().unwrap();
    for size in sizes {
        let image = Image::make(&work.path().join(size.to_string()), *size);
        let name = format!("private/skopeo:{size}");
        let back = work.path().join(format!("back-{size}"));
        skopeo.push(&image, &name, 0).done();
        skopeo.pull(&name, &back, 0).done();
        let back = Image::at(&back);
        assert_eq!(back.digest, image.digest);
        assert!(back.is_sound());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_pushes_to_harbor_2_and_pulls_the_same_image() {
    docker_carries(Dialect::Harbor2, &SIZES).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_pushes_to_harbor_1_and_pulls_the_same_image() {
    docker_carries(Dialect::Harbor1, &SIZES).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn podman_pushes_to_harbor_2_and_pulls_the_same_image() {
    podman_carries(Dialect::Harbor2, &SIZES).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn podman_pushes_to_harbor_1_and_pulls_the_same_image() {
    podman_carries(Dialect::Harbor1, &SIZES).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn skopeo_pushes_to_harbor_2_and_pulls_the_same_image() {
    skopeo_carries(Dialect::Harbor2, &SIZES).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn skopeo_pushes_to_harbor_1_and_pulls_the_same_image() {
    skopeo_carries(Dialect::Harbor1, &SIZES).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "moves gigabytes; run with --ignored"]
async fn docker_carries_a_layer_of_a_gibibyte() {
    docker_carries(Dialect::Harbor2, &GIB).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "moves gigabytes; run with --ignored"]
async fn podman_carries_a_layer_of_a_gibibyte() {
    podman_carries(Dialect::Harbor1, &GIB).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "moves gigabytes; run with --ignored"]
async fn skopeo_carries_a_layer_of_a_gibibyte() {
    skopeo_carries(Dialect::Harbor2, &GIB).await;
}

/// A cluster with one image in its public project.
async fn with_a_public_image(dialect: Dialect) -> Cluster {
    let cluster = cluster(dialect).await;
    let skopeo = Skopeo::new(&cluster.door);
    skopeo.login(ADMIN.0, ADMIN.1).done();
    let work = tempfile::tempdir().unwrap();
    let image = Image::make(&work.path().join("image"), 100 * KIB);
    skopeo.push(&image, "library/open:1", 0).done();
    cluster
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_pulls_from_a_public_project_without_a_login() {
    let cluster = with_a_public_image(Dialect::Harbor1).await;
    Docker::start(&cluster.door).pull("library/open:1").done();
}

#[tokio::test(flavor = "multi_thread")]
async fn podman_pulls_from_a_public_project_without_a_login() {
    let cluster = with_a_public_image(Dialect::Harbor2).await;
    Podman::new(&cluster.door).pull("library/open:1").done();
}

#[tokio::test(flavor = "multi_thread")]
async fn skopeo_pulls_from_a_public_project_without_a_login() {
    let cluster = with_a_public_image(Dialect::Harbor2).await;
    let work = tempfile::tempdir().unwrap();
    let back = work.path().join("back");
    Skopeo::new(&cluster.door)
        .pull("library/open:1", &back, 0)
        .done();
    assert!(Image::at(&back).is_sound());
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_says_unauthorized_to_a_wrong_password() {
    for dialect in [Dialect::Harbor2, Dialect::Harbor1] {
        let cluster = cluster(dialect).await;
        let told = Docker::start(&cluster.door).login(ADMIN.0, "wrong");
        assert!(!told.ok);
        assert!(told.err.contains("unauthorized"), "{told:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn podman_says_invalid_username_or_password() {
    for dialect in [Dialect::Harbor2, Dialect::Harbor1] {
        let cluster = cluster(dialect).await;
        let told = Podman::new(&cluster.door).login(ADMIN.0, "wrong");
        assert!(!told.ok);
        let text = "invalid username/password";
        assert!(told.err.contains(text), "{told:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn skopeo_says_invalid_username_or_password() {
    for dialect in [Dialect::Harbor2, Dialect::Harbor1] {
        let cluster = cluster(dialect).await;
        let told = Skopeo::new(&cluster.door).login(ADMIN.0, "wrong");
        assert!(!told.ok);
        let text = "invalid username/password";
        assert!(told.err.contains(text), "{told:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_does_not_speak_to_a_door_of_an_unknown_authority() {
    let cluster = cluster(Dialect::Harbor2).await;
    let elsewhere = tempfile::tempdir().unwrap();
    Authority::new(elsewhere.path());
    let docker = Docker::believing(&elsewhere.path().join("ca.pem"), &cluster.door);
    let told = docker.login(ADMIN.0, ADMIN.1);
    assert!(!told.ok);
    let text = "certificate signed by unknown authority";
    assert!(told.err.contains(text), "{told:?}");
}

#[test]
#[should_panic(expected = "apt-get install a-package")]
fn a_missing_program_fails_its_test_with_the_name_of_the_package() {
    demand("a-program-that-nobody-has", "a-package");
}
