//! The parent's ends of its child processes: the origin and the clients.

use std::io::{BufRead, BufReader, Lines};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::job::{Job, Order, Reply, Tally};

/// This program in another role. It ends when its stdin does.
struct Role {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Role {
    fn start(arguments: &[&str], papers: &Path) -> Result<Role> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["--role"])
            .args(arguments)
            .arg("--papers")
            .arg(papers)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().context("no stdout")?;
        Ok(Role {
            child,
            stdin,
            lines: BufReader::new(stdout).lines(),
        })
    }

    fn line(&mut self) -> Result<String> {
        Ok(self.lines.next().context("a child process ended")??)
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.child.wait();
    }
}

/// The process that answers behind every proxy.
pub struct Origin {
    _role: Role,
    /// Ports without TLS, then one with.
    pub ports: Vec<u16>,
}

impl Origin {
    pub fn start(nodes: usize, papers: &Path) -> Result<Origin> {
        let mut role = Role::start(&["origin", "--ports", &nodes.to_string()], papers)?;
        let ports = serde_json::from_str(&role.line()?)?;
        Ok(Origin { _role: role, ports })
    }
}

/// The process that makes all requests.
pub struct Clients(Role);

impl Clients {
    pub fn start(papers: &Path) -> Result<Clients> {
        Role::start(&["clients"], papers).map(Clients)
    }

    fn order(&mut self, order: Order) -> Result<Reply> {
        use std::io::Write as _;
        let stdin = self.0.stdin.as_mut().context("no stdin")?;
        writeln!(stdin, "{}", serde_json::to_string(&order)?)?;
        match serde_json::from_str(&self.0.line()?)? {
            Reply::Failed(why) => bail!(why),
            reply => Ok(reply),
        }
    }

    fn counted(&mut self, order: Order) -> Result<Tally> {
        match self.order(order)? {
            Reply::Counted(tally) => Ok(tally),
            other => bail!("{other:?} to {order:?}"),
        }
    }

    pub fn ask(&mut self, address: SocketAddr) -> Result<()> {
        self.order(Order::Ask(address)).map(drop)
    }

    pub fn prepare(&mut self, job: Job) -> Result<()> {
        self.order(Order::Prepare(job)).map(drop)
    }

    pub fn go(&mut self) -> Result<Tally> {
        self.counted(Order::Go)
    }

    pub fn hold(&mut self, address: SocketAddr, count: usize) -> Result<()> {
        self.order(Order::Hold(address, count)).map(drop)
    }

    pub fn check(&mut self) -> Result<Tally> {
        self.counted(Order::Check)
    }

    pub fn drop_all(&mut self) -> Result<()> {
        self.order(Order::Drop).map(drop)
    }
}
