//! An upstream over HTTP, on this machine.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::channel;
use std::time::Duration;

use larder_credentials::check::http::{Error, HttpProbe, Method};
use larder_credentials::check::{Probe, Probed};

use crate::place::secret;

const CANARY: &str = "CANARY-6f1c";
const DEADLINE: Duration = Duration::from_secs(60);

/// What was asked, up to the end of its head.
fn head(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut buffer = [0; 1024];
    while !bytes.ends_with(b"\r\n\r\n") {
        match stream.read(&mut buffer).unwrap() {
            0 => break,
            count => bytes.extend_from_slice(&buffer[..count]),
        }
    }
    String::from_utf8(bytes).unwrap()
}

/// A server that answers once, and what it was asked.
fn ask(probe: impl FnOnce(&str) -> HttpProbe, answer: &str) -> (Probed, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let probe = probe(&format!("http://{}", listener.local_addr().unwrap()));
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| {
            let (mut stream, _) = listener.accept().unwrap();
            let asked = head(&mut stream);
            stream.write_all(answer.as_bytes()).unwrap();
            asked
        });
        let probed = probe.probe(&secret(CANARY), DEADLINE);
        (probed, asked.join().unwrap())
    })
}

fn plain(origin: &str) -> HttpProbe {
    HttpProbe::new(&format!("{origin}/whoami?x=1")).unwrap()
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

#[test]
fn the_secret_is_sent_in_the_header_and_an_answer_is_read() {
    let (probed, asked) = ask(plain, OK);
    assert_eq!(probed, Probed::Accepted);
    assert!(asked.starts_with("GET /whoami?x=1 HTTP/1.1\r\n"), "{asked}");
    assert!(
        asked.to_lowercase().contains(&format!("\r\nauthorization: bearer {CANARY}\r\n").to_lowercase()),
        "{asked}"
    );
    let own = |origin: &str| plain(origin).method(Method::Head).header("X-Api-Key: key={}").unwrap();
    let (probed, asked) = ask(own, OK);
    assert_eq!(probed, Probed::Accepted);
    assert!(asked.starts_with("HEAD ") && asked.to_lowercase().contains("\r\nx-api-key: key=canary"), "{asked}");
    assert!(!asked.to_lowercase().contains("authorization"), "{asked}");
}

#[test]
fn what_the_upstream_says_is_told_apart() {
    let said = |answer: &str| ask(plain, answer).0;
    let refused = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(said(refused), Probed::Refused { status: 401, expired: false });
    let expired = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer error=\"invalid_token\", \
                   error_description=\"The token expired\"\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(said(expired), Probed::Refused { status: 401, expired: true });
    let limited = "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(said(limited), Probed::RateLimited { retry_after: Some(Duration::from_secs(7)) });
    for answer in ["HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", "SSH-2.0-OpenSSH\r\n\r\n", ""] {
        assert!(matches!(said(answer), Probed::Unreachable { .. }), "{answer}");
    }
}

#[test]
fn a_redirect_is_not_followed_with_the_secret() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    elsewhere.set_nonblocking(true).unwrap();
    let to = elsewhere.local_addr().unwrap();
    for status in [301, 302, 307, 308] {
        let answer = format!("HTTP/1.1 {status} Moved\r\nLocation: http://{to}/\r\nContent-Length: 0\r\n\r\n");
        let probed = ask(plain, &answer).0;
        assert!(matches!(&probed, Probed::Unreachable { cause } if cause.contains(&status.to_string())), "{probed:?}");
    }
    assert_eq!(elsewhere.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

#[test]
fn one_that_does_not_answer_is_unreachable_at_the_deadline() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let probe = plain(&format!("http://{}", listener.local_addr().unwrap()));
    let (done, over) = channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let (_stream, _) = listener.accept().unwrap();
            let _ = over.recv();
        });
        let probed = probe.probe(&secret(CANARY), Duration::from_millis(200));
        assert_eq!(probed, Probed::Unreachable { cause: "it did not answer in time".to_owned() });
        drop(done);
    });
}

#[test]
fn one_that_is_not_there_is_unreachable_and_no_text_shows_the_secret() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let probe = plain(&format!("http://{address}"));
    let probed = probe.probe(&secret(CANARY), DEADLINE);
    assert!(matches!(probed, Probed::Unreachable { .. }), "{probed:?}");
    assert!(!format!("{probed:?} {probe:?}").contains("CANARY"));
}

#[test]
fn a_secret_is_never_sent_in_the_clear_to_another_machine() {
    for host in
        ["docs.example", "10.0.0.1", "127.0.0.1.docs.example", "localhost.docs.example", "[2001:db8::1]", "0.0.0.0"]
    {
        let error = HttpProbe::new(&format!("http://{host}/")).unwrap_err();
        assert!(matches!(&error, Error::InTheClear { .. }), "{host}: {error:?}");
    }
    for host in ["127.0.0.1", "127.9.9.9:80", "localhost:8080", "LOCALHOST", "[::1]:80"] {
        assert!(HttpProbe::new(&format!("http://{host}/")).is_ok(), "{host}");
    }
}

#[test]
fn what_is_no_address_is_refused_without_repeating_it() {
    for url in ["", "docs.example", "/path", "ftp://docs.example/", "https://"] {
        assert_eq!(HttpProbe::new(url).unwrap_err(), Error::NoUrl, "{url}");
    }
    let error = HttpProbe::new("https://user:CANARY@docs.example/").unwrap_err();
    assert_eq!(error, Error::UserInUrl);
    assert!(!format!("{error} {error:?}").contains("CANARY"));
    assert_eq!(plain("https://docs.example").label(), "https://docs.example/whoami", "a query may have a secret in it");
}

#[test]
fn what_is_remembered_of_one_request_counts_for_no_other() {
    let probe = |url: &str, method, header: &str| HttpProbe::new(url).unwrap().method(method).header(header).unwrap();
    let probes = [
        probe("https://x.example/me", Method::Get, "Authorization: Bearer {}"),
        probe("https://x.example/me", Method::Head, "Authorization: Bearer {}"),
        probe("https://x.example/me", Method::Get, "Authorization: Token {}"),
        probe("https://x.example/me", Method::Get, "X-Key: Bearer {}"),
        probe("https://x.example/me?scope=admin", Method::Get, "Authorization: Bearer {}"),
    ];
    let identities: std::collections::BTreeSet<_> = probes.iter().map(Probe::identity).collect();
    assert_eq!(identities.len(), probes.len(), "{identities:?}");
    assert!(probes.iter().all(|probe| probe.label() == "https://x.example/me"), "people see where");
    let length = "0123456789abcdef https://x.example/me".len();
    assert!(identities.iter().all(|identity| identity.len() == length), "{identities:?}");
}
