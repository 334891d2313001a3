//! One question to the admin API of a running Seawall.

use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use clap::Args;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use super::FAILED;

/// Long enough for a reload that reads slow disks.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where the running Seawall is asked.
#[derive(Args)]
pub struct Admin {
    /// The admin address, as http://HOST:PORT or unix:/PATH
    #[arg(
        long,
        global = true,
        env = "SEAWALL_ADMIN",
        value_name = "URL",
        default_value = "http://127.0.0.1:9180"
    )]
    admin: String,
    /// A file with the token that the admin listener asks for
    #[arg(long, global = true, value_name = "FILE")]
    token_file: Option<std::path::PathBuf>,
}

impl Admin {
    /// Sends a request without a body; the answer's status and JSON.
    pub fn ask(&self, method: Method, path: &str) -> anyhow::Result<(StatusCode, Value)> {
        self.send(method, path, Bytes::new())
    }

    /// Sends a request with a body; the answer's status and JSON.
    pub fn send(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> anyhow::Result<(StatusCode, Value)> {
        self.send_within(PATIENCE, method, path, body)
    }

    fn send_within(
        &self,
        patience: Duration,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> anyhow::Result<(StatusCode, Value)> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            let asked = self.exchange(method, path, body);
            tokio::time::timeout(patience, asked)
                .await
                .context("no answer in time")?
        })
    }

    /// Asks for something that is there; whatever else comes is told on stderr, and the exit code returned.
    pub fn need(&self, method: Method, path: &str) -> Result<Value, u8> {
        self.need_within(PATIENCE, method, path)
    }

    /// The same of what may take its time.
    pub fn need_within(&self, patience: Duration, method: Method, path: &str) -> Result<Value, u8> {
        needed(self.send_within(patience, method, path, Bytes::new()))
    }

    /// The same with a body.
    pub fn need_with(&self, method: Method, path: &str, body: Bytes) -> Result<Value, u8> {
        needed(self.send(method, path, body))
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> anyhow::Result<(StatusCode, Value)> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(http::header::HOST, "localhost");
        if let Some(file) = &self.token_file {
            let token = std::fs::read_to_string(file)
                .with_context(|| format!("cannot read {}", file.display()))?;
            request = request.header(
                http::header::AUTHORIZATION,
                format!("Bearer {}", token.trim()),
            );
        }
        let request = request.body(Full::new(body))?;
        let hint = "is Seawall running, and is --admin (or SEAWALL_ADMIN) its admin address?";
        if let Some(path) = self.admin.strip_prefix("unix:") {
            let stream = UnixStream::connect(path)
                .await
                .with_context(|| format!("cannot reach {}: {hint}", self.admin))?;
            return send(stream, request).await;
        }
        let Some(address) = self
            .admin
            .strip_prefix("http://")
            .map(|rest| rest.trim_end_matches('/'))
        else {
            bail!(
                "`{}` is no admin address: write http://HOST:PORT or unix:/PATH",
                self.admin
            );
        };
        let stream = TcpStream::connect(address)
            .await
            .with_context(|| format!("cannot reach {}: {hint}", self.admin))?;
        send(stream, request).await
    }
}

async fn send<S>(stream: S, request: Request<Full<Bytes>>) -> anyhow::Result<(StatusCode, Value)>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let response = sender.send_request(request).await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    Ok((
        status,
        serde_json::from_slice(&body).context("the answer is not JSON")?,
    ))
}

/// An answer of something that is there; whatever else came is told on stderr.
fn needed(answer: anyhow::Result<(StatusCode, Value)>) -> Result<Value, u8> {
    match answer {
        Ok((StatusCode::OK, answer)) => return Ok(answer),
        Ok((_, answer)) => {
            for complaint in complaints(&answer) {
                eprintln!("seawall: {complaint}");
            }
        }
        Err(error) => eprintln!("seawall: {error:#}"),
    }
    Err(FAILED)
}

/// The messages of an error answer, one a line.
pub fn complaints(answer: &Value) -> Vec<&str> {
    let errors = answer.get("errors").and_then(Value::as_array);
    errors
        .into_iter()
        .flatten()
        .filter_map(|error| error.get("message")?.as_str())
        .collect()
}
