//! Uploads of blobs, as the answers of a registry name them.

use http::header::LOCATION;
use http::{HeaderMap, HeaderName, StatusCode};
use percent_encoding::percent_decode_str;

const UUID: HeaderName = HeaderName::from_static("docker-upload-uuid");

/// Whether `text` is a uuid in the form in which every registry writes it: five groups of hexadecimal digits.
pub fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// The uuid of the upload that an answer to `POST …/blobs/uploads/` opened, by its header or its address.
pub fn opened(status: StatusCode, headers: &HeaderMap) -> Option<&str> {
    if status != StatusCode::ACCEPTED {
        return None;
    }
    let named = headers.get(UUID).and_then(|value| value.to_str().ok());
    let located = || {
        let location = headers.get(LOCATION)?.to_str().ok()?;
        let path = location.split(['?', '#']).next()?;
        path.rsplit('/').next()
    };
    named
        .filter(|uuid| is_uuid(uuid))
        .or_else(|| located().filter(|uuid| is_uuid(uuid)))
}

/// Path and digest of the blob that `PUT …/blobs/uploads/UUID?…&digest=DIGEST` makes of an upload.
pub fn blob(path_and_query: &str) -> Option<(String, String)> {
    let (path, query) = path_and_query.split_once('?')?;
    let (repository, _) = path.rsplit_once("/blobs/uploads/")?;
    let mut pairs = query.split('&');
    let digest = pairs.find_map(|pair| pair.strip_prefix("digest="))?;
    let digest = percent_decode_str(digest).decode_utf8().ok()?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b":+._-=".contains(&byte);
    let sound = digest.contains(':') && digest.bytes().all(plain);
    sound.then(|| (format!("{repository}/blobs/{digest}"), digest.into_owned()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const ID: &str = "8c3c2d1e-9f40-4b0a-8a53-1b6d1f0a7c11";

    fn answer(name: HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, value.parse().unwrap())])
    }

    #[test]
    fn an_upload_is_named_by_its_header_or_else_by_its_address() {
        let accepted = StatusCode::ACCEPTED;
        assert_eq!(opened(accepted, &answer(UUID, ID)), Some(ID));
        let location = format!("https://r.example.com/v2/a/b/blobs/uploads/{ID}?_state=x/y");
        assert_eq!(opened(accepted, &answer(LOCATION, &location)), Some(ID));
    }

    #[test]
    fn the_end_of_an_upload_names_its_blob() {
        let upload = "/v2/a/b/blobs/uploads/8c3c2d1e?_state=x%3D&digest=";
        let made = Some(("/v2/a/b/blobs/sha256:0f".to_owned(), "sha256:0f".to_owned()));
        assert_eq!(blob(&format!("{upload}sha256:0f")), made);
        assert_eq!(blob(&format!("{upload}sha256%3A0f")), made);
        for digest in ["", "0f", "sha256:..%2F..%2Fx", "sha256:0f%20x"] {
            assert_eq!(blob(&format!("{upload}{digest}")), None, "{digest}");
        }
        assert_eq!(blob("/v2/a/b/blobs/uploads/8c3c2d1e"), None);
    }

    #[test]
    fn a_mounted_blob_opens_no_upload() {
        assert_eq!(opened(StatusCode::CREATED, &answer(UUID, ID)), None);
    }

    #[test]
    fn what_is_no_uuid_names_no_upload() {
        for bad in [
            "",
            "x",
            &ID[1..],
            &ID.replace('-', "0"),
            &ID.replace('c', "g"),
        ] {
            assert_eq!(opened(StatusCode::ACCEPTED, &answer(UUID, bad)), None);
        }
    }
}
