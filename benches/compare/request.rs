//! The requests of a registry client, word for word as docker sends them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::origin::digest;
use crate::papers::NAME;

pub const AGENT: &str = "docker/20.10.24+dfsg1 go/go1.19.8 git-commit/5d6db84 kernel/6.1.0 os/linux arch/amd64 \
                         UpstreamClient(Docker-Client/28.2.2 \\(linux\\))";
pub const UPLOADS: &str = "/v2/library/app/blobs/uploads/";
pub const UPLOAD: &str = "/v2/library/app/blobs/uploads/fa4c685e-355d-49be-b316-3dba44760a16?_state=DJzvdx1QZb_vMaGADKkmbYEP4Bw1jGefp6fIpj-uwBt7Ik5hbWUiOiJsaWJyYXJ5L2FwcCIsIlVVSUQiOiJmYTRjNjg1ZS0zNTVkLTQ5YmUtYjMxNi0zZGJhNDQ3NjBhMTYiLCJPZmZzZXQiOjAsIlN0YXJ0ZWRBdCI6IjIwMjYtMTEtMjJUMTQ6MjE6MjYuODA1OTM2MzMzWiJ9";

/// The path of the blob of so many bytes.
pub fn blob(bytes: u64) -> String {
    format!("/v2/library/app/blobs/{}", digest(bytes))
}

/// The value of `Authorization`: a token as long as Harbor's.
pub fn bearer() -> String {
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let header = part(
        r#"{"alg":"RS256","kid":"VCRN:LLIE:MCAE:PMIQ:EZHZ:MLYW:6DPL:FA7M:MWYX:ITSI:VDIT:JE6B","typ":"JWT"}"#,
    );
    let claims = part(
        r#"{"iss":"harbor-token-issuer","sub":"admin","aud":"harbor-registry","exp":1795359092,"nbf":1795357292,"iat":1795357292,"jti":"aXp8TD0hgtdaqVcJ","access":[{"type":"repository","name":"library/app","actions":["pull","push","delete"]}]}"#,
    );
    format!("Bearer {header}.{claims}.{}", "s".repeat(342))
}

/// A request without body, or the head of one whose `more` says how the body ends.
pub fn text(method: &str, path: &str, more: &str) -> Vec<u8> {
    let token = bearer();
    format!(
        "{method} {path} HTTP/1.1\r\nHost: {NAME}\r\nUser-Agent: {AGENT}\r\nAuthorization: {token}\r\n\
         Accept-Encoding: gzip\r\n{more}\r\n"
    )
    .into_bytes()
}

/// The same for HTTP/2.
pub fn parts(method: &str, path: &str, length: Option<u64>) -> http::Result<http::Request<()>> {
    let mut request = http::Request::builder()
        .method(method)
        .uri(format!("https://{NAME}{path}"))
        .header("user-agent", AGENT)
        .header("authorization", bearer())
        .header("accept-encoding", "gzip");
    if let Some(length) = length {
        request = request.header("content-length", length);
    }
    request.body(())
}
