//! What a file says is in force, and says where it comes from.

use std::time::Duration;

use larder_config::{Config, Origin};
use larder_staleness::{Backoff, Early, Policy, Why};

fn parse(text: &str) -> Config {
    Config::parse(text, "c.yaml".into()).unwrap()
}

/// A setting's value, and the line it comes from; 0 for a built-in one.
fn setting(config: &Config, name: &str) -> (String, u64) {
    let setting = config.settings().iter().find(|setting| setting.name == name).unwrap();
    let line = if let Origin::File { line, .. } = setting.origin { line } else { 0 };
    (setting.value.clone(), line)
}

const DAY: Duration = Duration::from_secs(86_400);

const ALL: &str = r#"
version: 1
limits:
  body_bytes_max: 1MiB
  memory_bytes_max: 0
  lock_timeout: infinite
  timeout: 90
  soft_timeout: 0
  backoff_first: 1s
  backoff_cap: 8s
  retry_after_max: 1h
switches: { locking: false, refresh: false, disk: false, network: false }
defaults: { fresh: 3d, keep: 0, jitter: 1h }
types:
  critical: { fresh: 5d, stale_if_error: 9d }
  odd: { early: xfetch }
classes:
  - { match: "auth/**", class: critical }
  - { match: "docs/**", class: critical, fresh: 7d, stale_while_revalidate: 1d, negative: 5s, adaptive: true, fresh_min: 1d, fresh_max: 60d, early: 0.9 }
sources:
  - { match: "docs/**", command: [fetch, "{path}"], env: [TOKEN], timeout: 5s, tags: [docs] }
refresh: { enabled: false, check_on_access: false, auto_queue: false, auto_process_on_startup: true }
"#;

#[test]
fn a_file_that_says_nothing_leaves_everything_as_built_in() {
    for config in [parse("version: 1\n"), parse("version: 1\nlimits:\nclasses:\n"), Config::built_in()] {
        assert_eq!(config.limits().backoff, Backoff::default());
        assert_eq!(config.limits().lock_timeout, Some(Duration::from_secs(600)));
        assert_eq!(*config.classes().default_policy(), Policy::default());
        assert!(config.switches().locking && config.refresh().enabled && !config.defines_commands());
        assert!(!config.refresh().auto_process_on_startup);
        assert_eq!(setting(&config, "types.active.fresh"), ("14d".to_owned(), 0));
    }
}

#[test]
fn every_value_of_a_file_is_in_force() {
    let config = parse(ALL);
    let limits = config.limits();
    assert_eq!((limits.body_bytes_max, limits.memory_bytes_max, limits.lock_timeout), (1_048_576, 0, None));
    assert_eq!((limits.timeout, limits.soft_timeout), (Duration::from_secs(90), Duration::ZERO));
    let (first, cap) = (Duration::from_secs(1), Duration::from_secs(8));
    assert_eq!(limits.backoff, Backoff { first, cap, retry_after_max: Duration::from_secs(3_600) });
    let switches = config.switches();
    assert!(!(switches.locking || switches.refresh || switches.disk || switches.network));
    let refresh = config.refresh();
    assert!(!refresh.enabled && !refresh.check_on_access && !refresh.auto_queue && refresh.auto_process_on_startup);
    let default = config.classes().default_policy();
    assert_eq!((default.fresh, default.keep, default.jitter), (DAY * 3, Duration::ZERO, Duration::from_secs(3_600)));
    let auth = config.classes().of_key("auth/x");
    assert_eq!((auth.name, auth.policy.fresh, auth.policy.stale_if_error), ("critical", DAY * 5, DAY * 9));
    let docs = config.classes().of_key("docs/x");
    assert!(matches!(docs.why, Why::Pattern(pattern) if pattern.as_str() == "docs/**"));
    let policy = docs.policy;
    assert_eq!((policy.fresh, policy.stale_while_revalidate, policy.stale_if_error), (DAY * 7, DAY, DAY * 9));
    assert_eq!((policy.fresh_min, policy.fresh_max, policy.adaptive), (DAY, DAY * 60, true));
    assert_eq!((policy.negative, policy.early), (Duration::from_secs(5), Early::Fraction(0.9)));
    assert_eq!(config.classes().get("odd").unwrap().early, Early::XFetch(1.0));
    let source = config.source_of("docs/x").unwrap();
    assert_eq!(
        (source.timeout, &source.env[..], &source.tags[..]),
        (Some(Duration::from_secs(5)), &["TOKEN".to_owned()][..], &["docs".to_owned()][..])
    );
    assert!(config.defines_commands() && config.source_of("auth/x").is_none());
}

