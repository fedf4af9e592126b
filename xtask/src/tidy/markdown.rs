//! The parts of a Markdown document that name things: code spans, links, and which lines speak of plans.

/// One line of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// Counted from 1.
    pub(super) number: usize,
    pub(super) text: &'a str,
    /// Whether it speaks of what does not exist yet: it contains `(planned)`, or stands under a heading that begins
    /// with "Planned".
    pub(super) is_planned: bool,
    /// Whether it is inside a fenced block, where nothing is a link.
    pub(super) is_fenced: bool,
}

/// A link whose target is a place, with the text that it wears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Link<'a> {
    pub(super) text: &'a str,
    pub(super) target: &'a str,
}

/// The lines of a document, each with what stands around it.
pub(super) fn lines(text: &str) -> impl Iterator<Item = Line<'_>> {
    // the level of the heading that opened the current plan
    let mut plan: Option<usize> = None;
    let mut fence: Option<&str> = None;
    (1..).zip(text.lines()).map(move |(number, text)| {
        let bare = text.trim_start();
        let marks_fence = ["```", "~~~"].into_iter().find(|mark| bare.starts_with(mark));
        let is_fenced = fence.is_some() || marks_fence.is_some();
        match (fence, marks_fence) {
            (None, Some(mark)) => fence = Some(mark),
            (Some(open), Some(mark)) if open == mark => fence = None,
            _ => {}
        }
        if let Some((level, title)) = heading(text).filter(|_| !is_fenced) {
            plan = plan.filter(|open| level > *open);
            if plan.is_none() && title.to_ascii_lowercase().starts_with("planned") {
                plan = Some(level);
            }
        }
        Line { number, text, is_planned: plan.is_some() || text.contains("(planned)"), is_fenced }
    })
}

fn heading(text: &str) -> Option<(usize, &str)> {
    let title = text.trim_start_matches('#');
    let level = text.len() - title.len();
    title.strip_prefix(' ').filter(|_| (1..=6).contains(&level)).map(|title| (level, title.trim()))
}

/// What stands between backticks.
pub(super) fn code_spans(text: &str) -> impl Iterator<Item = &str> {
    let inside = text.split('`').skip(1).step_by(2);
    // without a closing backtick the last piece is no span
    inside.take(text.matches('`').count() / 2)
}

/// The links of a line, without their anchors, without those to other sites.
pub(super) fn links(text: &str) -> impl Iterator<Item = Link<'_>> {
    text.match_indices("](").filter_map(|(at, _)| {
        let (before, after) = (text.get(..at)?, text.get(at + 2..)?);
        let target = after.split_once(')')?.0;
        let target = target.split_whitespace().next()?.split('#').next()?;
        if target.is_empty() || target.contains("://") || target.starts_with("mailto:") {
            return None;
        }
        let text = before.rsplit_once('[').map_or(before, |(_, text)| text);
        Some(Link { text, target })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(text: &str) -> Vec<usize> {
        lines(text).filter(|line| line.is_planned).map(|line| line.number).collect()
    }

    #[test]
    fn a_plan_lasts_until_a_heading_of_its_own_level() {
        assert_eq!(planned("# A\n## Planned for later\nx\n### deeper\ny\n## B\nz\n"), [2, 3, 4, 5]);
    }

    #[test]
    fn a_single_line_can_be_marked_as_planned() {
        assert_eq!(planned("a\nlarder-http (planned)\nb\n"), [2]);
    }

    #[test]
    fn a_comment_in_a_shell_block_is_no_heading() {
        assert_eq!(planned("```sh\n# Planned\n```\nx\n"), [0; 0]);
        let fenced: Vec<_> =
            lines("a\n```\nb\n```\nc\n").filter(|line| line.is_fenced).map(|line| line.number).collect();
        assert_eq!(fenced, [2, 3, 4]);
    }

    #[test]
    fn code_spans_are_what_backticks_enclose() {
        assert_eq!(code_spans("a `b` c `d::e` f").collect::<Vec<_>>(), ["b", "d::e"]);
        assert_eq!(code_spans("an odd ` backtick").count(), 0);
    }

    #[test]
    fn links_lose_their_anchor_and_other_sites_are_left_out() {
        let text = "[`t`](../a.rs#L1), [b](c.md \"title\"), [d](#here), [e](https://example.org/x)";
        let expected = [Link { text: "`t`", target: "../a.rs" }, Link { text: "b", target: "c.md" }];
        assert_eq!(links(text).collect::<Vec<_>>(), expected);
    }
}
