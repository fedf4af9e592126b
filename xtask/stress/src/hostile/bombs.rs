//! Configurations that were made to hurt: each must be refused, for next to nothing.

use std::fmt::Write as _;

use larder_config::Config;

/// All of them, by what they are.
pub(crate) fn all() -> Vec<(&'static str, Vec<u8>)> {
    let mut laughs = String::from("version: 1\na0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let below = format!("*a{}", level - 1);
        let _ = writeln!(laughs, "a{level}: &a{level} [{}]", [below.as_str(); 9].join(", "));
    }
    let mut many = String::from("version: 1\n");
    for number in 0..20_000 {
        let _ = writeln!(many, "key-{number}: {number}");
    }
    vec![
        ("aliases of aliases", laughs.into_bytes()),
        ("an alias of itself", b"version: 1\na: &a [*a]\n".to_vec()),
        ("a merge", b"version: 1\nlimits: &l { timeout: 1s }\nswitches: { <<: *l }\n".to_vec()),
        ("depth in brackets", ["version: 1\nclasses: ", &"[".repeat(200_000)].concat().into_bytes()),
        ("depth in braces", ["version: 1\nlimits: ", &"{a: ".repeat(50_000)].concat().into_bytes()),
        ("depth in lists", ["version: 1\nclasses:\n", &"- ".repeat(100_000)].concat().into_bytes()),
        ("a text without end", ["version: 1\nx: \"", &"a".repeat(2 * 1024 * 1024)].concat().into_bytes()),
        ("many keys", many.into_bytes()),
        ("a key twice", b"version: 1\nversion: 1\n".to_vec()),
        ("no text", b"version: 1\n\xff\xfe: 1\n".to_vec()),
        ("a time beyond the clock", b"version: 1\nlimits: { timeout: 99999999999999999999d }\n".to_vec()),
        ("a size beyond the disk", b"version: 1\nlimits: { bytes_max: 99999999999999999999999TB }\n".to_vec()),
        ("a tag that makes things", b"version: 1\nlimits: !!python/object/apply:os.system ['id']\n".to_vec()),
        (
            "a pattern without end",
            ["version: 1\nclasses: [{ match: \"", &"**/*a".repeat(4_000), "\" }]\n"].concat().into_bytes(),
        ),
    ]
}

/// What it is taken for; `None` when it is refused, as it must be.
pub(crate) fn accepted(bomb: &[u8]) -> Option<String> {
    Config::parse_bytes(bomb, "larder.yaml".into()).ok().map(|config| format!("{} settings", config.settings().len()))
}
