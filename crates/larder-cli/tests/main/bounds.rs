//! Bounds, with nothing but short commands.

use crate::place::{Place, wait_until};

fn entries(place: &Place) -> u64 {
    let stats = place.larder(&["stats", "--json"]).out;
    let stats: serde_json::Value = serde_json::from_str(&stats).unwrap();
    stats["entries"].as_u64().unwrap()
}

#[test]
fn short_commands_alone_stay_within_the_bounds() {
    let place = Place::new("bounds");
    place.write("larder.yaml", "version: 1\nlimits: {entries_max: 20}\n");
    for number in 0..60 {
        let key = format!("k/{number}");
        place.larder_reading(&["put", &key, "--durability", "relaxed"], b"x").is(0, "");
        assert!(entries(&place) <= 22 + 1, "{} entries after {number}", entries(&place));
    }
    place.larder(&Place::run(&["--key", "run"], "echo doc")).is(0, "doc\n");
    wait_until("room", || entries(&place) <= 20);
    wait_until("no helper", || place.helpers() == 0);
    place.larder(&["gc"]).says(0, &[]);
    place.larder(&["verify"]).says(0, &[]);
}

#[test]
fn a_sweep_takes_the_bounds_from_its_flags_and_what_was_used_last_stays() {
    let place = Place::new("bounds-gc");
    for key in ["a", "b", "c", "d"] {
        place.larder_reading(&["put", key], b"x").is(0, "");
    }
    // as if they had been used long ago
    for key in ["a", "b", "c", "d"] {
        let long_ago = ["-a", "-d", "2020-01-01"];
        let entry = place.root().join(format!("entries/{key}.entry"));
        assert!(std::process::Command::new("touch").args(long_ago).arg(entry).status().unwrap().success());
    }
    place.larder(&["get", "b"]).is(0, "x");
    place.larder(&["list"]).says(0, &[]);
    let swept = place.larder(&["gc", "--entries-max", "2", "--json"]);
    assert!(swept.out.contains(r#""evicted":3,"evicted_bytes":12288,"left":1,"left_bytes":4096"#), "{}", swept.out);
    place.larder(&["get", "b"]).is(0, "x");
    let stats = place.larder(&["stats", "--json"]).out;
    assert!(stats.contains(r#""evictions":3"#), "{stats}");
    for (flag, wrong) in
        [("--bytes-max", "0"), ("--bytes-max", "many"), ("--entries-max", "-1"), ("--entries-max", "0")]
    {
        let refused = place.larder(&["gc", &format!("{flag}={wrong}")]);
        assert_eq!(refused.code, Some(2), "{flag} {wrong}: {}", refused.err);
    }
    place.larder(&["gc", "--bytes-max", "infinite"]).says(0, &[]);
}

#[test]
fn what_is_kept_no_longer_is_swept() {
    let place = Place::new("bounds-expired");
    let none = "stale_while_revalidate: 0, stale_if_error: 0, keep: 0";
    place.write("larder.yaml", &format!("version: 1\nclasses: [{{match: brief/*, fresh: 1ms, {none}}}]\n"));
    for key in ["brief/a", "brief/b", "long"] {
        place.larder_reading(&["put", key], b"x").is(0, "");
    }
    // a millisecond is over by the time that another process has begun
    let swept = place.larder(&["gc", "--json"]).out;
    assert!(swept.contains(r#""evicted":2"#), "{swept}");
    place.larder(&["get", "long"]).is(0, "x");
    assert!(!place.root().join("entries/brief").exists());
}
