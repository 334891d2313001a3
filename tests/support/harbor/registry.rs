//! The real registry behind a node: Debian's `docker-registry` (distribution 2.8.2) as a child.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::net::TcpStream;

use super::super::ports;
use super::Options;
use super::body::Pumped;
use super::nginx::Ask;
use super::reply::Reply;

const USER: &str = "harbor_registry_user";
const PASSWORD: &str = "harbor_registry_password";

/// How the registry decides who may do what.
pub enum Trust {
    /// 2.x: core decides and logs in as one user.
    Core,
    /// 1.x: the registry verifies tokens itself.
    Tokens { realm: String, certificate: PathBuf },
}

/// The child and where it listens.
pub struct Registry {
    child: Mutex<Option<Child>>,
    address: SocketAddr,
    config: PathBuf,
}

impl Registry {
    /// Writes the child's configuration; does not start it.
    pub fn new(work: &Path, options: &Options, trust: &Trust) -> io::Result<Self> {
        let address = ports::free();
        let registry = Self {
            child: Mutex::new(None),
            address,
            config: work.join("registry.yml"),
        };
        registry.configure(work, options, trust)?;
        Ok(registry)
    }

    /// Replaces the configuration, for the next start.
    pub fn configure(&self, work: &Path, options: &Options, trust: &Trust) -> io::Result<()> {
        let auth = match trust {
            Trust::Core => {
                let file = work.join("htpasswd");
                let made = Command::new("htpasswd")
                    .args(["-B", "-C", "4", "-b", "-n", USER, PASSWORD])
                    .output()?;
                std::fs::write(&file, made.stdout)?;
                format!(
                    "  htpasswd:\n    realm: harbor-registry-basic-realm\n    path: {}\n",
                    file.display()
                )
            }
            Trust::Tokens { realm, certificate } => format!(
                "  token:\n    realm: {realm}\n    service: harbor-registry\n    issuer: harbor-token-issuer\n    rootcertbundle: {}\n",
                certificate.display()
            ),
        };
        let text = format!(
            "version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {}\n  delete:\n    enabled: true\n  maintenance:\n    uploadpurging:\n      enabled: false\nhttp:\n  addr: {}\n  secret: {}\n  draintimeout: 2s\nauth:\n{auth}",
            options.storage.display(),
            self.address,
            options.http_secret
        );
        std::fs::write(&self.config, text)
    }

