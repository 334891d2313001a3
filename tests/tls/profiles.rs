//! The profiles of TLS, knocked at by OpenSSL.

use super::{OK, answered, openssl};
use crate::support::origin::{Origin, before, before_with};

#[tokio::test(flavor = "multi_thread")]
async fn the_intermediate_profile_speaks_tls_1_2_and_1_3_with_forward_secrecy_and_nothing_older() {
    let origin = Origin::saying(OK);
    let door = before(&origin);
    for (more, protocol) in [
        (&["-tls1_3"][..], "TLSv1.3"),
        (
            &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"],
            "TLSv1.2",
        ),
        (
            &["-tls1_2", "-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305"],
            "TLSv1.2",
        ),
    ] {
        let said = openssl(&door, more);
        assert!(answered(&said), "{more:?}: {said}");
        assert!(said.contains(&format!("New, {protocol}")), "{said}");
    }
    for more in [
        &["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"][..],
        // No authenticated encryption, no forward secrecy.
        &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA256"],
        &["-tls1_2", "-cipher", "AES128-GCM-SHA256"],
    ] {
        let said = openssl(&door, more);
        assert!(
            said.contains("handshake failure") || said.contains("protocol version"),
            "{said}"
        );
        assert!(!answered(&said), "{more:?}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_modern_profile_speaks_tls_1_3_alone() {
    let origin = Origin::saying(OK);
    let door = before_with(&origin, |plan| {
        plan.listen = "tls_profile = \"modern\"".to_owned();
    });
    assert!(answered(&openssl(&door, &["-tls1_3"])));
    let said = openssl(&door, &["-tls1_2"]);
    assert!(said.contains("protocol version"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_profile_takes_early_data_or_renegotiates() {
    let origin = Origin::saying(OK);
    let door = before(&origin);
    let session = door.directory().join("session");
    let file = session.to_str().unwrap();
    let said = openssl(&door, &["-tls1_3", "-sess_out", file]);
    assert!(answered(&said), "{said}");
    assert!(said.contains("Max Early Data: 0"), "{said}");
    let said = openssl(&door, &["-tls1_2"]);
    // RFC 5746: nobody can splice a renegotiation in, since there is none.
    assert!(said.contains("Secure Renegotiation IS supported"), "{said}");
}
