//! The environment of commands that a configuration names: clean, but for what every program needs and what they ask for.

use std::ffi::OsString;

/// What every program may need to find its way, and what holds no secret.
const ALWAYS: &[&str] = &[
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "TMPDIR",
    "LANG",
    "LC_ALL",
    "TZ",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_RUNTIME_DIR",
    "SystemRoot",
    "SystemDrive",
    "TEMP",
    "TMP",
    "USERPROFILE",
    "APPDATA",
    "LOCALAPPDATA",
    "PATHEXT",
    "COMSPEC",
];

/// Those variables, and the named ones, as far as they are set here.
pub(crate) fn clean(named: &[String]) -> Vec<(OsString, OsString)> {
    let names = ALWAYS.iter().copied().chain(named.iter().map(String::as_str));
    let mut variables: Vec<(OsString, OsString)> =
        names.filter_map(|name| Some((name.into(), std::env::var_os(name)?))).collect();
    variables.sort();
    variables.dedup();
    variables
}