    /// Starts the child and waits until it listens. Call it on a thread that outlives the child: the child is
    /// told to die with it where the system can do that.
    pub async fn start(&self) -> io::Result<()> {
        self.kill();
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "docker-registry", "serve"]);
        command.arg(&self.config);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let child = command.spawn()?;
        *self.child.lock().expect("never poisoned") = Some(child);
        for _ in 0..1000 {
            if TcpStream::connect(self.address).await.is_ok() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "docker-registry did not start",
        ))
    }

    /// Kills the child at once.
    pub fn kill(&self) {
        if let Some(mut child) = self.child.lock().expect("never poisoned").take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Lets the child end what it is writing, two seconds at most, and go: it writes in place, so a kill at the wrong
    /// moment leaves an empty manifest in the storage that all nodes share, which no door can mend.
    pub fn retire(&self) {
        self.signal(Signal::SIGTERM);
        // A frozen one would never hear of it.
        self.resume();
        if let Some(mut child) = self.child.lock().expect("never poisoned").take() {
            let _ = child.wait();
        }
    }

    /// Kills the child at once, as a crash would, except while it writes a manifest or a link: see
    /// [`Registry::retire`]. An upload may be cut anywhere.
    pub fn crash(&self) {
        while self.is_running() {
            self.hang();
            if !self.writes_in_place() {
                break;
            }
            self.resume();
            std::thread::sleep(Duration::from_millis(1));
        }
        self.kill();
    }

    /// Whether the frozen child has a file open for writing that is no upload.
    fn writes_in_place(&self) -> bool {
        let Some(process) = self
            .child
            .lock()
            .expect("never poisoned")
            .as_ref()
            .map(Child::id)
        else {
            return false;
        };
        let list = |what: &str| std::fs::read_dir(format!("/proc/{process}/{what}"));
        let stopped = |task: &std::fs::DirEntry| {
            let state = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
            // Anything may stand in the name, which is in brackets.
            let state = state.rsplit_once(") ").map_or("", |(_, rest)| rest);
            !state.starts_with(['R', 'S', 'D'])
        };
        while !list("task").is_ok_and(|all| all.flatten().all(|task| stopped(&task))) {
            std::thread::sleep(Duration::from_millis(1));
        }
        list("fd").into_iter().flatten().flatten().any(|file| {
            let target = std::fs::read_link(file.path()).unwrap_or_default();
            let target = target.to_string_lossy();
            let information = format!("/proc/{process}/fdinfo/{}", file.file_name().display());
            let information = std::fs::read_to_string(information).unwrap_or_default();
            let flags = information
                .lines()
                .find_map(|line| line.strip_prefix("flags:"));
            let flags = flags.and_then(|flags| i32::from_str_radix(flags.trim(), 8).ok());
            let writes = flags.is_some_and(|flags| flags & nix::libc::O_ACCMODE != 0);
            writes && target.contains("/docker/registry/v2/") && !target.contains("/_uploads/")
        })
    }

    /// Freezes the child.
    pub fn hang(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// Lets a frozen child go on.
    pub fn resume(&self) {
        self.signal(Signal::SIGCONT);
    }

    pub fn is_running(&self) -> bool {
        self.child.lock().expect("never poisoned").is_some()
    }

    fn signal(&self, signal: Signal) {
        if let Some(child) = &*self.child.lock().expect("never poisoned") {
            let _ = kill(Pid::from_raw(child.id().cast_signed()), signal);
        }
    }

    /// Whether `GET /` is answered.
    pub async fn ping(&self) -> io::Result<()> {
        let request = Request::get("/")
            .header(header::HOST, "registry")
            .body(Pumped::empty());
        self.send(request.map_err(io::Error::other)?)
            .await
            .map(drop)
    }

    /// Sends a client's request on as core does, and returns the registry's answer.
    pub async fn forward(&self, ask: &mut Ask, trust_core: bool) -> io::Result<Response<Incoming>> {
        let body = std::mem::replace(&mut ask.body, Pumped::empty());
        let mut request = Request::new(body);
        *request.method_mut() = ask.method.clone();
        *request.uri_mut() = ask.target.parse().map_err(io::Error::other)?;
        let headers = request.headers_mut();
        copy(&ask.headers, headers);
        headers.insert(header::HOST, value(&ask.host));
        headers.insert("x-forwarded-proto", value(&ask.proto));
        headers.remove(header::COOKIE);
        headers.remove(header::EXPECT);
        if trust_core {
            let pair = STANDARD.encode(format!("{USER}:{PASSWORD}"));
            headers.insert(header::AUTHORIZATION, value(&format!("Basic {pair}")));
        }
        self.send(request).await
    }

    async fn send(&self, request: Request<Pumped>) -> io::Result<Response<Incoming>> {
        let stream = TcpStream::connect(self.address).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(io::Error::other)?;
        tokio::spawn(connection);
        sender.send_request(request).await.map_err(io::Error::other)
    }

    /// The registry's address, for messages of errors.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.address.port()))
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.kill();
    }
}

/// An answer of the registry as an answer of core.
pub fn pass(response: Response<Incoming>) -> Reply {
    let (parts, body) = response.into_parts();
    let mut reply = super::reply::bare(parts.status.as_u16());
    copy(&parts.headers, reply.headers_mut());
    reply.headers_mut().remove(header::DATE);
    *reply.body_mut() = body.map_err(Into::into).boxed_unsync();
    reply
}

fn copy(from: &HeaderMap, to: &mut HeaderMap) {
    const HOP: [HeaderName; 5] = [
        header::CONNECTION,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
        header::TE,
        header::TRAILER,
    ];
    for (name, value) in from {
        if !HOP.contains(name) && name != "keep-alive" {
            to.append(name.clone(), value.clone());
        }
    }
}

fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}
