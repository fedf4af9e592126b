//! Dates in texts.

use larder_staleness::{format_date, ms_of, parse_date};
use proptest::prelude::*;

use crate::given::{any_ms, at};

/// The last millisecond that is written as a date.
const LAST_MS: u64 = 253_402_207_200_000;

proptest! {
    #[test]
    fn a_date_is_read_back_as_it_was_written(ms in 0..=LAST_MS) {
        prop_assert_eq!(parse_date(&format_date(ms)), Some(at(ms)));
    }

    #[test]
    fn every_moment_has_a_text(ms in any_ms()) {
        let text = format_date(ms);
        prop_assert_eq!(text.ends_with('Z'), ms <= LAST_MS);
        prop_assert!(text.ends_with('Z') || text == "after the year 9999");
    }

    #[test]
    fn a_date_with_two_offsets_is_none(ms in 0..=LAST_MS) {
        let text = format_date(ms);
        let text = text.trim_end_matches('Z');
        let (one, two) = (format!("{text}+00:00"), format!("{text}+00:00Z"));
        prop_assert_eq!((parse_date(&one), parse_date(&two)), (Some(at(ms)), None));
    }

    #[test]
    fn a_date_without_an_offset_is_none(ms in 0..=LAST_MS) {
        prop_assert_eq!(parse_date(format_date(ms).trim_end_matches('Z')), None);
    }

    #[test]
    fn no_text_breaks_the_reader(text in any::<String>(), like_a_date in "[0-9A-Za-z:+., -]{0,40}") {
        let _ = (parse_date(&text), parse_date(&like_a_date));
    }

    #[test]
    fn letters_and_spaces_alone_are_no_date(text in "[a-zA-Z ,;]{0,40}") {
        prop_assert_eq!(parse_date(&text), None);
    }
}

#[test]
fn all_three_forms_of_http_dates_are_the_same_moment() {
    for text in [
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
        " 1994-11-06T08:49:37Z ",
        "1994-11-06T09:49:37+01:00",
    ] {
        assert_eq!(parse_date(text), Some(at(784_111_777_000)), "{text}");
    }
}

#[test]
fn a_year_of_two_digits_is_one_from_1969_to_2068() {
    assert_eq!(parse_date("Monday, 31-Dec-68 00:00:00 GMT").map(ms_of), Some(3_124_137_600_000));
    assert_eq!(parse_date("Thursday, 01-Jan-70 00:00:01 GMT").map(ms_of), Some(1_000));
}

#[test]
fn garbage_is_no_date() {
    for text in [
        "",
        "0",
        "-1",
        "yesterday",
        "784111777",
        "1994-11-06",
        "1994-11-06T08:49:37",
        "1994-13-06T08:49:37Z",
        "1994-02-30T08:49:37Z",
        "Mon, 06 Nov 1994 08:49:37 GMT", // it was a Sunday
        "Sun Nov 16 08:49:37 1994",
        "Sunday, 06-Nov-94 08:49:37 EST",
    ] {
        assert_eq!(parse_date(text), None, "{text}");
    }
}

#[test]
fn a_date_before_1970_is_one_but_none_of_a_document() {
    let before = parse_date("1969-12-31T23:59:59Z").unwrap();
    assert!(before < at(0));
    assert_eq!(ms_of(before), 0);
}
