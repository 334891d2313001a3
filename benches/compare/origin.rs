//! The node behind every proxy: a Harbor that knows its answers by heart. A process of its own.

use std::fmt::Write as _;
use std::sync::Arc;

use anyhow::{Context, Result};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::papers::Papers;
use crate::wire::{self, Body};

/// Bodies are made of this over and over.
const PIECE: usize = 256 * 1024;

const UPLOAD: &str = "fa4c685e-355d-49be-b316-3dba44760a16";
const STATE: &str =
    "DJzvdx1QZb_vMaGADKkmbYEP4Bw1jGefp6fIpj-uwBt7Ik5hbWUiOiJsaWJyYXJ5L2FwcCIsIlVVSUQiOiJmYTRj";
/// What Harbor 2 sends with every answer.
const ALWAYS: &str = "Server: nginx\r\nDate: Sun, 22 Nov 2026 14:21:32 GMT\r\nConnection: keep-alive\r\n\
    Set-Cookie: sid=5d87aea44260f8770f377f862d324234; Path=/; HttpOnly\r\n\
    X-Request-Id: 8ce3707e-bcdd-44f4-ac3b-938db870500d\r\n";
const FRAMES: &str = "X-Frame-Options: DENY\r\nContent-Security-Policy: frame-ancestors 'none'\r\n";
const REGISTRY: &str = "Docker-Distribution-Api-Version: registry/2.0\r\n";
const HEALTHY: &str = r#"{"components":[{"name":"core","status":"healthy"},{"name":"database","status":"healthy"},{"name":"jobservice","status":"healthy"},{"name":"portal","status":"healthy"},{"name":"redis","status":"healthy"},{"name":"registry","status":"healthy"},{"name":"registryctl","status":"healthy"}],"status":"healthy"}"#;

/// The digest of a blob of so many bytes: the length is in it.
pub fn digest(bytes: u64) -> String {
    format!("sha256:{bytes:064x}")
}

/// Serves on `plain` ports without and one with TLS, says which on stdout, and goes on until stdin ends.
pub async fn serve(plain: usize, papers: &Papers) -> Result<()> {
    let mut ports = Vec::new();
    let piece: Arc<[u8]> = (0..PIECE).map(|place| (place * 31 % 251) as u8).collect();
    for _ in 0..plain {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        ports.push(listener.local_addr()?.port());
        let piece = piece.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let piece = piece.clone();
                tokio::spawn(async move {
                    let _ = stream.set_nodelay(true);
                    let _ = answer(stream, &piece).await;
                });
            }
        });
    }
    let acceptor = TlsAcceptor::from(Arc::new(papers.server()?));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    ports.push(listener.local_addr()?.port());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (piece, acceptor) = (piece.clone(), acceptor.clone());
            tokio::spawn(async move { secured(stream, &acceptor, &piece).await });
        }
    });
    println!("{}", serde_json::to_string(&ports)?);
    Ok(())
}

async fn secured(stream: TcpStream, acceptor: &TlsAcceptor, piece: &[u8]) {
    let _ = stream.set_nodelay(true);
    if let Ok(stream) = acceptor.accept(stream).await {
        let _ = answer(stream, piece).await;
    }
}

async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, piece: &[u8]) -> Result<()> {
    let mut buffer = vec![0; PIECE];
    let (mut filled, mut out) = (0, Vec::with_capacity(4096));
    loop {
        let Some(head) = wire::head(&buffer[..filled])? else {
            let read = stream.read(&mut buffer[filled..]).await?;
            if read == 0 {
                return Ok(());
            }
            filled += read;
            continue;
        };
        let mut words = head.first.split(' ');
        let method = words.next().unwrap_or_default().to_owned();
        let path = words.next().unwrap_or_default().to_owned();
        let close = head.close;
        let mut at = head.length;
        if let Some(framing) = head.framing {
            let mut body = Body::new(framing);
            at += body.take(&buffer[at..filled])?;
            while !body.is_done() {
                filled = stream.read(&mut buffer).await?;
                if filled == 0 {
                    return Ok(());
                }
                at = body.take(&buffer[..filled])?;
            }
        }
        buffer.copy_within(at..filled, 0);
        filled -= at;
        out.clear();
        let mut rest = say(&mut out, &method, &path)?;
        // A short body goes out with its head.
        let here = usize::try_from(rest).unwrap_or(usize::MAX).min(64 * 1024);
        out.extend_from_slice(&piece[..here]);
        rest -= here as u64;
        stream.write_all(&out).await?;
        while rest > 0 {
            let here = usize::try_from(rest).unwrap_or(usize::MAX).min(piece.len());
            stream.write_all(&piece[..here]).await?;
            rest -= here as u64;
        }
        stream.flush().await?;
        if close {
            stream.shutdown().await?;
            return Ok(());
        }
    }
}

