//! Where a program keeps its secrets unless told otherwise.

use std::ffi::OsString;

use camino::Utf8PathBuf;

const FILE: &str = "credentials.json";

/// Where the folder is looked for: a variable, and what is below it.
#[cfg(not(windows))]
const PLACES: [(&str, &str); 2] = [("XDG_CONFIG_HOME", ""), ("HOME", ".config")];
#[cfg(windows)]
const PLACES: [(&str, &str); 2] = [("XDG_CONFIG_HOME", ""), ("APPDATA", "")];

/// There is no place for secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no folder to keep secrets in: set {} or {} to an absolute path", PLACES[0].0, PLACES[1].0)]
#[non_exhaustive]
pub struct NoPlace;

/// As the XDG specification says, a path that is empty or relative counts as not set.
pub(super) fn find(program: &str, environment: impl Fn(&str) -> Option<OsString>) -> Result<Utf8PathBuf, NoPlace> {
    let folder = PLACES.iter().find_map(|(variable, below)| {
        let folder = Utf8PathBuf::from(environment(variable)?.into_string().ok()?);
        folder.is_absolute().then(|| if below.is_empty() { folder } else { folder.join(below) })
    });
    Ok(folder.ok_or(NoPlace)?.join(program).join(FILE))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn find_with(set: &[(&str, &str)]) -> Result<String, NoPlace> {
        let value = |name: &str| set.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into());
        find("tool", value).map(Utf8PathBuf::into_string)
    }

    #[test]
    fn the_configuration_folder_comes_before_the_home() {
        let both = [("XDG_CONFIG_HOME", "/c"), ("HOME", "/h")];
        assert_eq!(find_with(&both).unwrap(), "/c/tool/credentials.json");
        assert_eq!(find_with(&both[1..]).unwrap(), "/h/.config/tool/credentials.json");
    }

    #[test]
    fn what_is_empty_or_relative_counts_as_not_set() {
        for value in ["", "relative"] {
            let home = [("XDG_CONFIG_HOME", value), ("HOME", "/h")];
            assert_eq!(find_with(&home).unwrap(), "/h/.config/tool/credentials.json");
            assert_eq!(find_with(&[("HOME", value)]), Err(NoPlace));
        }
        assert_eq!(find_with(&[]), Err(NoPlace));
    }
}
