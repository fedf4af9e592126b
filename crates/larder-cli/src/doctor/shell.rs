//! Commands as a shell reads them, to be copied from the remedy of a finding.

/// A word that a shell takes for that very word.
pub(super) fn word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:,@%".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// A command of these words.
pub(super) fn command<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    words.into_iter().map(word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_each_word_as_it_is() {
        let words = ["", "a b", "it's", "$HOME", "~", "plain/path-1.x", "*", "a\nb"];
        let script = format!("printf '%s|' {}", command(words));
        let shell = std::process::Command::new("sh").args(["-c", &script]).output();
        if let Ok(output) = shell {
            assert_eq!(String::from_utf8_lossy(&output.stdout), words.map(|word| format!("{word}|")).concat());
        }
        assert_eq!(word("plain/path-1.x"), "plain/path-1.x");
    }
}
