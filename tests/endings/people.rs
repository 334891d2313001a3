//! The clients, as far as the table needs them: each with an image to push and a place to pull to.

use std::path::PathBuf;

use crate::support::clients::Told;
use crate::support::clients::docker::Docker;
use crate::support::clients::image::Image;
use crate::support::clients::podman::Podman;
use crate::support::clients::skopeo::Skopeo;
use crate::support::door::Door;

/// Which one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    Docker,
    Podman,
    Skopeo,
}

impl Client {
    pub const ALL: [Client; 3] = [Client::Docker, Client::Podman, Client::Skopeo];

    pub fn name(self) -> &'static str {
        match self {
            Client::Docker => "docker",
            Client::Podman => "podman",
            Client::Skopeo => "skopeo",
        }
    }
}

/// What is pushed and pulled.
pub const REPOSITORY: &str = "private/deaths";
pub const TAG: &str = "1";
const NAME: &str = "private/deaths:1";
const SIZE: u64 = 256 << 10;

enum Program {
    Docker(Docker),
    Podman(Podman),
    Skopeo(Skopeo),
}

/// Someone with a client.
pub struct Person {
    program: Program,
    work: tempfile::TempDir,
    /// How many images were made and pulled so far.
    count: usize,
    /// The last image: as its client calls it.
    id: String,
    back: PathBuf,
}

impl Person {
    pub fn new(client: Client, door: &Door) -> Self {
        let work = tempfile::tempdir().unwrap();
        Person {
            program: match client {
                Client::Docker => Program::Docker(Docker::start(door)),
                Client::Podman => Program::Podman(Podman::new(door)),
                Client::Skopeo => Program::Skopeo(Skopeo::new(door)),
            },
            back: work.path().join("back"),
            work,
            count: 0,
            id: String::new(),
        }
    }

    pub fn login(&self) -> Told {
        let (user, password) = ("admin", "Harbor12345");
        match &self.program {
            Program::Docker(docker) => docker.login(user, password),
            Program::Podman(podman) => podman.login(user, password),
            Program::Skopeo(skopeo) => skopeo.login(user, password),
        }
    }

    fn image(&self) -> PathBuf {
        self.work.path().join(format!("image-{}", self.count))
    }

    /// Makes an image of which no registry has anything.
    pub fn make(&mut self) {
        self.count += 1;
        let path = self.image();
        self.id = match &self.program {
            Program::Docker(docker) => docker.make(NAME, SIZE),
            Program::Podman(podman) => podman.take_in(&Image::make(&path, SIZE)),
            Program::Skopeo(_) => Image::make(&path, SIZE).digest,
        };
    }

    pub fn push(&self) -> Told {
        match &self.program {
            Program::Docker(docker) => docker.push(NAME),
            Program::Podman(podman) => podman.try_push(&self.id, NAME),
            Program::Skopeo(skopeo) => skopeo.push(&Image::at(&self.image()), NAME, 0),
        }
    }

    /// Forgets what it has of the image.
    pub fn forget(&mut self) {
        match &self.program {
            Program::Docker(docker) => docker.forget(NAME),
            Program::Podman(podman) => podman.forget(),
            Program::Skopeo(_) => {
                let _ = std::fs::remove_dir_all(&self.back);
            }
        }
    }

    pub fn pull(&self) -> Told {
        match &self.program {
            Program::Docker(docker) => docker.pull(NAME),
            Program::Podman(podman) => podman.pull(NAME),
            Program::Skopeo(skopeo) => skopeo.pull(NAME, &self.back, 0),
        }
    }

    /// Whether it takes itself to have the image.
    pub fn has(&self) -> bool {
        match &self.program {
            Program::Docker(docker) => docker.has(NAME),
            Program::Podman(podman) => podman.has(NAME),
            Program::Skopeo(_) => self.back.join("manifest.json").exists(),
        }
    }

    /// Whether what it has is the image that was pushed last, to the last byte.
    pub fn has_it_whole(&self) -> bool {
        match &self.program {
            Program::Docker(docker) => docker.id(NAME) == self.id,
            Program::Podman(podman) => podman.id(NAME) == self.id,
            Program::Skopeo(_) => {
                let back = Image::at(&self.back);
                back.digest == self.id && back.is_sound()
            }
        }
    }
}