/// Writes the answer but for the body of a blob: how long that is.
fn say(out: &mut Vec<u8>, method: &str, path: &str) -> Result<u64> {
    let mut text = String::with_capacity(1024);
    let path = path.split('?').next().unwrap_or_default();
    let (name, last) = path.rsplit_once('/').context("a path without a slash")?;
    let mut blob = 0;
    let document = |text: &mut String, status: &str, kind: &str, body: &str| {
        let length = body.len();
        let _ = write!(
            text,
            "HTTP/1.1 {status}\r\n{ALWAYS}{FRAMES}Content-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{body}"
        );
    };
    match (method, path) {
        ("POST" | "PATCH", _) => {
            let _ = write!(
                text,
                "HTTP/1.1 202 Accepted\r\n{ALWAYS}{REGISTRY}Content-Length: 0\r\nDocker-Upload-Uuid: {UPLOAD}\r\n\
                 Location: https://registry.example.com/v2/library/app/blobs/uploads/{UPLOAD}?_state={STATE}\r\n\
                 Range: 0-0\r\n\r\n"
            );
        }
        ("PUT", _) => {
            let digest = digest(1024);
            let _ = write!(
                text,
                "HTTP/1.1 201 Created\r\n{ALWAYS}{REGISTRY}{FRAMES}Content-Length: 0\r\n\
                 Docker-Content-Digest: {digest}\r\n\
                 Location: https://registry.example.com/v2/library/app/blobs/{digest}\r\n\r\n"
            );
        }
        (_, "/v2/") => {
            let body = "{\"errors\":[{\"code\":\"UNAUTHORIZED\",\"message\":\"unauthorized: unauthorized\"}]}\n";
            let length = body.len();
            let _ = write!(
                text,
                "HTTP/1.1 401 Unauthorized\r\n{ALWAYS}{REGISTRY}Content-Type: application/json; charset=utf-8\r\n\
                 Www-Authenticate: Bearer realm=\"https://registry.example.com/service/token\",\
                 service=\"harbor-registry\"\r\nContent-Length: {length}\r\n\r\n{body}"
            );
        }
        (_, "/service/token") => {
            let body = format!("{{\"token\":\"{}\",\"expires_in\":1800}}", "t".repeat(1170));
            document(
                &mut text,
                "200 OK",
                "application/json; charset=utf-8",
                &body,
            );
        }
        (_, "/api/v2.0/ping") => document(&mut text, "200 OK", "text/plain", "Pong"),
        (_, "/api/v2.0/health") => document(&mut text, "200 OK", "application/json", HEALTHY),
        (_, "/api/v2.0/projects") => document(&mut text, "200 OK", "application/json", "[]"),
        (_, "/") => document(
            &mut text,
            "200 OK",
            "text/html",
            "<!doctype html><title>Harbor</title>",
        ),
        _ if name.ends_with("/blobs") || name.ends_with("/manifests") => {
            let manifest = name.ends_with("/manifests");
            let (kind, length) = if manifest {
                ("application/vnd.docker.distribution.manifest.v2+json", 946)
            } else {
                let hex = last
                    .strip_prefix("sha256:")
                    .context("a blob that is no digest")?;
                let cached = "Accept-Ranges: bytes\r\nCache-Control: max-age=31536000\r\n";
                out.clear();
                text.clear();
                let _ = write!(text, "HTTP/1.1 200 OK\r\n{cached}");
                ("application/octet-stream", u64::from_str_radix(hex, 16)?)
            };
            if manifest {
                text.push_str("HTTP/1.1 200 OK\r\n");
            }
            let digest = if manifest {
                digest(946)
            } else {
                last.to_owned()
            };
            let _ = write!(
                text,
                "{ALWAYS}{REGISTRY}{FRAMES}Content-Type: {kind}\r\nContent-Length: {length}\r\n\
                 Docker-Content-Digest: {digest}\r\nEtag: \"{digest}\"\r\n\r\n"
            );
            if method != "HEAD" {
                blob = length;
            }
        }
        _ => document(&mut text, "404 Not Found", "application/json", "{}"),
    }
    out.extend_from_slice(text.as_bytes());
    Ok(blob)
}