#[test]
fn each_setting_tells_its_line_also_one_that_is_inherited() {
    let config = parse(ALL);
    assert_eq!(setting(&config, "limits.timeout"), ("90s".to_owned(), 7));
    assert_eq!(setting(&config, "limits.lock_timeout"), ("infinite".to_owned(), 6));
    assert_eq!(setting(&config, "defaults.fresh"), ("3d".to_owned(), 13));
    assert_eq!(setting(&config, "classes.docs/**.stale_if_error"), ("9d".to_owned(), 15));
    assert_eq!(setting(&config, "classes.docs/**.fresh"), ("7d".to_owned(), 19));
    assert_eq!(setting(&config, "types.stable.fresh"), ("30d".to_owned(), 0));
    assert_eq!(setting(&config, "sources.docs/**"), (r#"["fetch","{path}"]"#.to_owned(), 21));
}

#[test]
fn classes_that_are_there_lie_over_the_defaults_too() {
    let config = parse("version: 1\ndefaults: {stale_if_error: 9d}\n");
    let stable = config.classes().get("stable").unwrap();
    assert_eq!((stable.fresh, stable.stale_if_error), (DAY * 30, DAY * 9));
    assert_eq!(setting(&config, "types.stable.stale_if_error"), ("9d".to_owned(), 2));
}

#[test]
fn days_of_older_configurations_are_the_defaults_fresh_time() {
    let config = parse("version: 1\nrefresh:\n  default_max_age_days: 20\n");
    assert_eq!(config.classes().default_policy().fresh, DAY * 20);
    assert_eq!(setting(&config, "defaults.fresh"), ("20d".to_owned(), 3));
}

#[test]
fn what_is_odd_is_advised() {
    let advice = |text: &str| parse(text).advice().iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(advice(ALL).len(), 1, "an endless wait: {:?}", advice(ALL));
    let hidden = advice(
        "version: 1\nclasses:\n- match: '**'\n- match: a\nsources:\n- {match: a, command: [x]}\n- {match: a, command: [x]}\n",
    );
    assert_eq!(hidden.len(), 2, "{hidden:?}");
    assert!(hidden[0].starts_with("c.yaml:4:10") && hidden[1].starts_with("c.yaml:7:"), "{hidden:?}");
    assert_eq!(advice("version: 1\nlimits: {soft_timeout: 900s}\n").len(), 1);
    assert!(advice("version: 1\n").is_empty());
}

#[test]
fn the_schema_has_the_keys_that_are_read_and_no_others() {
    let schema = Config::schema();
    let keys = |at: &serde_json::Value| {
        let mut keys: Vec<String> = at["properties"].as_object().unwrap().keys().cloned().collect();
        keys.sort();
        keys
    };
    let parts =
        ["classes", "credentials", "defaults", "limits", "refresh", "sources", "switches", "types", "version", "views"];
    assert_eq!(keys(&schema), parts);
    assert_eq!((&schema["required"][0], &schema["additionalProperties"]), (&"version".into(), &false.into()));
    // every key of the schema is read, and one more is refused
    for (name, part) in schema["$defs"].as_object().unwrap() {
        assert_eq!(part["additionalProperties"], false, "{name}");
        for key in keys(part) {
            let (at, before) = match name.as_str() {
                "Limits" => ("limits: { ", " }"),
                "Switches" => ("switches: { ", " }"),
                "Policy" => ("defaults: { ", " }"),
                "Refresh" => ("refresh: { ", " }"),
                "Views" => ("views: { ", " }"),
                "Rule" => ("classes: [{ ", " }]"),
                "Credential" => ("credentials: { a: { ", " } }"),
                "Check" => ("credentials: { a: { check: { ", " } } }"),
                _ => ("sources: [{ ", " }]"),
            };
            let read = Config::parse(&format!("version: 1\n{at}{key}: [[]]{before}\n"), "c.yaml".into()).unwrap_err();
            assert!(!read.to_string().contains("unknown key"), "{key}: {read}");
            let other = Config::parse(&format!("version: 1\n{at}{key}x: 1{before}\n"), "c.yaml".into()).unwrap_err();
            assert!(other.to_string().contains("unknown key"), "{key}: {other}");
        }
    }
}
