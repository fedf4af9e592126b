//! What a Rust file defines and uses, read from its tokens, so that strings, comments and braces cannot deceive.

use std::collections::BTreeSet;

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// A file that is not made of Rust tokens.
#[derive(Clone, Debug, thiserror::Error)]
#[error("line {line}: {message}")]
pub(super) struct LexError {
    pub(super) line: usize,
    message: String,
}

/// A function with a body, also one inside a macro's braces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Function {
    pub(super) name: String,
    /// The line of its `fn`, counted from 1.
    pub(super) line: usize,
    /// From its `fn` to its closing brace.
    pub(super) lines: usize,
    /// Whether an attribute makes it a test.
    pub(super) is_test: bool,
    /// Whether an attribute keeps it from running.
    pub(super) is_ignored: bool,
}

/// The facts that the checks ask for.
#[derive(Clone, Debug, Default)]
pub(super) struct Source {
    pub(super) functions: Vec<Function>,
    /// Names that follow `fn`, `mod` or a macro's `macro_rules!`, with or without a body.
    pub(super) defined: BTreeSet<String>,
    /// Every identifier.
    pub(super) identifiers: BTreeSet<String>,
    /// Lines with the keyword for code that the compiler does not check.
    pub(super) unchecked_lines: Vec<usize>,
    /// Macros called by a single name, and their lines.
    pub(super) macros: Vec<(String, usize)>,
}

impl Source {
    pub(super) fn read(text: &str) -> Result<Self, LexError> {
        // a byte order mark and a shebang line are no tokens
        let text = text.trim_start_matches('\u{feff}');
        let stream: TokenStream = text.parse().map_err(|error: proc_macro2::LexError| LexError {
            line: error.span().start().line,
            message: error.to_string(),
        })?;
        let mut source = Self::default();
        source.scan(stream);
        Ok(source)
    }

    pub(super) fn function(&self, name: &str) -> Option<&Function> {
        self.functions.iter().find(|function| function.name == name)
    }

    fn scan(&mut self, stream: TokenStream) {
        let trees: Vec<TokenTree> = stream.into_iter().collect();
        for (index, tree) in trees.iter().enumerate() {
            match tree {
                TokenTree::Ident(ident) => {
                    let (word, line) = (ident.to_string(), ident.span().start().line);
                    let (before, after) = trees.split_at(index);
                    self.word(&word, line, before, after.get(1..).unwrap_or_default());
                    self.identifiers.insert(word);
                }
                TokenTree::Group(group) => self.scan(group.stream()),
                TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
        }
    }

    fn word(&mut self, word: &str, line: usize, before: &[TokenTree], after: &[TokenTree]) {
        match (word, after) {
            ("unsafe", _) => self.unchecked_lines.push(line),
            ("fn", [TokenTree::Ident(name), rest @ ..]) => {
                let name = name.to_string();
                self.defined.insert(name.clone());
                if let Some(body) = body_of(rest) {
                    let lines = body.span_close().end().line.saturating_sub(line) + 1;
                    let attributes = attributes_of(before);
                    let has = |word: &str| attributes.iter().any(|attribute| mentions(attribute.clone(), word));
                    let function = Function { name, line, lines, is_test: has("test"), is_ignored: has("ignore") };
                    self.functions.push(function);
                }
            }
            ("mod", [TokenTree::Ident(name), ..]) => drop(self.defined.insert(name.to_string())),
            ("macro_rules", [TokenTree::Punct(_), TokenTree::Ident(name), ..]) => {
                self.defined.insert(name.to_string());
            }
            (_, [TokenTree::Punct(bang), TokenTree::Group(_), ..]) if bang.as_char() == '!' => {
                self.macros.push((word.to_owned(), line));
            }
            _ => {}
        }
    }
}

/// The body that follows a function's name; none for a declaration, which ends in `;`.
fn body_of(rest: &[TokenTree]) -> Option<&Group> {
    rest.iter().find_map(|tree| match tree {
        TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => Some(Some(group)),
        TokenTree::Punct(punct) if punct.as_char() == ';' => Some(None),
        _ => None,
    })?
}

/// The attributes right before a `fn`, its visibility and qualifiers passed over.
fn attributes_of(before: &[TokenTree]) -> Vec<TokenStream> {
    let mut attributes = Vec::new();
    let mut rest = before;
    loop {
        rest = match rest {
            [start @ .., TokenTree::Punct(hash), TokenTree::Group(group)]
                if hash.as_char() == '#' && group.delimiter() == Delimiter::Bracket =>
            {
                attributes.push(group.stream());
                start
            }
            [start @ .., TokenTree::Group(group)] if group.delimiter() == Delimiter::Parenthesis => start,
            [start @ .., TokenTree::Ident(_) | TokenTree::Literal(_)] => start,
            _ => return attributes,
        };
    }
}

fn mentions(stream: TokenStream, word: &str) -> bool {
    stream.into_iter().any(|tree| match tree {
        TokenTree::Ident(ident) => ident == word,
        TokenTree::Group(group) => mentions(group.stream(), word),
        TokenTree::Punct(_) | TokenTree::Literal(_) => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_measured_to_its_own_closing_brace() {
        let source = Source::read("fn one() {\n let s = \"}\"; // }\n}\n\nfn two() {}\n").unwrap();
        let sizes: Vec<_> = source.functions.iter().map(|f| (f.name.as_str(), f.line, f.lines)).collect();
        assert_eq!(sizes, [("one", 1, 3), ("two", 5, 1)]);
    }

    #[test]
    fn a_declaration_does_not_borrow_the_next_functions_body() {
        let source = Source::read("trait T { fn declared(&self); fn given(&self) {} }").unwrap();
        assert!(source.function("declared").is_none());
        assert!(source.function("given").is_some());
        assert!(source.defined.contains("declared"));
    }

    #[test]
    fn tests_are_told_by_their_attribute_also_inside_macros_and_after_qualifiers() {
        let text = "proptest! { #[test] fn any_key_maps(k in 0..9) {} }\n\
                    #[tokio::test(flavor = \"x\")] pub(crate) async fn waits() {}\n\
                    #[test] #[ignore] fn sleeps() {}\n fn plain() {}";
        let source = Source::read(text).unwrap();
        let facts = |name: &str| source.function(name).map(|f| (f.is_test, f.is_ignored));
        assert_eq!(facts("any_key_maps"), Some((true, false)));
        assert_eq!(facts("waits"), Some((true, false)));
        assert_eq!(facts("sleeps"), Some((true, true)));
        assert_eq!(facts("plain"), Some((false, false)));
    }

    #[test]
    fn the_unchecked_keyword_counts_in_code_and_not_in_text() {
        let keyword = "unsafe";
        let source =
            Source::read(&format!("// {keyword}\nconst S: &str = \"{keyword}\";\n{keyword} fn f() {{}}")).unwrap();
        assert_eq!(source.unchecked_lines, [3]);
    }

    #[test]
    fn a_file_of_unbalanced_braces_is_refused_with_its_line() {
        assert!(Source::read("fn a() {\n").is_err());
    }
}
