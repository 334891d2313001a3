//! Real clients push and pull through the address while its master dies.

use std::path::PathBuf;

use tempfile::TempDir;

use super::{fast, vip};
use crate::support::certs::Authority;
use crate::support::clients::docker::Docker;
use crate::support::clients::image::Image;
use crate::support::clients::skopeo::Skopeo;
use crate::support::clients::{Far, Told};
use crate::support::door::eventually;
use crate::support::harbor::{Dialect, HarborNode, Options};
use crate::support::netns::{Host, INTERFACE, Lab};
use crate::support::vip::{Door, LIMIT, PORT, Plan};

const ADMIN: (&str, &str) = ("admin", "Harbor12345");
/// So large that its way takes longer than it takes to see that it is on its way.
const SIZE: u64 = 96 << 20;
/// So much of it has passed when the master dies.
const SOME: u64 = 12 << 20;

/// Two doors at hosts 1 and 2, clients at 3, and a node at 4.
struct Scene<'a> {
    lab: &'a Lab,
    doors: [Option<Door<'a>>; 2],
    node: Option<HarborNode>,
    directory: TempDir,
}

impl<'a> Scene<'a> {
    fn new(lab: &'a Lab) -> Scene<'a> {
        let directory = tempfile::tempdir().unwrap();
        let authority = Authority::new(directory.path());
        authority.issue(directory.path(), "door", &[&vip().to_string()]);
        let storage = directory.path().join("storage");
        std::fs::create_dir_all(&storage).unwrap();
        let mut options = Options::new("harbor-1", Dialect::Harbor2, &storage);
        options.address = (lab.host(4).ipv4, PORT).into();
        options.external_url = format!("https://{}", registry());
        let node = lab
            .host(4)
            .inside(async || HarborNode::start(options).await);
        let mut scene = Scene {
            lab,
            doors: [None, None],
            node: Some(node),
            directory,
        };
        scene.mend();
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Starts the doors that are not there.
    fn mend(&mut self) {
        for (number, priority) in [(1, 200), (2, 100)] {
            if self.doors[number - 1].is_some() {
                continue;
            }
            let mut plan = Plan::new(&fast(priority));
            plan.node = self.node.as_ref().map(HarborNode::url);
            plan.public_url = Some(format!("https://{}", registry()));
            let (chain, key) = (self.path("door.pem"), self.path("door-key.pem"));
            plan.listen = format!("certificate = [{{ chain = {chain:?}, key = {key:?} }}]");
            self.doors[number - 1] = Some(Door::start(self.lab.host(number), &plan));
        }
        let alone = || self.lab.holders(vip()) == [1];
        eventually("host 1 has the address", LIMIT, alone);
        let up = |door: &Option<Door<'_>>| {
            door.as_ref()
                .unwrap()
                .ask("GET", "/api/v1/nodes")
                .1
                .contains("\"state\":\"up\"")
        };
        eventually("the node is up", LIMIT, || self.doors.iter().all(up));
    }

    /// Kills the master as soon as `client` has moved so much; says what became of `work`, which `counter` counts.
    fn killing(&mut self, counter: &str, work: impl FnOnce() -> Told + Send) -> Told {
        let client = self.lab.host(3);
        let before = moved(client, counter);
        std::thread::scope(|scope| {
            let working = scope.spawn(work);
            eventually("it is on its way", LIMIT * 2, || {
                moved(client, counter) > before + SOME || working.is_finished()
            });
            let mut master = self.doors[0].take().unwrap();
            master.crash();
            let killed = moved(client, counter) - before;
            assert!(
                !working.is_finished() && killed < SIZE,
                "it was too quick: {killed}"
            );
            let told = working.join().unwrap();
            eprintln!(
                "killed after {killed} bytes of {SIZE}; then {} more",
                moved(client, counter) - before - killed
            );
            told
        })
    }
}

impl Drop for Scene<'_> {
    fn drop(&mut self) {
        let node = self.node.take();
        self.lab
            .host(4)
            .inside(async || tokio::task::spawn_blocking(|| drop(node)).await.unwrap());
    }
}

fn registry() -> String {
    format!("{}:{PORT}", vip())
}

/// The bytes that the host has sent (`tx`) or received (`rx`).
fn moved(host: &Host, counter: &str) -> u64 {
    let devices =
        host.inside(async || std::fs::read_to_string("/proc/thread-self/net/dev").unwrap());
    let line = devices
        .lines()
        .find_map(|line| line.trim().strip_prefix(INTERFACE))
        .expect("its interface");
    let mut numbers = line.trim_start_matches(':').split_whitespace();
    let place = if counter == "rx" { 0 } else { 8 };
    numbers.nth(place).unwrap().parse().unwrap()
}

/// What a job does that runs skopeo, whose own retries leave some errors of a broken connection out.
fn again(run: impl Fn() -> Told) -> Told {
    let told = run();
    if told.ok { told } else { run() }
}

fn skopeo_pushes_and_pulls(times: usize) {
    let Some(lab) = Lab::new(4) else { return };
    let mut scene = Scene::new(&lab);
    let ca = scene.path("ca.pem");
    let far = Far {
        namespace: &lab.host(3).name,
        registry: &registry(),
        ca: &ca,
    };
    let skopeo = Skopeo::far(&far);
    skopeo.login(ADMIN.0, ADMIN.1).done();
    for time in 0..times {
        let image = Image::make(&scene.path(&format!("image-{time}")), SIZE);
        let name = format!("library/killed:{time}");
        let push = || again(|| skopeo.push(&image, &name, 5));
        scene.killing("tx", push).done();
        scene.mend();
        let back = scene.path(&format!("back-{time}"));
        let pull = || {
            again(|| {
                let _ = std::fs::remove_dir_all(&back);
                skopeo.pull(&name, &back, 5)
            })
        };
        scene.killing("rx", pull).done();
        scene.mend();
        let back = Image::at(&back);
        assert_eq!(back.digest, image.digest);
        assert!(back.is_sound());
        std::fs::remove_dir_all(&back.path).unwrap();
        std::fs::remove_dir_all(&image.path).unwrap();
    }
}

fn docker_pushes_and_pulls(times: usize) {
    let Some(lab) = Lab::new(4) else { return };
    let mut scene = Scene::new(&lab);
    let ca = scene.path("ca.pem");
    let far = Far {
        namespace: &lab.host(3).name,
        registry: &registry(),
        ca: &ca,
    };
    let docker = Docker::far(&far);
    docker.login(ADMIN.0, ADMIN.1).done();
    for time in 0..times {
        let name = format!("library/killed:{time}");
        docker.make(&name, SIZE);
        let id = docker.id(&name);
        scene.killing("tx", || docker.push(&name)).done();
        scene.mend();
        docker.forget(&name);
        scene.killing("rx", || docker.pull(&name)).done();
        scene.mend();
        assert_eq!(docker.id(&name), id);
        docker.forget(&name);
    }
}

#[test]
fn skopeo_pushes_and_pulls_through_the_address_while_its_master_is_killed() {
    skopeo_pushes_and_pulls(1);
}

#[test]
fn docker_pushes_and_pulls_through_the_address_while_its_master_is_killed() {
    docker_pushes_and_pulls(1);
}

#[test]
#[ignore = "takes minutes; run with --ignored"]
fn skopeo_pushes_and_pulls_ten_times_while_masters_are_killed() {
    skopeo_pushes_and_pulls(10);
}

#[test]
#[ignore = "takes minutes; run with --ignored"]
fn docker_pushes_and_pulls_ten_times_while_masters_are_killed() {
    docker_pushes_and_pulls(10);
}
